"""The syntax tree: frozen dataclasses that follow the rules of `grammar/seed.lark`; every node ends in its span."""

from __future__ import annotations

from dataclasses import dataclass

from cogseedc.source import Span


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier where it is written."""

    text: str
    span: Span


# Expressions


@dataclass(frozen=True, slots=True)
class Reference:
    """A name used as a value."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Number:
    """`value` is an int without point or exponent (suffixes k M G applied), else a float."""

    value: int | float
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class String:
    value: str
    span: Span


@dataclass(frozen=True, slots=True)
class Boolean:
    value: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Tuple:
    items: tuple[Expr, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Negate:
    operand: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Not:
    operand: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Binary:
    """`operator` is one of + - * / % ^."""

    operator: str
    left: Expr
    right: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Compare:
    """`operator` is one of < <= > >= == !=."""

    operator: str
    left: Expr
    right: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Logical:
    """`operator` is `and` or `or`."""

    operator: str
    left: Expr
    right: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Positional:
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Keyword:
    name: Name
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Slice:
    """`O=0 .. c`, in `[...]` on a value."""

    name: Name
    start: Expr
    stop: Expr
    span: Span


Argument = Positional | Keyword | Slice


@dataclass(frozen=True, slots=True)
class Configure:
    """`callee[arguments]`: static arguments, or a static selection on a value."""

    callee: Expr
    arguments: tuple[Argument, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Apply:
    """`callee(arguments)`."""

    callee: Expr
    arguments: tuple[Argument, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Attribute:
    """`value.name`."""

    value: Expr
    name: Name
    span: Span


@dataclass(frozen=True, slots=True)
class Pipe:
    """`value |> callee`."""

    value: Expr
    callee: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Block:
    """Statements and what they yield. A bare expression is a block of no statements with one yield."""

    statements: tuple[Statement, ...]
    yields: tuple[Expr, ...]
    span: Span
    braces: bool = True
    """False for an arm that is written without braces."""


@dataclass(frozen=True, slots=True)
class When:
    condition: Expr
    then: Block
    otherwise: Block
    span: Span


@dataclass(frozen=True, slots=True)
class Case:
    """Arm `3 =>`, or `"max" =>` of a static choice."""

    value: Number | String
    span: Span


@dataclass(frozen=True, slots=True)
class Cases:
    """Arms `e in 0 .. 8 =>`."""

    variable: Name
    start: Expr
    stop: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Otherwise:
    """Arm `else =>`."""

    span: Span


@dataclass(frozen=True, slots=True)
class Arm:
    pattern: Case | Cases | Otherwise
    body: Block
    span: Span


@dataclass(frozen=True, slots=True)
class Route:
    selector: Expr
    merge: Name | None
    arms: tuple[Arm, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Carry:
    name: Name
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class For:
    variable: Name
    start: Expr
    stop: Expr
    carries: tuple[Carry, ...]
    body: Block
    span: Span


@dataclass(frozen=True, slots=True)
class Repeat:
    limit: Expr
    carries: tuple[Carry, ...]
    until: Expr | None
    body: Block
    span: Span


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class AxisType:
    """`N`, `C=3`, or a size alone. `N` alone is a name with no size when it begins with an upper-case letter."""

    name: Name | None
    size: Expr | None
    span: Span


@dataclass(frozen=True, slots=True)
class Type:
    """`f32[N, C=3] * count`."""

    dtype: Name
    axes: tuple[AxisType, ...]
    count: Expr | None
    span: Span


@dataclass(frozen=True, slots=True)
class StaticType:
    """`int`, `seed[]`."""

    name: Name
    many: bool
    span: Span


@dataclass(frozen=True, slots=True)
class StaticParameter:
    name: Name
    type: StaticType
    default: Expr | None
    span: Span


@dataclass(frozen=True, slots=True)
class Port:
    """`direction` is `in` or `out`."""

    direction: str
    name: Name
    type: Type
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class KnobDeclaration:
    name: Name
    type: Type | None
    default: Expr
    low: Expr
    high: Expr
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Meta:
    """`level`, `version`, `bits`, `geometry`, `scale`, `category`: the words as written."""

    kind: str
    values: tuple[Name, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Bound:
    """`mean <= 2M`."""

    measure: Name
    operator: str
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class Budget:
    quantity: Name
    bounds: tuple[Bound, ...]
    span: Span


# Statements


@dataclass(frozen=True, slots=True)
class Mark:
    """An attribute of the next statement: `@bits(int8)`."""

    name: Name
    arguments: tuple[Argument, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Bind:
    names: tuple[Name, ...]
    value: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Share:
    name: Name
    value: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class ParamDeclaration:
    name: Name
    type: Type
    value: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class StateDeclaration:
    name: Name
    type: Type
    value: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class GateDeclaration:
    name: Name
    axes: tuple[Name, ...]
    value: Expr
    estimator: Expr | None
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class ExitDeclaration:
    name: Name
    body: tuple[Statement, ...]
    condition: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class ExitsDeclaration:
    count: Expr
    at: Name
    body: tuple[Statement, ...]
    condition: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Next:
    names: tuple[Name, ...]
    value: Expr
    marks: tuple[Mark, ...]
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class LossDeclaration:
    name: Name
    value: Expr
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
)
Member = Meta | Budget | Port | KnobDeclaration | Statement

# Files


@dataclass(frozen=True, slots=True)
class SeedDeclaration:
    name: Name
    parameters: tuple[StaticParameter, ...]
    members: tuple[Member, ...]
    exported: bool
    doc: str
    span: Span


@dataclass(frozen=True, slots=True)
class Const:
    name: Name
    value: Expr
    span: Span


@dataclass(frozen=True, slots=True)
class ImportedName:
    name: Name
    alias: Name
    """The name itself when there is no `as`."""
    span: Span


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class File:
    items: tuple[Item, ...]
    span: Span
    suspects: frozenset[str] = frozenset()
    """Names in statements that were given up for a syntax mistake: that nothing binds them is no second mistake."""
