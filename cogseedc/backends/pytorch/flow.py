"""The methods of a class: one per block, `_plan` that decides between them, `_train`, and their traces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cogseedc.backends.names import field_name
from cogseedc.backends.plan.model import ROOT, Block, Enter, GateReport, Run, Space, SpaceId, Strategy
from cogseedc.backends.pytorch.body import Body, Key, Record, Rows, Symbol, Taken, indented, spread_out
from cogseedc.backends.pytorch.calls import Main, Method, call_blocks
from cogseedc.backends.pytorch.literal import DTYPES, literal
from cogseedc.backends.pytorch.program import Program, Target, traced_types
from cogseedc.backends.pytorch.steps import emit_step
from cogseedc.ir import BATCH, Dtype, Gate, GateKind, Input, Loop, Loss, NodeId, Output, TensorType


def block_method(program: Program, block: Block) -> Method:
    """The method of a block."""
    body = program.body()
    for step in block.steps:
        emit_step(program, body, step, block.space)
    results: list[Key] = list(block.gives)
    for step in block.steps:
        if isinstance(step, Enter):
            results += entries(program, step.space)
    returned = [body.read(key) for key in results]
    name = f"_block_{program.prefix}{block.id}_{program.space(block.space).name}"
    start = spread_out(f"def {name}(", ["self", *(body.read(k) for k in body.parameters)], "):")
    end = spread_out("return ", returned, "")
    if len(end) > 1 or len(returned) > 7:
        end = spread_out("return (", returned, ")")
    return Method(name, (*start, *indented([*body.lines, *end])), tuple(body.parameters), tuple(results))


def entries(program: Program, space: SpaceId) -> list[Key]:
    """The variables that entering a space fills."""
    if program.space(space).strategy is Strategy.BRANCH:
        return [Taken(space)]
    return [Rows(space, program.above(space)), *program.composed.get(space, ())]


def plan_methods(program: Program, taken: Sequence[str]) -> list[Method]:
    """`_plan`, then its blocks and its trace."""
    blocks = [block_method(program, block) for block in program.plan.blocks]
    main = Main(program, taken)
    arguments = tuple(main.arguments)
    if _one_sample(program):
        main.say(f"if {main.read(Symbol(BATCH))} != 1:")
        main.say('    raise ValueError("this plan takes one sample at a time")')
    call_blocks(program, main, blocks)
    tracing = trace_method(program, "_plan_trace")
    results = _results(program, main)
    counts = row_counts(program, main)
    traced = [main.read(k) for k in tracing.parameters]
    main.lines += spread_out("result = Result(", results, ")")
    main.say("if trace:")
    main.lines += indented(spread_out("result.trace = self._plan_trace(", traced, ")"))
    main.lines += indented(spread_out("result.rows = {", counts, "}"))
    main.say("return result")
    start = spread_out("def _plan(", ["self", *arguments, "trace"], "):")
    document = '"""Runs what the decisions ask for: rows that have left are computed no further."""'
    plan = Method("_plan", (*start, *indented([document, *main.lines])))
    return [plan, *blocks, tracing]


def train_methods(program: Program, taken: Sequence[str]) -> list[Method]:
    """`_train`, which computes everything for all rows, and its trace."""
    main = Main(program, taken)
    arguments = tuple(main.arguments)
    losses: list[str] = []
    drawn: list[str] = []
    baselines: list[str] = []
    for block in program.plan.blocks:
        for step in block.steps:
            node = program.graph[step.node] if isinstance(step, Run) else None
            if isinstance(step, Run) and isinstance(node, Loss):
                first, *rest = (program.value(main, s) for s in step.inputs if s is not None)
                if node.drawn:
                    first = _batch_first(first, node.type.batch)
                (drawn if node.drawn else losses).append(f"{literal(node.name)}: {first}")
                baselines += [f"{literal(node.name)}: {_batch_first(v, node.type.batch)}" for v in rest]
            else:
                emit_step(program, main, step, ROOT)
    tracing = trace_method(program, "_train_trace")
    traced = [main.read(k) for k in tracing.parameters]
    results = _results(program, main)
    exits = [_exit(program, main, i) for i in range(len(program.plan.exits))]
    main.lines += spread_out("result = Result(", results, ")")
    main.lines += spread_out("result.exits = {", exits, "}")
    main.lines += spread_out("result.losses = {", losses, "}")
    main.lines += spread_out("result.logp = {", drawn, "}")
    if drawn:
        main.lines += spread_out("result.baseline = {", baselines, "}")
    main.say("if trace:")
    main.lines += indented(spread_out("result.trace = self._train_trace(", traced, ")"))
    main.say("return result")
    start = spread_out("def _train(", ["self", *arguments, "trace"], "):")
    document = (
        '"""Computes every arm and every exit for all rows, and the losses; gates decide as their estimators say."""'
    )
    return [Method("_train", (*start, *indented([document, *main.lines]))), tracing]


def _batch_first(text: str, batch: int | None) -> str:
    return f"{text}.movedim({batch}, 0)" if batch else text


def exit_fields(program: Program) -> list[tuple[str, ...]]:
    """For each exit the names of its values, as fields."""
    found: list[tuple[str, ...]] = []
    for _, values in program.plan.exits:
        fields: list[str] = []
        for name, _ in values:
            legal = field_name(name)
            while legal in fields:
                legal += "_"
            fields.append(legal)
        found.append(tuple(fields))
    return found


def result_fields(program: Program) -> tuple[str, ...]:
    """Fields of the result, but for the states."""
    nodes = (_output(program, id) for id, _ in program.plan.outputs)
    return tuple(field_name(node.name) for node in nodes if node.state is None)


def states(program: Program) -> list[Input]:
    """The states, as inputs."""
    nodes = (program.graph[id] for id in program.plan.inputs)
    return [node for node in nodes if isinstance(node, Input) and node.state is not None]


def state_symbols(program: Program) -> list[str]:
    """The symbols in the sizes of states, the batch's first."""
    found = {symbol for node in states(program) for size in node.type.shape for symbol in size.symbols()}
    return sorted(found, key=lambda symbol: (symbol != BATCH, symbol))


