"""Arithmetic and functions of single elements.

Operands come aligned (see `rules.broadcast`); what is left of dtype differences is cast here.
"""

from __future__ import annotations

from collections.abc import Callable
from math import erf
from typing import TYPE_CHECKING, Any

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import Example, OnnxCall, Operand, OpSpec, ReferenceCall, Resolution, Site, TorchCall
from cogseedc.ir.types import Dtype, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.rules import (
    HALVES,
    INTEGERS,
    MOVABLE,
    NUMBERS,
    broadcast,
    float_of,
    flow_aligned,
    one,
    promoted,
    require,
)
from cogseedc.ops.spelling import (
    known,
    onnx_arg,
    onnx_cast,
    onnx_scalar,
    onnx_through,
    present,
    ref_arg,
    ref_cast,
    torch_arg,
)

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

GROUP = "elementwise"
_X = (Operand("x"),)
_XY = (Operand("x"), Operand("y"))
_PAIR = "x: f32[N, C=4], y: f32[N, C=4]"
_INTS = "x: i64[N, C=4], y: i64[N, C=4]"


def number_of(dtype: Dtype) -> Dtype:
    """The dtype of arithmetic: a bool counts as 0 or 1 in f32."""
    return Dtype.F32 if dtype is Dtype.BOOL else dtype


def _arithmetic(dtype_of: Callable[[Dtype], Dtype]) -> Callable[[Site], Resolution]:
    def rule(site: Site) -> Resolution:
        return one(Attrs(), TensorType(dtype_of(promoted(site)), broadcast(site)))

    return rule


def _signed(site: Site) -> Resolution:
    type = site.type(0)
    if type.dtype is Dtype.U8:
        site.fail("CS0305", f"`{site.op}` takes signed numbers, not {type}", "cast it: `cast[i32](x)`", 0)
    return one(Attrs(), type.with_dtype(number_of(type.dtype)))


def _torch(format: str, *integer: str) -> Callable[[TorchCall], str]:
    """Spelling by a format; another one for integers."""

    def spell(call: TorchCall) -> str:
        dtype = call.types[0].dtype
        args = [torch_arg(call, i, dtype) for i in range(len(call.args))]
        return (format if dtype.floating or not integer else integer[0]).format(*args)

    return spell


def _onnx(op_type: str, narrow: tuple[Dtype, ...] = (), whole: str = "") -> Callable[[OnnxCall], str]:
    """Spelling by one node; dtypes in `narrow` go through i32; `whole` is the node for integers."""

    def spell(call: OnnxCall) -> str:
        dtype = call.types[0].dtype
        work = onnx_through(call, dtype) if dtype in narrow else dtype
        args = [onnx_arg(call, i, work) for i in range(len(call.args))]
        name = call.node(op_type if dtype.floating or not whole else whole, args)
        return onnx_cast(call, name, work, dtype)

    return spell


def _reference(function: Callable[..., Any]) -> Callable[[ReferenceCall], Array]:
    def compute(call: ReferenceCall) -> Array:
        dtype = call.types[0].dtype
        with np.errstate(all="ignore"):
            return ref_cast(function(*(ref_arg(call, i, dtype) for i in range(len(call.args)))), dtype)

    return compute


_NARROW = (Dtype.I8, Dtype.U8)


def _binary(
    name: str,
    summary: str,
    torch: Callable[[TorchCall], str],
    onnx: Callable[[OnnxCall], str],
    reference: Callable[..., Any],
    dtype_of: Callable[[Dtype], Dtype] = number_of,
    examples: tuple[Example, ...] = (),
    first: str = _PAIR,
    rule: Callable[[Site], Resolution] | None = None,
    differentiable: bool = True,
) -> OpSpec:
    names = ", ".join(part.split(":")[0] for part in first.split("], "))
    return OpSpec(
        name, summary, _XY, (), rule or _arithmetic(dtype_of), flow_aligned, _reference(reference), torch, onnx,
        (Example(first, f"{name}({names})"), *examples), aligned=True, widths=HALVES, group=GROUP,
        differentiable=differentiable,
    )  # fmt: skip


def _integer_mod(call: OnnxCall) -> str:
    """The remainder with the sign of the divisor; modulo zero is 0 for integers, NaN for floats."""
    dtype = call.types[0].dtype
    x, y = onnx_arg(call, 0, dtype), onnx_arg(call, 1, dtype)
    zero = onnx_scalar(call, 0, dtype)
    if not dtype.floating:
        safe = call.node("Where", [call.node("Equal", [y, zero]), onnx_scalar(call, 1, dtype), y])
        return call.node("Mod", [x, safe])
    rest = call.node("Mod", [x, y], fmod=1)
    unlike = call.node("Less", [call.node("Mul", [call.node("Sign", [rest]), call.node("Sign", [y])]), zero])
    return call.node("Where", [unlike, call.node("Add", [rest, y]), rest])


