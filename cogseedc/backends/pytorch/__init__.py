"""A plan as a readable PyTorch file that imports torch only. Decides nothing: the plan has."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from jinja2 import BaseLoader, Environment, StrictUndefined

from cogseedc.backends.names import Names, chain, class_name, names
from cogseedc.backends.plan.model import Plan
from cogseedc.backends.pytorch.body import spread_out
from cogseedc.backends.pytorch.calls import Main, Method
from cogseedc.backends.pytorch.check import check
from cogseedc.backends.pytorch.flow import (
    exit_class,
    exit_fields,
    keeps,
    plan_methods,
    result_fields,
    state_symbols,
    states,
    train_methods,
)
from cogseedc.backends.pytorch.literal import DTYPES, items, listed, literal, typed
from cogseedc.backends.pytorch.loops import loop_methods
from cogseedc.backends.pytorch.program import Program, Shared
from cogseedc.backends.support import sources
from cogseedc.diagnostics import InternalError
from cogseedc.ir import Constant, Knob, Loss, TensorType, Weight
from cogseedc.ops import OPS

__all__ = ["emit", "names_of", "weights_of"]


_REWARDED = '''\
    def policy_loss(self, reward):
        """A loss whose gradient makes what was drawn where `reward` (one number per sample) is high more likely.

        The score function's (Williams 1992): the mean of (baseline - reward) log p, over all gates that draw.
        """
        total = 0.0
        for gate, logp in self.logp.items():
            given = reward.detach().reshape([*reward.shape, *[1] * (logp.dim() - reward.dim())])
            total = total - ((given - self.baseline[gate].detach()) * logp).sum() / len(reward)
        return total


'''


def weights_of(*plans: Plan) -> tuple[Weight, ...]:
    """All weights that one of the plans reads, by path."""
    found: dict[str, Weight] = {}
    for inner in (inner for plan in plans for inner in plan.nested()):
        for id in inner.weights:
            node = inner.graph[id]
            assert isinstance(node, Weight)
            found.setdefault(node.path, node)
    return tuple(found[path] for path in sorted(found))


def names_of(*plans: Plan) -> Names:
    """State-dict keys for all weights of the plans."""
    return names(weight.path for weight in weights_of(*plans))


def emit(plan: Plan, training: Plan, name: str, names: Names | None = None) -> str:
    """The text of a module: `plan` is run in evaluation mode, `training` (dense) in training mode.

    `name` is the exported seed's, for the class. Raises InternalError when the text is not what may be written.
    """
    named = names or names_of(plan, training)
    shared = Shared(named, OPS)
    methods = _methods(plan, training, shared)
    evaluated, trained = Program(plan, shared), Program(training, shared)
    title = class_name(name)
    weights = weights_of(plan, training)
    fields = [f"    {field}: torch.Tensor" for field in result_fields(evaluated)]
    fields += ["    state: dict[str, torch.Tensor]"] * keeps(evaluated)
    text = _render(
        imports=_imports(methods, shared),
        outputs="\n".join(fields) or "    pass",
        rewarded=_REWARDED if any(isinstance(n, Loss) and n.drawn for _, n in training.graph.nodes()) else "",
        definitions=_definitions(trained, shared),
        name=title,
        summary="A dynamic network.",
        weights="\n".join(f"        {line}" for line in _initial(weights, named, shared)) or "        pass",
        forward="\n".join(f"    {line}".rstrip() for line in _forward(evaluated)),
        methods="\n\n".join("\n".join(f"    {line}" for line in m.lines) for m in methods),
    )
    check(text)
    return text


def _methods(plan: Plan, training: Plan, shared: Shared) -> list[Method]:
    """All methods; written again when support functions came up whose names variables may not have."""
    while True:
        known = set(shared.support)
        taken = sorted({*known, "Scope", "Outputs", "Result"})
        evaluated, trained = Program(plan, shared), Program(training, shared, "train_")
        loops = loop_methods(evaluated, taken) + loop_methods(trained, taken)
        methods = plan_methods(evaluated, taken) + train_methods(trained, taken) + loops
        if shared.support == known:
            return methods


def _render(**parts: str) -> str:
    template = files("cogseedc.backends").joinpath("templates", "pytorch_template.py.j2").read_text(encoding="utf-8")
    environment = Environment(
        loader=BaseLoader(), undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    return environment.from_string(template).render(parts).rstrip() + "\n"


def _imports(methods: Sequence[Method], shared: Shared) -> str:
    texts = [*(line for m in methods for line in m.lines), *sources(shared.support)]
    lines = ["from typing import NamedTuple", "", "import torch"]
    if any("F." in text for text in texts):
        lines.append("import torch.nn.functional as F")
    return "\n".join([*lines, "from torch import nn"])


def _definitions(training: Program, shared: Shared) -> str:
    """Tuples of exits that give other values than the network does, and support functions."""
    parts: list[str] = []
    for fields in dict.fromkeys(exit_fields(training)):
        title = exit_class(fields, training)
        if title != "Outputs":
            rows = "\n".join(f"    {field}: torch.Tensor" for field in fields) or "    pass"
            parts.append(f'class {title}(NamedTuple):\n    """What an exit gives."""\n\n{rows}')
    parts += sources(shared.support)
    return "".join(f"{part}\n\n\n" for part in parts)


def _initial(weights: Sequence[Weight], named: Names, shared: Shared) -> list[str]:
    """Statements of `__init__`: scopes, then what they hold; constants are buffers that the state dict lacks."""
    lines: list[str] = []
    made: set[str] = set()
    for weight in weights:
        key = named.key(weight.path)
        parts = key.split(".")
        for depth in range(1, len(parts)):
            scope = ".".join(parts[:depth])
            if scope not in made:
                made.add(scope)
                lines.append(_scope(scope))
        lines.append(_weight(weight, key))
    if shared.constants:
        lines.append("self.constants = Scope()")
        for constant, name in shared.constants.items():
            lines.append(f'self.constants.register_buffer("{name}", {_constant(constant)}, persistent=False)')
    return lines


def _scope(key: str) -> str:
    above, _, last = key.rpartition(".")
    owner = chain(above) if above else "self"
    return f'{owner}.add_module("{last}", Scope())' if last.isdigit() else f"{owner}.{last} = Scope()"


def _weight(weight: Weight, key: str) -> str:
    above, _, last = key.rpartition(".")
    owner = chain(above) if above else "self"
    zeros = f"torch.zeros({_shape(weight.type)}"
    if weight.type.dtype is not _DEFAULT:
        zeros += f", dtype={DTYPES[weight.type.dtype]}"
    if weight.trainable and weight.type.dtype.floating:
        return f"{owner}.{last} = nn.Parameter({zeros}))"
    return f'{owner}.register_buffer("{last}", {zeros}))'


_DEFAULT = next(iter(DTYPES))


def _shape(type: TensorType) -> str:
    sizes = [size.value for size in type.shape]
    if any(size is None for size in sizes):
        raise InternalError("a weight or constant has an axis of unknown size")
    return items([str(size) for size in sizes])


def _constant(constant: Constant) -> str:
    dtype = DTYPES[constant.type.dtype]
    if len(set(map(repr, constant.values))) == 1:
        value = typed(constant.values[0], constant.type.dtype)
        return f"torch.full({_shape(constant.type)}, {value}, dtype={dtype})"
    values = listed(constant.values, constant.type.dtype)
    shape = "" if constant.type.rank == 1 else f".reshape({_shape(constant.type)})"
    return f"torch.tensor({values}, dtype={dtype}){shape}"


def _forward(program: Program) -> list[str]:
    """`forward` in declared order; a knob that is not given has its default."""
    plan, graph = program.plan, program.graph
    main = Main(program, ())
    inputs, knobs = main.inputs, main.knobs
    given = [f"{name}=None" for name in (*main.state, *knobs)]
    start = spread_out("def forward(", ["self", *inputs, "*", *given, "trace=False"], "):")
    device = f"{inputs[0]}.device" if inputs else "None"
    lines: list[str] = []
    if main.state:
        sizes = [main.size(symbol) for symbol in state_symbols(program)]
        lines.append("if state is None:")
        made = spread_out("state = self.initial_state(", [*sizes, f"device={device}"], ")")
        lines += [f"    {line}" for line in made]
    for id, name in zip(plan.knobs, knobs, strict=True):
        node = graph[id]
        assert isinstance(node, Knob)
        lines.append(_knob(node, name, device))
    passed = [*main.arguments, "trace"]
    lines.append("if self.training:")
    lines += [f"    {line}" for line in spread_out("return self._train(", passed, ")")]
    lines += spread_out("return self._plan(", passed, ")")
    return [*(_initial_state(program) if main.state else ()), *start, *(f"    {line}" for line in lines)]


def _initial_state(program: Program) -> list[str]:
    """The method that makes the states of a first call."""
    body = program.body()
    symbols = {symbol: body.scope.free(symbol.lower()) for symbol in state_symbols(program)}
    entries: list[str] = []
    for node in states(program):
        assert node.state is not None
        shape = items([size.spell(lambda s: symbols[s], "//") for size in node.type.shape])
        value, dtype = typed(node.state.initial, node.type.dtype), DTYPES[node.type.dtype]
        entries.append(f"{literal(node.state.path)}: torch.full({shape}, {value}, dtype={dtype}, device=device)")
    start = spread_out("def initial_state(", ["self", *symbols.values(), "device=None"], "):")
    document = '"""What `state` is before the first call; later ones are given the state that the one before gave."""'
    lines = [document, "return {", *(f"    {entry}," for entry in entries), "}"]
    return [*start, *(f"    {line}" for line in lines), ""]


def _knob(node: Knob, name: str, device: str) -> str:
    dtype = node.type.dtype
    same = len(set(map(repr, node.default))) == 1
    default = typed(node.default[0], dtype) if same else listed(node.default, dtype)
    text = f"torch.as_tensor({default} if {name} is None else {name}, dtype={DTYPES[dtype]}, device={device})"
    if node.type.rank:
        text += f".expand({_shape(node.type)})"
    return f"{name} = {text}"