def keeps(program: Program) -> bool:
    """Whether it has states."""
    return any(_output(program, id).state is not None for id, _ in program.plan.outputs)


def _results(program: Program, main: Main) -> list[str]:
    """What the result is made of; the states after the call are put together in a variable before."""
    values: list[str] = []
    states: list[str] = []
    for id, slot in program.plan.outputs:
        node, value = _output(program, id), program.value(main, slot)
        if node.state is None:
            values.append(f"{field_name(node.name)}={value}")
        else:
            states.append(f"{literal(node.state.path)}: {value}")
    if not states:
        return values
    main.lines += spread_out("state = {", states, "}")
    return [*values, "state=state"]


def exit_class(fields: tuple[str, ...], program: Program) -> str:
    """Name of the tuple that has these fields."""
    kinds = list(dict.fromkeys(exit_fields(program)))
    same = fields == result_fields(program) and not keeps(program)
    return "Outputs" if same else f"ExitOutputs{kinds.index(fields) + 1}"


def _exit(program: Program, main: Main, index: int) -> str:
    name, values = program.plan.exits[index]
    fields = exit_fields(program)[index]
    given = [f"{f}={program.value(main, slot)}" for f, (_, slot) in zip(fields, values, strict=True)]
    return f"{literal(name)}: {exit_class(fields, program)}({', '.join(given)})"


def row_counts(program: Program, main: Main, prefix: str = "") -> list[str]:
    """For each space its name and how many rows it held; with those of the turns of loops."""
    spaces = [space for space in program.plan.spaces if space.id != ROOT]
    counts = [f"{literal(prefix + space.name)}: {_count(program, main, space)}" for space in spaces]
    for loop in program.loops:
        program.shared.support.add("sum_turns")
        counts.append(f"**sum_turns({main.read(Record(loop))})")
    return counts


def _count(program: Program, main: Main, space: Space) -> str:
    """How many rows a space was run for."""
    inner = program.compact(space.id)
    rows = main.read(Symbol(BATCH)) if inner == ROOT else f"{main.read(Rows(inner, program.above(inner)))}.shape[0]"
    if space.strategy is Strategy.BRANCH:
        return f"{rows} if {main.read(Taken(space.id))} else 0"
    return rows


def _one_sample(program: Program) -> bool:
    """Whether a decision over the batch is asked by a real `if`."""
    asked = {
        choice.decision
        for space in program.plan.spaces
        if space.strategy is Strategy.BRANCH
        for term in space.terms
        for choice in term
    }
    return any(program.type(slot).batch is not None for slot in asked)


def _output(program: Program, id: NodeId) -> Output:
    node = program.graph[id]
    assert isinstance(node, Output)
    return node


def trace_method(program: Program, name: str) -> Method:
    """The method that lays all decisions out at the rows of the batch, -1 where a gate was not reached."""
    body = program.body()
    found: dict[NodeId, str] = {}
    for report in program.plan.gates:
        found[report.gate] = _laid_out(program, body, report, found)
    parts = [f"{literal(report.name)}: {_shown(program, report, found)}" for report in program.plan.gates]
    parts += [part for id in program.loops for part in _turns(program, body, id, found)]
    end = spread_out("return {", parts, "}")
    start = spread_out(f"def {name}(", ["self", *(body.read(k) for k in body.parameters)], "):")
    return Method(name, (*start, *indented([*body.lines, *end])), tuple(body.parameters))


