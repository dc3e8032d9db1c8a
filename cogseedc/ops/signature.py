"""Matches the arguments of a call with a signature of the catalogue and runs its type rule.

Nothing here knows a single operation; every mistake is a `RuleError` that names the argument at fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from cogseedc.ir.opspec import REQUIRED, AxisArg, Kind, OpSpec, Parameter, Resolution, RuleError, Site, Static
from cogseedc.ir.size import Size
from cogseedc.ir.types import Dtype, TensorType

_COLLECTING = (Kind.SIZES,)
_LISTS = (Kind.AXES, Kind.INTS)
_WANTED = {
    Kind.SIZE: "a size: an integer, an axis, or `Name=size`",
    Kind.INT: "an integer",
    Kind.FLOAT: "a number",
    Kind.BOOL: "true or false",
    Kind.STR: "a string",
    Kind.DTYPE: "a dtype: f32, f16, bf16, i64, i32, i8, u8 or bool",
    Kind.AXIS: "an axis, by name or position",
    Kind.AXES: "an axis or a tuple of axes, by name or position",
    Kind.NEW_AXES: "a name, or a tuple of names, for new axes",
    Kind.SIZES: "sizes or axes",
    Kind.INTS: "an integer, or a tuple of integers",
    Kind.NAMED: "axes with sizes",
}


class _WrongKindError(Exception):
    """A value that is not of its parameter's kind."""


def signature(spec: OpSpec) -> str:
    """The signature for people: `mean[over?, keep=false](x)`; what has a `?` may be left out."""
    statics = ", ".join(_parameter(p) for p in spec.parameters)
    operands = ", ".join(("..." if o.variadic else "") + o.name + ("?" if o.optional else "") for o in spec.operands)
    return f"{spec.name}{f'[{statics}]' if statics else ''}({operands})"


def _parameter(parameter: Parameter) -> str:
    if parameter.default is REQUIRED:
        return parameter.name
    default = parameter.default
    if default is None or default == ():
        return f"{parameter.name}?"
    if isinstance(default, Dtype):
        text = default.value
    elif isinstance(default, bool):
        text = str(default).lower()
    else:
        text = str(default)
    return f"{parameter.name}={text}"


_OTHERS = {
    "over": "dim axis dims axes",
    "axes": "dim axis dims perm",
    "axis": "dim",
    "keep": "keepdim keepdims",
    "kernel": "kernel_size pool_size filter_size ksize",
    "heads": "num_heads n_heads nhead",
    "hidden": "hidden_size units",
    "size": "out_features output_size units embedding_dim out_dim",
    "channels": "out_channels filters",
    "count": "num_embeddings vocab_size repeats",
    "p": "rate",
    "slope": "negative_slope alpha",
    "groups": "num_groups",
    "scale": "scale_factor",
    "causal": "is_causal",
    "affine": "elementwise_affine",
    "bias": "use_bias",
    "eps": "epsilon",
    "sizes": "shape size",
    "shift": "shifts",
    "classes": "num_classes depth",
}
ELSEWHERE = {
    name: tuple(ours for ours, others in _OTHERS.items() if name in others.split())
    for name in " ".join(_OTHERS.values()).split()
}
"""What other frameworks call a static parameter, and the names that it may have here."""


def _unknown(spec: OpSpec, name: str) -> RuleError:
    names = [p.name for p in spec.parameters]
    known = [ours for ours in ELSEWHERE.get(name, ()) if ours in names]
    near = get_close_matches(name, names)
    if known:
        help = f"it is `{known[0]}` here"
    elif near:
        help = f"did you mean `{near[0]}`?"
    elif any(o.name == name for o in spec.operands):
        help = f"`{name}` is a value, so it is given in parentheses: {signature(spec)}"
    elif names:
        help = f"it takes {', '.join(f'`{n}`' for n in names)}"
    else:
        help = "it takes no static arguments"
    return RuleError("CS0306", f"`{spec.name}` has no static parameter `{name}`", help, static=name)


