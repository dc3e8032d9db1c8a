"""Sizes of axes as i64 values inside a graph. Known ones are literals; symbols are read off the inputs' shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cogseedc.backends.onnx.builder import Region
from cogseedc.backends.plan.model import SpaceId
from cogseedc.ir import BATCH, Floor, Size


class Sizes:
    """Spells sizes. `symbols` names the value and the axis that gives each symbol but N; the rest is found `around`."""

    def __init__(
        self,
        symbols: Mapping[str, tuple[str, int]],
        rows: Callable[[Region, SpaceId], str],
        around: Sizes | None = None,
    ) -> None:
        self._symbols, self._rows, self._around = symbols, rows, around

    def vector(self, region: Region, sizes: Sequence[Size], space: SpaceId) -> str:
        """A 1-D i64 of all sizes, N being the number of rows of `space`."""
        parts: list[str] = []
        known: list[int] = []
        for size in sizes:
            if size.value is not None:
                known.append(size.value)
                continue
            if known:
                parts.append(region.constant(np.array(known, np.int64)))
                known = []
            parts.append(self._one(region, size, space))
        if known or not sizes:
            parts.append(region.constant(np.array(known, np.int64)))
        return parts[0] if len(parts) == 1 else region.home(*parts).node("Concat", parts, axis=0)

    def scalar(self, region: Region, size: Size, space: SpaceId) -> str:
        """A scalar i64."""
        if size.value is not None:
            return region.constant(np.array(size.value, np.int64))
        one = self._one(region, size, space)
        home = region.home(one)
        key = ("scalar", one)
        found = home.find(key)
        return found or home.keep(key, home.node("Squeeze", [one, home.constant(np.array([0], np.int64))]))

    def _one(self, region: Region, size: Size, space: SpaceId) -> str:
        """A 1-D i64 of one element."""
        scale = size.denominator
        total = self._sum(region, size * scale, space)
        return _floor_divided(region, total, scale) if scale != 1 else total

    def _sum(self, region: Region, size: Size, space: SpaceId) -> str:
        total = ""
        for monomial, coefficient in size.terms:
            factors = [self._atom(region, a, space) for a in monomial]
            if coefficient != 1 or not factors:
                factors.append(region.home().constant(np.array([int(coefficient)], np.int64)))
            term = factors[0]
            for factor in factors[1:]:
                term = _binary(region, "Mul", term, factor)
            total = _binary(region, "Add", total, term) if total else term
        return total or region.home().constant(np.array([0], np.int64))

    def _atom(self, region: Region, atom: str | Floor, space: SpaceId) -> str:
        if isinstance(atom, Floor):
            scale = atom.of.denominator
            return _floor_divided(region, self._sum(region, atom.of * scale, space), scale)
        return self._rows(region, space) if atom == BATCH else self._symbol(region, atom)

    def _symbol(self, region: Region, name: str) -> str:
        if name not in self._symbols and self._around is not None:
            return self._around._symbol(region, name)
        source, axis = self._symbols[name]
        home = region.home(source)
        key = ("symbol", source, axis)
        return home.find(key) or home.keep(key, home.node("Shape", [source], start=axis, end=axis + 1))


def _binary(region: Region, op_type: str, left: str, right: str) -> str:
    home = region.home(left, right)
    key = (op_type, left, right)
    found = home.find(key)
    return found or home.keep(key, home.node(op_type, [left, right]))


def _floor_divided(region: Region, value: str, by: int) -> str:
    """Floor division; ONNX's own rounds towards zero."""
    divisor = region.home().constant(np.array([by], np.int64))
    rest = _binary(region, "Mod", value, divisor)
    return _binary(region, "Div", _binary(region, "Sub", value, rest), divisor)