def _integers(site: Site) -> Resolution:
    for i in range(len(site.operands)):
        require(site, i, INTEGERS, "integers (of real numbers take `floor(x / y)`)")
    return one(Attrs(), TensorType(promoted(site), broadcast(site)))


def _floor_divide_onnx(call: OnnxCall) -> str:
    """ONNX divides towards zero: the remainder is taken off before, which leaves nothing to round."""
    dtype = call.types[0].dtype
    work = onnx_through(call, dtype) if dtype in _NARROW else dtype
    x, y = onnx_arg(call, 0, work), onnx_arg(call, 1, work)
    zero, one_ = onnx_scalar(call, 0, work), onnx_scalar(call, 1, work)
    none = call.node("Equal", [y, zero])
    safe = call.node("Where", [none, one_, y])
    whole = call.node("Div", [call.node("Sub", [x, call.node("Mod", [x, safe])]), safe])
    return onnx_cast(call, call.node("Where", [none, zero, whole]), work, dtype)


def _power(x: Array, y: Array) -> Array:
    result = np.power(x.astype(np.float64), y.astype(np.float64))
    return result if x.dtype.kind == "f" else np.trunc(np.where(np.isfinite(result), result, 0))


_BINARY = (
    _binary("add", "Sum.", _torch("{} + {}"), _onnx("Add", _NARROW), lambda x, y: x + y),
    _binary("sub", "Difference.", _torch("{} - {}"), _onnx("Sub", _NARROW), lambda x, y: x - y),
    _binary(
        "mul", "Product.", _torch("{} * {}"), _onnx("Mul", _NARROW), lambda x, y: x * y,
        examples=(Example("x: f32[N, C=4], y: f32[C=4]", "mul(x, y)"), Example("x: bool[N], y: f32[N]", "mul(x, y)")),
    ),
    _binary(
        "div", "Quotient; of integers too it is a real number.", _torch("{} / {}"), _onnx("Div"), lambda x, y: x / y,
        float_of, (Example(_INTS, "div(x, y)"),),
    ),
    _binary(
        "mod", "Remainder with the sign of the divisor; an integer modulo 0 is 0.",
        _torch("torch.remainder({}, {})", "torch.remainder({0}, torch.where({1} == 0, 1, {1}))"), _integer_mod,
        lambda x, y: np.mod(x, y) if x.dtype.kind == "f" else np.mod(x, np.where(y == 0, 1, y)),
        examples=(Example(_INTS, "mod(x, y)"),),
    ),
    _binary(
        "floor_divide", "Quotient of integers, rounded down; one of 0 is 0.",
        _torch("torch.where({1} == 0, 0, torch.div({0}, torch.where({1} == 0, 1, {1}), rounding_mode='floor'))"),
        _floor_divide_onnx, lambda x, y: np.where(y == 0, 0, np.floor_divide(x, np.where(y == 0, 1, y))),
        examples=(Example("x: u8[N, C=4], y: u8[C=4]", "floor_divide(x, y)"),), first=_INTS, rule=_integers,
        differentiable=False,
    ),
    _binary(
        "pow", "Power; of integers an integer, rounded towards zero.", _torch("torch.pow({}, {})"),
        _onnx("Pow", _NARROW), _power,
        examples=(Example(_INTS, "pow(x, y)"),), first="positive: f32[N, C=4], y: f32[N, C=4]",
    ),
)  # fmt: skip


def _unary(
    name: str,
    summary: str,
    torch: Callable[[TorchCall], str],
    onnx: Callable[[OnnxCall], str],
    reference: Callable[..., Any],
    dtype_of: Callable[[Dtype], Dtype] = float_of,
    inputs: str = "x: f32[N, C=4]",
    differentiable: bool = True,
    widths: frozenset[str] = HALVES,
    rule: Callable[[Site], Resolution] | None = None,
) -> OpSpec:
    operand = inputs.split(":")[0]
    return OpSpec(
        name, summary, _X, (), rule or _arithmetic(dtype_of), flow_aligned, _reference(reference), torch, onnx,
        (Example(inputs, f"{name}({operand})"),), aligned=True, widths=widths, group=GROUP,
        differentiable=differentiable,
    )  # fmt: skip


def _chain(*op_types: str) -> Callable[[OnnxCall], str]:
    def spell(call: OnnxCall) -> str:
        name = onnx_arg(call, 0, call.types[0].dtype)
        for op_type in op_types:
            name = call.node(op_type, [name])
        return name

    return spell


def _square(call: OnnxCall) -> str:
    dtype = call.types[0].dtype
    work = onnx_through(call, dtype)
    x = onnx_arg(call, 0, work)
    return onnx_cast(call, call.node("Mul", [x, x]), work, dtype)


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(erf, otypes=[np.float64])(x))