def bind(
    spec: OpSpec,
    positional: Sequence[Static] = (),
    keywords: Mapping[str, Static] | None = None,
    named: Sequence[AxisArg] = (),
) -> dict[str, Static]:
    """Values of all static parameters of a call, each of its kind, defaults filled in.

    `named` are the `E=5` arguments: they fill the parameter of kind NAMED, or count as positional when
    there is none. Canonical attributes of a resolution bind again to the same values.
    Raises RuleError (CS0306 unknown, CS0307 missing, CS0308 given twice or too many, CS0309 wrong kind).
    """
    keywords = keywords or {}
    by_name = {p.name: p for p in spec.parameters}
    for name in keywords:
        if name not in by_name:
            raise _unknown(spec, name)
    values: dict[str, Static] = dict(keywords)
    collector = next((p for p in spec.parameters if p.kind is Kind.NAMED), None)
    rest: list[Static] = list(positional)
    if collector is None:
        rest += named
    elif named or collector.name not in values:
        values[collector.name] = tuple(named)
    _place(spec, rest, values)
    bound: dict[str, Static] = {}
    for parameter in spec.parameters:
        if parameter.name not in values:
            if parameter.default is REQUIRED:
                message = f"`{spec.name}` needs `{parameter.name}`"
                raise RuleError("CS0307", message, f"write {signature(spec)}", static=parameter.name)
            bound[parameter.name] = parameter.default
            continue
        bound[parameter.name] = _convert(spec, parameter, values[parameter.name])
    return bound


def _place(spec: OpSpec, rest: list[Static], values: dict[str, Static]) -> None:
    """Gives positional arguments to parameters, in order of declaration."""
    given = tuple(rest)
    for parameter in spec.parameters:
        if not rest:
            return
        if parameter.name in values or parameter.kind is Kind.NAMED:
            continue
        if parameter.kind in _COLLECTING:
            whole = len(rest) == 1 and isinstance(rest[0], tuple) and not _is_pair(rest[0])
            values[parameter.name] = rest[0] if whole else tuple(rest)
            rest.clear()
        else:
            values[parameter.name] = rest.pop(0)
    if rest:
        count = sum(p.kind is not Kind.NAMED for p in spec.parameters)
        message = (
            f"`{spec.name}` has {len(rest)} static argument{'s' * (len(rest) > 1)} too many, or one is given twice"
        )
        help = f"it takes at most {count}: {signature(spec)}"
        if count == 1 and spec.parameters[0].kind in _LISTS:
            named = (value.name if isinstance(value, AxisArg) else show(value) for value in given)
            help = f"a list stands in parentheses: `{spec.name}[({', '.join(named)})]`"
        raise RuleError("CS0308", message, help)


def _convert(spec: OpSpec, parameter: Parameter, value: Static) -> Static:
    if value is None and parameter.default is None:
        return None
    try:
        return _CONVERT[parameter.kind](value)
    except _WrongKindError:
        message = f"`{parameter.name}` of `{spec.name}` takes {_WANTED[parameter.kind]}, not {show(value)}"
        help = f"write {signature(spec)}"
        if isinstance(value, AxisArg) and value.name in ("True", "False", "None"):
            small = value.name.lower()
            help = (
                f"write `{parameter.name}={small}`" if parameter.kind is Kind.BOOL else f"leave `{parameter.name}` out"
            )
        if parameter.kind is Kind.NAMED:
            help = f"write each in the brackets, without `{parameter.name}`: `{spec.name}[..., A=2]`"
        raise RuleError("CS0309", message, help, static=parameter.name) from None


def show(value: Static) -> str:
    """A static value in the language's syntax, for messages."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Dtype):
        return value.value
    if isinstance(value, AxisArg):
        return value.name if value.size is None else f"{value.name}={value.size}"
    if isinstance(value, tuple):
        return "(" + ", ".join(show(v) for v in value) + ("," if len(value) == 1 else "") + ")"
    return "none" if value is None else str(value)


def _is_pair(value: Static) -> bool:
    """Whether it is the canonical form of a named size: `("E", 5)`."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], str)
        and (isinstance(value[1], Size) or _is_int(value[1]))
    )


