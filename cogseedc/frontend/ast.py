"""The syntax tree: frozen dataclasses that follow the rules of `grammar/seed.lark`; every node ends in its span."""

from __future__ import annotations

from cogseedc.record import record
from cogseedc.source import Span


@record
class Name:
    """An identifier where it is written."""

    text: str
    span: Span


# Expressions


@record
class Reference:
    """A name used as a value."""

    name: str
    span: Span


@record
class Number:
    """`value` is an int without point or exponent (suffixes k M G applied), else a float."""

    value: int | float
    text: str
    span: Span


@record
class String:
    value: str
    span: Span


@record
class Boolean:
    value: bool
    span: Span


@record
class Tuple:
    items: tuple[Expr, ...]
    span: Span


@record
class Negate:
    operand: Expr
    span: Span


@record
class Not:
    operand: Expr
    span: Span


@record
class Binary:
    """`operator` is one of + - * / % ^."""

    operator: str
    left: Expr
    right: Expr
    span: Span


@record
class Compare:
    """`operator` is one of < <= > >= == !=."""

    operator: str
    left: Expr
    right: Expr
    span: Span


@record
class Logical:
    """`operator` is `and` or `or`."""

    operator: str
    left: Expr
    right: Expr
    span: Span


@record
class Positional:
    value: Expr
    span: Span


@record
class Keyword:
    name: Name
    value: Expr
    span: Span


@record
class Slice:
    """`O=0 .. c`, in `[...]` on a value."""

    name: Name
    start: Expr
    stop: Expr
    span: Span


Argument = Positional | Keyword | Slice


@record
class Configure:
    """`callee[arguments]`: static arguments, or a static selection on a value."""

    callee: Expr
    arguments: tuple[Argument, ...]
    span: Span


@record
class Apply:
    """`callee(arguments)`."""

    callee: Expr
    arguments: tuple[Argument, ...]
    span: Span


@record
class Attribute:
    """`value.name`."""

    value: Expr
    name: Name
    span: Span


@record
class Pipe:
    """`value |> callee`."""

    value: Expr
    callee: Expr
    span: Span


@record
class Block:
    """Statements and what they yield. A bare expression is a block of no statements with one yield."""

    statements: tuple[Statement, ...]
    yields: tuple[Expr, ...]
    span: Span
    braces: bool = True
    """False for an arm that is written without braces."""


@record
class When:
    condition: Expr
    then: Block
    otherwise: Block
    span: Span


@record
class Case:
    """Arm `3 =>`, or `"max" =>` of a static choice."""

    value: Number | String
    span: Span


@record
class Cases:
    """Arms `e in 0 .. 8 =>`."""

    variable: Name
    start: Expr
    stop: Expr
    span: Span


@record
class Otherwise:
    """Arm `else =>`."""

    span: Span


@record
class Arm:
    pattern: Case | Cases | Otherwise
    body: Block
    span: Span


@record
class Route:
    selector: Expr
    merge: Name | None
    arms: tuple[Arm, ...]
    span: Span


@record
class Carry:
    name: Name
    value: Expr
    span: Span


@record
class For:
    variable: Name
    start: Expr
    stop: Expr
    carries: tuple[Carry, ...]
    body: Block
    span: Span


@record
class Repeat:
    limit: Expr
    carries: tuple[Carry, ...]
    until: Expr | None
    body: Block
    span: Span


@record
class Scan:
    variables: tuple[Name, ...]
    sequence: Expr
    axis: Name
    carries: tuple[Carry, ...]
    until: Expr | None
    body: Block
    span: Span


Expr = (
    Reference
    | Number
    | String
    | Boolean
    | Tuple
    | Negate
    | Not
    | Binary
    | Compare
    | Logical
    | Configure
    | Apply
    | Attribute
    | Pipe
    | When
    | Route
    | For
    | Repeat
    | Scan
)

# Types and members


@record
class AxisType:
    """`N`, `C=3`, or a size alone. `N` alone is a name with no size when it begins with an upper-case letter."""

    name: Name | None
    size: Expr | None
    span: Span


@record
class Type:
    """`f32[N, C=3] * count`."""

    dtype: Name
    axes: tuple[AxisType, ...]
    count: Expr | None
    span: Span


@record
class StaticType:
    """`int`, `seed[]`."""

    name: Name
    many: bool
    span: Span


@record
class StaticParameter:
    name: Name
    type: StaticType
    default: Expr | None
    span: Span


@record
class Port:
    """`direction` is `in` or `out`."""

    direction: str
    name: Name
    type: Type
    doc: str
    span: Span


@record
class KnobDeclaration:
    name: Name
    type: Type | None
    default: Expr
    low: Expr
    high: Expr
    doc: str
    span: Span


@record
class Meta:
    """`level`, `version`, `bits`, `geometry`, `scale`, `category`: the words as written."""

    kind: str
    values: tuple[Name, ...]
    span: Span


@record
class Bound:
    """`mean <= 2M`."""

    measure: Name
    operator: str
    value: Expr
    span: Span


@record
class Budget:
    quantity: Name
    bounds: tuple[Bound, ...]
    span: Span


# Statements


@record
class Mark:
    """An attribute of the next statement: `@bits(int8)`."""

    name: Name
    arguments: tuple[Argument, ...]
    span: Span


@record
class Bind:
    names: tuple[Name, ...]
    value: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@record
class Share:
    name: Name
    value: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@record
class ParamDeclaration:
    name: Name
    type: Type
    value: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@record
class StateDeclaration:
    name: Name
    type: Type
    value: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@record
class GateDeclaration:
    name: Name
    axes: tuple[Name, ...]
    value: Expr
    estimator: Expr | None
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@record
class ExitDeclaration:
    name: Name
    body: tuple[Statement, ...]
    condition: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@record
class ExitsDeclaration:
    count: Expr
    at: Name
    body: tuple[Statement, ...]
    condition: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@record
class Next:
    names: tuple[Name, ...]
    value: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@record
class LossDeclaration:
    name: Name
    value: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@record
class Require:
    condition: Expr
    reason: String | None
    marks: tuple[Mark, ...]
    doc: str
    span: Span


Statement = (
    Bind
    | Share
    | ParamDeclaration
    | StateDeclaration
    | GateDeclaration
    | ExitDeclaration
    | ExitsDeclaration
    | Next
    | LossDeclaration
    | Require
)
Member = Meta | Budget | Port | KnobDeclaration | Statement

# Files


@record
class SeedDeclaration:
    name: Name
    parameters: tuple[StaticParameter, ...]
    members: tuple[Member, ...]
    exported: bool
    doc: str
    span: Span


@record
class Const:
    name: Name
    value: Expr
    span: Span


@record
class ImportedName:
    name: Name
    alias: Name
    """The name itself when there is no `as`."""
    span: Span


@record
class Import:
    """`import path @version as alias` (no names) or `from path @version import names`."""

    path: str
    """A dotted package path, or a file path."""
    is_file: bool
    version: str | None
    alias: Name | None
    names: tuple[ImportedName, ...]
    span: Span


Item = Import | Const | SeedDeclaration


@record
class File:
    items: tuple[Item, ...]
    span: Span
    suspects: frozenset[str] = frozenset()
    """Names in statements that were given up for a syntax mistake: that nothing binds them is no second mistake."""