_POSITIVE = "positive: f32[N, C=4]"
_UNARY = (
    _unary("neg", "The negative.", _torch("-{}"), _onnx("Neg"), lambda x: -x, rule=_signed),
    _unary("abs", "The absolute value.", _torch("torch.abs({})"), _onnx("Abs"), lambda x: np.abs(x), number_of),
    _unary("exp", "e to the power of x.", _torch("torch.exp({})"), _onnx("Exp"), lambda x: np.exp(x)),
    _unary("log", "Natural logarithm.", _torch("torch.log({})"), _onnx("Log"), lambda x: np.log(x), inputs=_POSITIVE),
    _unary("sqrt", "Square root.", _torch("torch.sqrt({})"), _onnx("Sqrt"), lambda x: np.sqrt(x), inputs=_POSITIVE),
    _unary(
        "rsqrt", "One over the square root.", _torch("torch.rsqrt({})"), _chain("Sqrt", "Reciprocal"),
        lambda x: 1 / np.sqrt(x), inputs=_POSITIVE,
    ),
    _unary("reciprocal", "One over x.", _torch("torch.reciprocal({})"), _onnx("Reciprocal"), lambda x: 1 / x),
    _unary("square", "x times x.", _torch("torch.square({})"), _square, lambda x: x * x, number_of),
    _unary("erf", "The error function.", _torch("torch.erf({})"), _onnx("Erf"), _erf),
    _unary("sin", "Sine of an angle in radians.", _torch("torch.sin({})"), _onnx("Sin"), lambda x: np.sin(x)),
    _unary("cos", "Cosine of an angle in radians.", _torch("torch.cos({})"), _onnx("Cos"), lambda x: np.cos(x)),
    _unary(
        "floor", "The largest integer that is at most x, at x's dtype.", _torch("torch.floor({})", "{}"),
        _onnx("Floor", whole="Identity"), lambda x: np.floor(x), number_of,
    ),
    _unary(
        "ceil", "The smallest integer that is at least x, at x's dtype.", _torch("torch.ceil({})", "{}"),
        _onnx("Ceil", whole="Identity"), lambda x: np.ceil(x), number_of,
    ),
    _unary(
        "round", "The nearest integer, halves to the even one, at x's dtype.", _torch("torch.round({})", "{}"),
        _onnx("Round", whole="Identity"), lambda x: np.rint(x), number_of,
    ),
    _unary("sign", "-1, 0 or 1; of NaN NaN.", _torch("torch.where({0} == {0}, torch.sign({0}), {0})", "torch.sign({})"),
           _onnx("Sign"), lambda x: np.sign(x), number_of),
    _unary(
        "identity", "The value itself.", _torch("{}"), _onnx("Identity"), lambda x: x, lambda d: d, widths=MOVABLE,
    ),
    _unary(
        "detach", "The value itself, through which no gradient passes.", _torch("{}.detach()"), _onnx("Identity"),
        lambda x: x, lambda d: d, widths=MOVABLE, differentiable=False,
    ),
)  # fmt: skip


# Choice and bounds


def _where_rule(site: Site) -> Resolution:
    require(site, 0, (Dtype.BOOL,), "a condition")
    return one(Attrs(), TensorType(promoted(site, (1, 2)), broadcast(site)))


def _where_torch(call: TorchCall) -> str:
    dtype = call.types[0].dtype
    return f"torch.where({call.args[0]}, {torch_arg(call, 1, dtype)}, {torch_arg(call, 2, dtype)})"


def _where_onnx(call: OnnxCall) -> str:
    dtype = call.types[0].dtype
    work = onnx_through(call, dtype) if dtype is Dtype.BOOL else dtype
    name = call.node("Where", [call.args[0], onnx_arg(call, 1, work), onnx_arg(call, 2, work)])
    return onnx_cast(call, name, work, dtype)


def _where_reference(call: ReferenceCall) -> Array:
    dtype = call.types[0].dtype
    return np.where(ref_arg(call, 0), ref_arg(call, 1, dtype), ref_arg(call, 2, dtype))


def _clamp_rule(site: Site) -> Resolution:
    for i in range(len(site.operands)):
        if site.given(i):
            require(site, i, NUMBERS, "numbers")
    return one(Attrs(), TensorType(promoted(site), broadcast(site)))


def _clamp_torch(call: TorchCall) -> str:
    dtype = call.types[0].dtype
    low = torch_arg(call, 1, dtype) if present(call.args, 1) else None
    high = torch_arg(call, 2, dtype) if present(call.args, 2) else None
    x = torch_arg(call, 0, dtype)
    x = x if low is None else f"torch.maximum({x}, {low})"
    return x if high is None else f"torch.minimum({x}, {high})"