def _is_int(value: Static) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _size(value: Static) -> Size | AxisArg:
    if isinstance(value, AxisArg | Size):
        return value
    if isinstance(value, int) and _is_int(value):
        return Size.of(value)
    if isinstance(value, tuple) and _is_pair(value):
        name, size = value
        assert isinstance(name, str)
        assert isinstance(size, int | Size)
        return AxisArg(name, Size.of(size))
    raise _WrongKindError


def _int(value: Static) -> int:
    if isinstance(value, AxisArg) and value.size is not None:
        value = value.size
    if isinstance(value, Size) and value.value is not None:
        return value.value
    if isinstance(value, int) and _is_int(value):
        return value
    raise _WrongKindError


def _float(value: Static) -> float:
    if isinstance(value, float):
        return value
    return float(_int(value))


def _bool(value: Static) -> bool:
    if isinstance(value, bool):
        return value
    raise _WrongKindError


def _str(value: Static) -> str:
    if isinstance(value, str):
        return value
    raise _WrongKindError


def _dtype(value: Static) -> Dtype:
    if isinstance(value, Dtype):
        return value
    raise _WrongKindError


def _axis(value: Static) -> AxisArg | int:
    return value if isinstance(value, AxisArg) else _int(value)


def _axes(value: Static) -> tuple[Static, ...]:
    return tuple(_axis(v) for v in value) if isinstance(value, tuple) else (_axis(value),)


def _new_axis(value: Static) -> AxisArg:
    if isinstance(value, str):
        return AxisArg(value)
    size = _size(value)
    if isinstance(size, AxisArg):
        return size
    raise _WrongKindError


def _new_axes(value: Static) -> tuple[Static, ...]:
    if isinstance(value, tuple) and not _is_pair(value):
        return tuple(_new_axis(v) for v in value)
    return (_new_axis(value),)


def _sizes(value: Static) -> tuple[Static, ...]:
    if isinstance(value, tuple) and not _is_pair(value):
        return tuple(_size(v) for v in value)
    return (_size(value),)


def _ints(value: Static) -> Static:
    return tuple(_int(v) for v in value) if isinstance(value, tuple) else _int(value)


_CONVERT = {
    Kind.SIZE: _size,
    Kind.INT: _int,
    Kind.FLOAT: _float,
    Kind.BOOL: _bool,
    Kind.STR: _str,
    Kind.DTYPE: _dtype,
    Kind.AXIS: _axis,
    Kind.AXES: _axes,
    Kind.NEW_AXES: _new_axes,
    Kind.SIZES: _sizes,
    Kind.INTS: _ints,
    Kind.NAMED: _new_axes,
}


def resolve(
    spec: OpSpec,
    operands: Sequence[TensorType | None],
    statics: Mapping[str, Static],
    axes: Mapping[str, Size] | None = None,
) -> Resolution:
    """Runs the type rule of a call. `statics` come from `bind`; `axes` are sizes of the names in scope.

    Raises RuleError (CS0301 too few operands, CS0319 too many, or what the rule refuses).
    """
    variadic = bool(spec.operands) and spec.operands[-1].variadic
    if len(operands) > len(spec.operands) and not variadic:
        message = (
            f"`{spec.name}` takes {len(spec.operands)} operand{'s' * (len(spec.operands) != 1)}, not {len(operands)}"
        )
        raise RuleError("CS0319", message, f"write {signature(spec)}", operand=len(spec.operands))
    for i, operand in enumerate(spec.operands):
        absent = i >= len(operands) or operands[i] is None
        if absent and not (operand.optional or operand.weight):
            raise RuleError(
                "CS0301", f"`{spec.name}` needs the operand `{operand.name}`", f"write {signature(spec)}", i
            )
    return spec.rule(Site(spec.name, tuple(operands), statics, axes or {}))
