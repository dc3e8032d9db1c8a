"""The method that has the inputs, and how it calls those of blocks: each under its condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cogseedc.backends.plan.model import ROOT, Slot, SpaceId, Wrap
from cogseedc.backends.pytorch.body import Body, Device, Key, Nothing, Record, Rows, Symbol, Taken, indented, spread_out
from cogseedc.backends.pytorch.literal import DTYPES, literal, typed
from cogseedc.backends.pytorch.program import Program
from cogseedc.diagnostics import InternalError
from cogseedc.ir import BATCH, Constant, Input, Knob, NodeId, Size


@dataclass(frozen=True, slots=True)
class Method:
    """A method as text, with what it takes and gives back."""

    name: str
    lines: tuple[str, ...]
    parameters: tuple[Key, ...] = ()
    results: tuple[Key, ...] = ()


class Main(Body):
    """The method that has the inputs and knobs; makes sizes and the device where they are first asked for."""

    def __init__(self, program: Program, taken: Sequence[str]) -> None:
        super().__init__(program.wanted, (*taken, "trace", "result", "state"))
        self._program = program
        self._inputs: list[tuple[str, Input]] = []
        self.inputs: list[str] = []
        self.state: list[str] = []
        """The argument that holds all states, if there are any."""
        self.knobs: list[str] = []
        for id in (*program.plan.inputs, *program.plan.knobs):
            node = program.graph[id]
            assert isinstance(node, Input | Knob)
            name = self.define(_wanted(program, id))
            if isinstance(node, Knob):
                self.knobs.append(name)
                continue
            self._inputs.append((name, node))
            if node.state is None:
                self.inputs.append(name)
            else:
                self.state = ["state"]
                self.say(f"{name} = state[{literal(node.state.path)}]", node.origin)

    @property
    def arguments(self) -> list[str]:
        return [*self.inputs, *self.state, *self.knobs]

    def missing(self, key: Key) -> None:
        text = self._made(key)
        self.say(f"{self.define(key)} = {text}")

    def tells(self, symbol: str) -> bool:
        """Whether an input has an axis of that size."""
        return any(size == Size.symbol(symbol) for _, node in self._inputs for size in node.type.shape)

    def _made(self, key: Key) -> str:
        match key:
            case Device():
                return f"{self._inputs[0][0]}.device" if self._inputs else 'torch.device("cpu")'
            case Nothing():
                return f"torch.empty(0, dtype=torch.int64, device={self.read(Device())})"
            case Symbol(name=name):
                return self.size(name)
            case Record():
                return "[] if trace else None"
            case Slot(node=node):
                constant = self._program.graph[node]
                if isinstance(constant, Constant) and len(set(constant.values)) == 1:
                    value = typed(constant.values[0], constant.type.dtype)
                    return self._program.filled(self, constant.type, ROOT, value)
        raise InternalError(f"{key} is read before it is computed")

    def size(self, symbol: str) -> str:
        """An expression for the size of an axis, from the input that has it."""
        for name, node in self._inputs:
            for axis, size in enumerate(node.type.shape):
                if size == Size.symbol(symbol):
                    return f"{name}.shape[{axis}]"
        if symbol == BATCH:
            return "1"
        raise InternalError(f"no input has an axis of size {symbol}")


def _wanted(program: Program, id: NodeId) -> Slot:
    slot = Slot(id, 0, ROOT)
    program.want(slot)
    return slot


def call_blocks(program: Program, main: Main, methods: Sequence[Method]) -> None:
    """The statements that run all blocks, each under its condition."""
    blocks = program.plan.blocks
    for place, block in enumerate(blocks):
        if block.otherwise:
            continue
        last = place + 1 + (place + 1 < len(blocks) and blocks[place + 1].otherwise)
        called = [method for method in methods[place:last] if method.results]
        if called and block.wrap is Wrap.NONE:
            main.lines += _call(main, methods[place], _names(program, main, methods[place]))
        elif called:
            _choose(program, main, block.space, methods[place:last])


def _names(program: Program, main: Main, method: Method) -> list[str]:
    """Variables for what a method gives."""
    for key in method.results:
        if isinstance(key, Slot):
            program.want(key)
    return [main.define(key) for key in method.results]


def _call(main: Main, method: Method, names: Sequence[str]) -> list[str]:
    given = [main.read(key) for key in method.parameters]
    return spread_out(f"{', '.join(names)} = self.{method.name}(", given, ")")


def _choose(program: Program, main: Main, space: SpaceId, methods: Sequence[Method]) -> None:
    """Runs one block where its space is run, else the other one, if there is one; what the other would have given, has
    stand-ins."""
    for method in methods:
        for key in method.parameters:
            main.read(key)
    condition = program.runs(main, space, _above(program, space))
    keys = [key for method in methods for key in method.results]
    nothing = main.read(Nothing()) if any(isinstance(key, Rows) for key in keys) else ""
    names = [_names(program, main, method) for method in methods]
    ran = [_call(main, *pair) if pair[1] else [] for pair in zip(methods, names, strict=True)]
    absent = [_stand_ins(program, *pair, nothing) for pair in zip(methods, names, strict=True)]
    main.say(f"if {condition}:")
    main.lines += indented([*ran[0], *(line for lines in absent[1:] for line in lines)])
    main.say("else:")
    main.lines += indented([*(line for lines in ran[1:] for line in lines), *absent[0]])


def _stand_ins(program: Program, method: Method, names: Sequence[str], nothing: str) -> list[str]:
    absent: dict[str, list[str]] = {}
    for name, key in zip(names, method.results, strict=True):
        absent.setdefault(_absent(program, key, nothing), []).append(name)
    return [f"{' = '.join(same)} = {value}" for value, same in absent.items()]


def _absent(program: Program, key: Key, nothing: str) -> str:
    """What stands for the result of a block that is not run; nobody computes with it."""
    match key:
        case Rows():
            return nothing
        case Taken():
            return "False"
        case Slot() if key in program.uniform:  # asked beside decisions over the batch: it must be a tensor
            return f"torch.zeros((), dtype={DTYPES[program.type(key).dtype]})"
    return "None"


def _above(program: Program, space: SpaceId) -> SpaceId:
    """The space whose rows a block's own index counts."""
    inner = program.compact(space)
    return ROOT if inner == ROOT else program.above(inner)