def _clamp_onnx(call: OnnxCall) -> str:
    dtype = call.types[0].dtype
    x = onnx_arg(call, 0, dtype)
    if present(call.args, 1):
        x = call.node("Max", [x, onnx_arg(call, 1, dtype)])
    if present(call.args, 2):
        x = call.node("Min", [x, onnx_arg(call, 2, dtype)])
    return call.node("Identity", [x]) if x == call.args[0] else x


def _clamp_reference(call: ReferenceCall) -> Array:
    x = ref_arg(call, 0)
    x = np.maximum(x, ref_arg(call, 1)) if present_in(call, 1) else x
    x = np.minimum(x, ref_arg(call, 2)) if present_in(call, 2) else x
    return ref_cast(x, call.types[0].dtype)


def present_in(call: ReferenceCall, operand: int) -> bool:
    """Whether an optional operand was given to the reference."""
    return operand < len(call.args) and call.args[operand] is not None


def _extreme_rule(site: Site) -> Resolution:
    return one(Attrs(), TensorType(promoted(site), broadcast(site)))


def _extreme(name: str, torch_name: str, node: str) -> OpSpec:
    def torch(call: TorchCall) -> str:
        dtype = call.types[0].dtype
        text = torch_arg(call, 0, dtype)
        for i in range(1, len(call.args)):
            text = f"torch.{torch_name}({text}, {torch_arg(call, i, dtype)})"
        return text

    def onnx(call: OnnxCall) -> str:
        dtype = call.types[0].dtype
        work = onnx_through(call, dtype)
        found = call.node(node, [onnx_arg(call, i, work) for i in range(len(call.args))])
        return onnx_cast(call, found, work, dtype)

    def reference(call: ReferenceCall) -> Array:
        result = ref_arg(call, 0, call.types[0].dtype)
        for i in range(1, len(call.args)):
            other = ref_arg(call, i, call.types[0].dtype)
            result = np.minimum(result, other) if name == "minimum" else np.maximum(result, other)
        return result

    summary = f"The {'smaller' if name == 'minimum' else 'larger'} of two or more values; NaN where one is NaN."
    return OpSpec(
        name, summary, (Operand("x"), Operand("others", variadic=True)), (), _extreme_rule, flow_aligned, reference,
        torch, onnx, (Example(_PAIR, f"{name}(x, y)"), Example(_INTS, f"{name}(x, y)")), aligned=True, widths=HALVES,
        group=GROUP,
    )  # fmt: skip


def _isnan_rule(site: Site) -> Resolution:
    return one(Attrs(), site.type(0).with_dtype(Dtype.BOOL))


def _isnan_onnx(call: OnnxCall) -> str:
    source = known(call.inputs)
    if source.dtype.floating:
        return call.node("IsNaN", [call.args[0]])
    return call.node("Not", [call.node("Equal", [call.args[0], call.args[0]])])


_CHOICE = (
    OpSpec(
        "where", "Elements of `x` where the condition holds, else of `y`.",
        (Operand("condition"), Operand("x"), Operand("y")), (), _where_rule, flow_aligned, _where_reference,
        _where_torch, _where_onnx,
        (
            Example("c: bool[N], x: f32[N], y: f32[N]", "where(c, x, y)"),
            Example("c: bool[N, C=4], x: bool[N, C=4], y: bool[C=4]", "where(c, x, y)"),
        ),
        aligned=True, widths=MOVABLE, group=GROUP,
    ),
    OpSpec(
        "clamp", "The value within bounds (the upper one wins where they cross); NaN stays NaN.",
        (Operand("x"), Operand("low", optional=True), Operand("high", optional=True)), (), _clamp_rule, flow_aligned,
        _clamp_reference, _clamp_torch, _clamp_onnx,
        (
            Example("x: f32[N, C=4], low: f32[C=4], high: f32[C=4]", "clamp(x, low, high)"),
            Example("x: f32[N, C=4], low: f32[C=4]", "clamp(x, low)"),
        ),
        aligned=True, widths=HALVES, group=GROUP,
    ),
    _extreme("minimum", "minimum", "Min"),
    _extreme("maximum", "maximum", "Max"),
    OpSpec(
        "isnan", "Whether the value is NaN.", _X, (), _isnan_rule, flow_aligned,
        lambda call: ref_arg(call, 0) != ref_arg(call, 0), lambda call: f"torch.isnan({call.args[0]})", _isnan_onnx,
        (Example("x: f32[N, C=4]", "isnan(x)"),), aligned=True, group=GROUP, differentiable=False,
    ),
)  # fmt: skip

OPS: tuple[OpSpec, ...] = (*_BINARY, *_UNARY, *_CHOICE)
