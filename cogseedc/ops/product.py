"""Products of values: of matrices, and of any axes by letters."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import (
    Example,
    Flow,
    Kind,
    Mixing,
    OnnxCall,
    Operand,
    OpSpec,
    Parameter,
    Pointwise,
    Resolution,
    Site,
)
from cogseedc.ir.size import Size
from cogseedc.ir.types import Axis, TensorType
from cogseedc.lazy import lazy
from cogseedc.ops.contraction import onnx_einsum
from cogseedc.ops.neural import (
    NARROW,
    array,
    at_least,
    floating,
    onnx_matmul,
    onnx_settled,
    same_dtype,
    show,
    take,
)
from cogseedc.ops.rules import Flows, Types

if TYPE_CHECKING:
    import numpy as np

else:
    np = lazy("numpy")

GROUP = "product"


# ---- matmul


def _matmul_rule(site: Site) -> Resolution:
    a, b = at_least(site, 0, 2, "two matrices"), at_least(site, 1, 2, "two matrices")
    same_dtype(site, 1, a)
    if a.axes[-1].size != b.axes[-2].size:
        site.fail(
            "CS0352",
            f"matmul: {show(a)} and {show(b)} do not fit: {a.axes[-1]} against {b.axes[-2]}",
            "the last axis of the first operand goes with the last but one of the second",
            operand=1,
            sizes=(a.axes[-1].size, b.axes[-2].size),
        )
    lead: list[Axis] = []
    left, right = a.axes[:-2], b.axes[:-2]
    for i in range(1, max(len(left), len(right)) + 1):
        one = left[-i] if i <= len(left) else Axis(None, Size.of(1))
        two = right[-i] if i <= len(right) else Axis(None, Size.of(1))
        if one.size != two.size and Size.of(1) not in (one.size, two.size):
            message = f"matmul: {show(a)} and {show(b)} do not fit: {one} against {two}"
            site.fail("CS0347", message, operand=1, sizes=(one.size, two.size))
        if one.name and two.name and one.name != two.name and Size.of(1) not in (one.size, two.size):
            site.fail("CS0347", f"matmul: {show(a)} and {show(b)} do not fit: axis {one} against axis {two}", operand=1)
        wide = two if one.size == Size.of(1) else one
        lead.insert(0, Axis(wide.name or one.name or two.name, wide.size))
    return Resolution(Attrs(), (a.with_axes((*lead, a.axes[-2], b.axes[-1])),))


def _matmul_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    out = types[0]
    flows: list[tuple[Flow, ...]] = []
    for operand, kept_axis in ((0, -2), (1, -1)):
        kind = take(inputs, operand)
        near: list[Flow] = []
        for i, a in enumerate(kind.axes):
            to = i + out.rank - kind.rank
            pointwise = i == kind.rank + kept_axis or (i < kind.rank - 2 and a.size == out.axes[to].size)
            near.append(Pointwise(to) if pointwise else Mixing())
        flows.append(tuple(near))
    return tuple(flows)


def _matmul_macs(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Size:
    return types[0].elements * take(inputs, 0).axes[-1].size


def _matmul_onnx(c: OnnxCall) -> str:
    kinds = take(c.inputs, 0), take(c.inputs, 1)
    a, b = (onnx_settled(c, value, kind) for value, kind in zip(c.args, kinds, strict=True))
    return onnx_matmul(c, a, b, kinds[0].shape, kinds[1].shape)


# ---- einsum


def _letters(site: Site, equation: str) -> tuple[list[str], str]:
    """Letters of the operands and of the result. Refuses with CS0350 what is not plain einsum."""
    sides = equation.replace(" ", "").split("->")
    terms = sides[0].split(",")
    if len(sides) != 2:
        site.fail(
            "CS0350", f'einsum: "{equation}" has no single `->`', 'write `einsum["nd,de->ne"]`', static="equation"
        )
    if not all(t.isascii() and t.isalpha() for t in terms + ([sides[1]] if sides[1] else [])):
        site.fail(
            "CS0350", f'einsum: "{equation}" has signs that are not letters', "one letter an axis", static="equation"
        )
    if any(len(set(t)) != len(t) for t in terms):
        site.fail(
            "CS0350",
            f'einsum: "{equation}" has a letter twice in one operand',
            "take a diagonal apart",
            static="equation",
        )
    if len(set(sides[1])) != len(sides[1]) or not set(sides[1]) <= set("".join(terms)):
        help = "each letter of the result stands there once, and in an operand"
        site.fail(
            "CS0350",
            f'einsum: the result "{sides[1]}" of "{equation}" is not made of operand axes',
            help,
            static="equation",
        )
    return terms, sides[1]


def _einsum_rule(site: Site) -> Resolution:
    equation = str(site.statics["equation"])
    terms, out = _letters(site, equation)
    if len(terms) != len(site.operands):
        site.fail(
            "CS0350",
            f'einsum: "{equation}" has {len(terms)} operands, {len(site.operands)} are given',
            static="equation",
        )
    axes: dict[str, Axis] = {}
    first = floating(site, 0)
    for operand, term in enumerate(terms):
        kind = same_dtype(site, operand, first)
        if kind.rank != len(term):
            site.fail(
                "CS0350", f'einsum: "{term}" has {len(term)} letters, but the operand is {show(kind)}', operand=operand
            )
        for letter, axis in zip(term, kind.axes, strict=True):
            known = axes.setdefault(letter, axis)
            if known.size != axis.size:
                site.fail(
                    "CS0351",
                    f'einsum "{equation}": the letter {letter} is {known} and {axis}, in {show(kind)}',
                    "a letter has one size",
                    operand=operand,
                    sizes=(known.size, axis.size),
                )
            if known.name is None and axis.name is not None:
                axes[letter] = axis
    result: list[Axis] = []
    for letter in out:
        name = axes[letter].name
        result.append(Axis(None if name in [a.name for a in result] else name, axes[letter].size))
    return Resolution(Attrs.of(equation=f"{','.join(terms)}->{out}"), (TensorType(first.dtype, tuple(result)),))


def _einsum_terms(attrs: Attrs) -> tuple[list[str], str]:
    left, right = attrs.text("equation").split("->")
    return left.split(","), right


def _einsum_flow(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Flows:
    terms, out = _einsum_terms(attrs)
    return tuple(tuple(Pointwise(out.index(x)) if x in out else Mixing() for x in term) for term in terms)


def _einsum_macs(attrs: Attrs, inputs: Types, types: tuple[TensorType, ...]) -> Size:
    """Operands are contracted from left to right; what only one of the two has, and nobody later, is summed before."""
    terms, out = _einsum_terms(attrs)
    sizes = {x: a.size for i, term in enumerate(terms) for x, a in zip(term, take(inputs, i).axes, strict=True)}
    total, current = Size.of(0), set(terms[0])
    for i, term in enumerate(terms[1:], 1):
        later = set(out).union(*terms[i + 1 :])
        left, right = current & (set(term) | later), set(term) & (current | later)
        contracted = (left & right) - later
        if contracted:
            total = total + prod((sizes[x] for x in sorted(left | right)), start=Size.of(1))
        current = (left | right) - contracted
    return total


OPS: tuple[OpSpec, ...] = (
    OpSpec(
        name="matmul",
        summary="matrix product of the last two axes; axes left of them are matched from the right",
        operands=(Operand("a"), Operand("b")),
        parameters=(),
        rule=_matmul_rule,
        flow=_matmul_flow,
        reference=lambda c: array(c, 0) @ array(c, 1),
        torch=lambda c: f"torch.matmul({c.args[0]}, {c.args[1]})",
        onnx=_matmul_onnx,
        examples=(
            Example("a: f32[N, T=3, D=4], b: f32[N, D=4, S]", "matmul(a, b)"),
            Example("a: f32[N, D=4], b: f32[D=4, E=5]", "matmul(a, b)"),
            Example("a: f32[T=3, D=4], b: f32[N, D=4, S]", "matmul(a, b)"),
            Example("a: f32[T=3, N, D=4], b: f32[T=3, D=4, S=2]", "matmul(a, b)"),
        ),
        macs=_matmul_macs,
        widths=NARROW,
        group=GROUP,
    ),
    OpSpec(
        name="einsum",
        summary="sum of products by letters: each letter is an axis, letters right of `->` are kept",
        operands=(Operand("xs", variadic=True),),
        parameters=(Parameter("equation", Kind.STR),),
        rule=_einsum_rule,
        flow=_einsum_flow,
        reference=lambda c: np.einsum(c.attrs.text("equation"), *(array(c, i) for i in range(len(c.args)))),
        torch=lambda c: f'torch.einsum("{c.attrs.text("equation")}", {", ".join(str(a) for a in c.args)})',
        onnx=lambda c: onnx_einsum(c, c.attrs.text("equation"), c.args, c.inputs),
        examples=(
            Example("a: f32[N, M=4], k: f32[M=4, O=5, I=3]", 'einsum["nm,moi->noi"](a, k)'),
            Example("a: f32[N, T, D=4], b: f32[N, S, D=4]", 'einsum["ntd,nsd->nts"](a, b)'),
            Example("a: f32[N, D=4], b: f32[N, D=4], c: f32[D=4, E=2]", 'einsum["nd,nd,de->ne"](a, b, c)'),
            Example("a: f32[N, C=3, H, W]", 'einsum["nchw->nhwc"](a)'),
        ),
        macs=_einsum_macs,
        widths=NARROW - {"int8"},
        group=GROUP,
    ),
)
