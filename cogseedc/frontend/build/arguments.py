"""Static arguments of a seed: bound to its parameters, checked against their types."""

from __future__ import annotations

from dataclasses import replace

from cogseedc.diagnostics import Label
from cogseedc.frontend import ast
from cogseedc.frontend.build.calls import CALLABLE
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.model import (
    Builtin,
    Configured,
    Frame,
    Item,
    Module,
    OpRef,
    Scope,
    SeedRef,
    Shared,
    mistake,
)
from cogseedc.frontend.build.names import described, suggestion
from cogseedc.ir import (
    AxisArg,
    Dtype,
    Size,
)
from cogseedc.source import Span


def module_scope(module: Module) -> Scope:
    """The names that a body sees outside itself."""
    return Scope(None, module.names)


def static_arguments(b: Builder, frame: Frame, ref: SeedRef, configured: Configured) -> dict[str, Item]:
    """Static parameters with their arguments, checked against their types."""
    parameters = ref.declaration.parameters
    given = dict(configured.keywords)
    span = configured.span
    if configured.named:
        raise mistake(
            "CS0222", f"`{ref.declaration.name.text}` has no axis arguments, so no `{configured.named[0].name}=`", span
        )
    if len(configured.positional) > len(parameters):
        raise mistake(
            "CS0223",
            f"`{ref.declaration.name.text}` takes {len(parameters)} static argument{'s' * (len(parameters) != 1)}, "
            f"not {len(configured.positional)}",
            span,
            Label(ref.declaration.name.span, "declared here"),
        )
    for parameter, item in zip(parameters, configured.positional, strict=False):
        if parameter.name.text in given:
            raise mistake("CS0211", f"`{parameter.name.text}` is given twice", span)
        given[parameter.name.text] = item
    names = [p.name.text for p in parameters]
    for name in given:
        if name not in names:
            raise mistake(
                "CS0223",
                f"`{ref.declaration.name.text}` has no static parameter `{name}`",
                span,
                Label(ref.declaration.name.span, "declared here"),
                help=suggestion(name, names),
            )
    scope = Scope(module_scope(ref.module))
    for parameter in parameters:
        if parameter.name.text in given:
            argument = given[parameter.name.text]
        else:
            if parameter.default is None:
                raise mistake(
                    "CS0223",
                    f"`{ref.declaration.name.text}` needs the static argument `{parameter.name.text}`",
                    span,
                    Label(parameter.span, "declared here"),
                    help=f"write `{ref.declaration.name.text}[{parameter.name.text}=...]`",
                )
            argument = b.evaluate(replace(frame, scope=scope), parameter.default)
        scope.names[parameter.name.text] = typed(parameter, argument, span)
    return scope.names


def typed(parameter: ast.StaticParameter, item: Item, span: Span) -> Item:
    """A static argument of the declared type. Raises BuildError."""
    kind = parameter.type.name.text
    check = _STATIC.get(kind)
    if check is None:
        raise mistake(
            "CS0224",
            f"`{kind}` is no static type",
            parameter.type.span,
            help=suggestion(kind, _STATIC) or f"one of {', '.join(_STATIC)}",
        )
    if not parameter.type.many:
        return _typed(parameter, item, kind, span)
    if not isinstance(item, tuple):
        raise mistake(
            "CS0225",
            f"`{parameter.name.text}` is {kind}[], a tuple, but {described(item)} is given",
            span,
            Label(parameter.span, "declared here"),
            help="write `(16, 32)`, or `(16,)` for one",
        )
    return tuple(_typed(parameter, i, kind, span) for i in item)


def _typed(parameter: ast.StaticParameter, item: Item, kind: str, span: Span) -> Item:
    if kind == "int" and isinstance(item, AxisArg) and item.size is not None:
        return item.size.value if item.size.value is not None else item.size
    if kind == "float" and isinstance(item, int) and not isinstance(item, bool):
        return float(item)
    if not _STATIC[kind](item):
        raise mistake(
            "CS0225",
            f"`{parameter.name.text}` is {kind}, but {described(item)} is given",
            span,
            Label(parameter.span, "declared here"),
        )
    return item


_STATIC = {
    "int": lambda i: isinstance(i, (int, Size)) and not isinstance(i, bool),
    "float": lambda i: isinstance(i, float),
    "bool": lambda i: isinstance(i, bool),
    "str": lambda i: isinstance(i, str),
    "dtype": lambda i: isinstance(i, Dtype),
    "axis": lambda i: isinstance(i, AxisArg),
    "op": lambda i: (
        isinstance(i, (OpRef, Builtin)) or (isinstance(i, Configured) and isinstance(i.target, (OpRef, Builtin)))
    ),
    "seed": lambda i: (
        isinstance(i, (SeedRef, Shared))
        or (isinstance(i, Configured) and isinstance(i.target, SeedRef))
        or isinstance(i, CALLABLE)
    ),
}
