"""The geometry of what a call gives: that of its operands, which has to be one."""

from __future__ import annotations

from collections.abc import Sequence

from cogseedc.frontend.build.model import Tensor, mistake
from cogseedc.ir import Operand, OpSpec
from cogseedc.source import Span

GEOMETRIES = ("euclidean", "hyperbolic", "spherical")
"""What a seed may say of its values."""

_GIVEN = {
    "exp_map": "hyperbolic",
    "log_map": "euclidean",
    "to_sphere": "spherical",
    "to_euclidean": "euclidean",
}
"""Operations whose result has a geometry of its own."""


def geometry_of(spec: OpSpec, operands: Sequence[Tensor | None], span: Span) -> str:
    """Raises BuildError CS0238 where operands have different ones."""
    if spec.name in _GIVEN:
        return _GIVEN[spec.name]
    if all(t is None or t.geometry == "euclidean" for t in operands):
        return "euclidean"
    found = [
        t.geometry
        for t, o in zip(operands, _ports(spec, len(operands)), strict=True)
        if t and not o.weight and t.type.dtype.floating and t.type.rank
    ]
    for geometry in found[1:]:
        if geometry != found[0]:
            raise mistake(
                "CS0238",
                f"`{spec.name}` mixes a {found[0]} value with a {geometry} one",
                span,
                help="convert one first: `exp_map`, `log_map`, `to_sphere`, `to_euclidean`",
            )
    return found[0] if found else "euclidean"


def _ports(spec: OpSpec, count: int) -> list[Operand]:
    """The declared operand of each given one; a variadic one is that of all that follow it."""
    return [spec.operands[min(i, len(spec.operands) - 1)] for i in range(count)]