def _turns(program: Program, body: Body, id: NodeId, found: dict[NodeId, str]) -> Iterator[str]:
    """The gates of a loop, at the rows of the batch and in all turns."""
    reached = program.plan.loops[id].reached
    node, method = program.graph[id], program.loops[id]
    assert isinstance(node, Loop)
    space = next(b.space for b in program.plan.blocks for s in b.steps if isinstance(s, Run) and s.node == id)
    record = body.read(Record(id))
    for name, type in traced_types(method.body):
        laid = type.with_turns(node.steps)
        program.shared.support.add("lay_turns")
        text = f"lay_turns({program.filled(body, laid, space, '-1')}, {record}, {literal(name)}, {type.turn})"
        rows = None if type.batch is None else program.rows(space, ROOT)
        if space != ROOT:
            whole = program.filled(body, laid, ROOT, "-1")
            put = f"{whole}.index_copy({type.batch}, {body.read(rows)}, {text})" if rows is not None else text
            text = f"{put} if {program.runs(body, space, ROOT)} else {whole}"
        if reached != ((),):
            terms = [" & ".join(_held(program, found, c, laid) for c in term) for term in reached]
            text = f"torch.where({_either(terms)}, {text}, -1)"
        yield f"{literal(name)}: {text}"


_UNREACHED = "-2"
"""Where a k-of-n gate was not reached, while the trace is made: to tell it from a dropped slot, -1."""


def _shown(program: Program, report: GateReport, found: dict[NodeId, str]) -> str:
    many = report.indices is not None and (report.decision.space != ROOT or report.reached != ((),))
    return found[report.gate] + (".clamp(min=-1)" if many else "")


def _laid_out(program: Program, body: Body, report: GateReport, earlier: dict[NodeId, str]) -> str:
    gate = program.graph[report.gate]
    assert isinstance(gate, Gate)
    space = report.decision.space
    shown = report.indices or report.decision
    type = shown.whole(program.graph).with_dtype(Dtype.I64)
    condition = None if space == ROOT else program.runs(body, space, ROOT)
    text = _arms(program, body, report)
    absent = _UNREACHED if gate.kind is GateKind.MANY else "-1"
    unreached = None if condition is None else program.filled(body, type, ROOT, absent)
    name = body.scope.free(f"{program.wanted[report.decision]}_arm")
    if unreached is None:
        body.say(f"{name} = {text}", gate.origin)
    else:
        if type.batch is not None:
            text = program.put(body, name, text, Target(space, ROOT, type, shown.lay))
        body.say(f"{name} = {unreached}", gate.origin)
        body.say(f"if {condition}:")
        body.say(f"    {name} = {text}")
    if report.reached != ((),):
        terms = [" & ".join(_held(program, earlier, c, gate.type) for c in term) for term in report.reached]
        body.say(f"{name} = torch.where({_either(terms)}, {name}, {absent})")
    return name


def _either(terms: Sequence[str]) -> str:
    return " | ".join(f"({t})" for t in terms) if len(terms) > 1 else terms[0]


def _arms(program: Program, body: Body, report: GateReport) -> str:
    decision = program.value(body, report.decision)
    if report.indices is None:
        return f"{decision}.to({DTYPES[Dtype.I64]})"
    indices = program.value(body, report.indices)
    selected = f"{decision}.gather(-1, {indices}.clamp(min=0))"
    return f"torch.where(({indices} >= 0) & {selected}, {indices}, -1)"


def _held(
    program: Program, earlier: dict[NodeId, str], condition: tuple[NodeId, tuple[int, ...], bool], of: TensorType
) -> str:
    """Where an earlier gate's trace has one of some arms, laid along the axes of a trace of type `of`."""
    id, arms, negated = condition
    trace = earlier[id]
    asked = program.graph[id]
    assert isinstance(asked, Gate)
    if asked.kind is GateKind.MANY:
        text = (
            f"(({trace} != {arms[0]}) & ({trace} != {_UNREACHED})).all(-1)"
            if negated
            else f"({trace} == {arms[0]}).any(-1)"
        )
    else:
        text = " | ".join(f"({trace} == {arm})" for arm in arms)
        text = f"({text})" if len(arms) > 1 else text
    batch = of.batch
    if asked.type.batch is None:
        return text
    if batch is None:
        return f"{text}.any()"
    axes = asked.type.rank - (asked.kind is GateKind.MANY)
    later = of.rank - axes if axes > 1 else of.rank - 1 - batch
    return f"{text}[{':, ' * (axes - 1)}:{', None' * later}]" if later else text
