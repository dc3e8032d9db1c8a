"""An artifact taken apart, as far as it must be to build it anew in the same precisions, with something changed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cogseedc import target as targets
from cogseedc.analysis.widths import Widths
from cogseedc.driver.artifact import Artifact as Made
from cogseedc.driver.artifact import artifact as made_artifact
from cogseedc.driver.inspect import source_program, stored_weights
from cogseedc.driver.lower import lower
from cogseedc.driver.precisions import PAYLOAD, rounded_graph, widths_of
from cogseedc.driver.profile import profile_of
from cogseedc.driver.program import Program, Settings, load_texts
from cogseedc.driver.weights import Weights
from cogseedc.runtime import Artifact, read
from cogseedc.runtime.artifact import damaged, record, text
from cogseedc.target import Target

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array


@dataclass(frozen=True)
class Reopened:
    """What an artifact was made of."""

    artifact: Artifact
    program: Program
    weights: Weights
    target: Target
    widths: Widths
    bits: str
    gates: str

    def settled(
        self,
        knobs: Mapping[str, tuple[float, ...]],
        arms: Mapping[str, tuple[int, ...]],
        samples: Mapping[str, Array],
    ) -> Reopened:
        """The same with other defaults of knobs, and with arms folded away, on top of what is settled already.

        Without an arm it is another graph, for which reduced precisions are chosen anew; `samples` then tell the
        ranges.
        """
        old = self.program.settings
        settings = replace(
            old,
            knobs=tuple(({**dict(old.knobs), **knobs}).items()),
            arms=tuple(({**dict(old.arms), **arms}).items()),
        )
        program = reloaded(self.program, settings)
        if not arms or not self.widths.precisions:
            return replace(self, program=program)
        ranges = samples if self.widths.static else None
        fresh = lower(program, self.target, self.weights, self.gates, self.bits, ranges).widths
        return replace(self, program=program, widths=fresh)

    def made(self) -> Made:
        """The artifact, built anew."""
        lowering = lower(self.program, self.target, self.weights, self.gates, self.bits, widths=self.widths)
        return made_artifact(self.program, self.weights, lowering)


def reopen(path: str | os.PathLike[str] | Artifact) -> Reopened:
    """Takes an artifact apart. Raises UserError CS0830 .. CS0834, and what its source is refused for."""
    found = path if isinstance(path, Artifact) else read(path)
    found.check()
    program = source_program(found)
    numerics = record(found.manifest, "numerics")
    return Reopened(
        found,
        program,
        Weights.of(program, stored_weights(found), None),
        target_of(found),
        kept_widths(found, program),
        text(numerics, "bits"),
        text(numerics, "gates"),
    )


def reloaded(program: Program, settings: Settings) -> Program:
    """The same texts with other settings."""
    return load_texts(program.files, settings)


def target_of(artifact: Artifact) -> Target:
    """The target that an artifact was compiled for."""
    table = record(artifact.manifest, "target")
    target = targets.shipped(text(table, "name"))
    if "costs" in table:
        target = targets.with_costs(target, record(table, "costs"))
    return replace(target, profile=profile_of(record(table, "profile"))) if "profile" in table else target


def kept_widths(artifact: Artifact, program: Program) -> Widths:
    """The precisions that an artifact was built with; of one in fp32, none."""
    if PAYLOAD not in record(artifact.manifest, "payloads"):
        return Widths()
    try:
        data = json.loads(artifact.payload(PAYLOAD))
    except (ValueError, RecursionError):
        raise damaged(f"{PAYLOAD} is not JSON") from None
    return widths_of(data, rounded_graph(program, target_of(artifact), Widths()))
