"""The catalogue of operations: one `OpSpec` each, by name.

The tables are in the family modules; this module only brings them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType, ModuleType

from cogseedc.ir.opspec import OpSpec
from cogseedc.ops import (
    activation,
    assembly,
    attention,
    comparison,
    convolution,
    creation,
    decision,
    elementwise,
    estimation,
    geometry,
    layout,
    linear,
    loss,
    normalization,
    pooling,
    product,
    quantization,
    ranking,
    recurrent,
    reduction,
    resampling,
    sampling,
    scan,
    selection,
    shape,
    slicing,
    stochastic,
    transposed,
)
from cogseedc.ops.signature import bind, resolve, signature

FAMILIES: tuple[ModuleType, ...] = (
    elementwise,
    comparison,
    reduction,
    scan,
    ranking,
    selection,
    slicing,
    shape,
    layout,
    assembly,
    creation,
    decision,
    geometry,
    loss,
    linear,
    product,
    convolution,
    transposed,
    normalization,
    activation,
    pooling,
    resampling,
    sampling,
    attention,
    recurrent,
    stochastic,
    estimation,
    quantization,
)
"""Modules with a table `OPS` and the name of their family, `GROUP`."""


def _catalogue() -> Mapping[str, OpSpec]:
    found: dict[str, OpSpec] = {}
    for family in FAMILIES:
        for spec in family.OPS:
            assert spec.name not in found, f"two entries for {spec.name}"
            found[spec.name] = replace(spec, group=family.GROUP)
    return MappingProxyType(dict(sorted(found.items())))


OPS: Mapping[str, OpSpec] = _catalogue()
"""Every operation, sorted by name."""

__all__ = ["FAMILIES", "OPS", "bind", "resolve", "signature"]
