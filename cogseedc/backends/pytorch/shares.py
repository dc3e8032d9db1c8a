"""Joins of a training plan whose arms count by shares: what stands for a decision, with a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cogseedc.backends.pytorch.program import Program, aligned
from cogseedc.diagnostics import InternalError
from cogseedc.ir import Gate, GateKind, Merge, MergeMode, NodeId


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm of a join: its value, and where its gate takes it, hard and (where there is one) as a share."""

    program: Program
    merge: Merge
    index: int
    value: str
    gate: NodeId
    mask: str
    given: str | None

    @property
    def kind(self) -> GateKind:
        return self._gate.kind

    @property
    def classes(self) -> int:
        return self._gate.arms

    @property
    def _gate(self) -> Gate:
        gate = self.program.graph[self.gate]
        assert isinstance(gate, Gate)
        return gate

    @property
    def share(self) -> str:
        """How much of the arm is taken, laid along the axes of the value."""
        assert self.given is not None
        arm = self.merge.arms[self.index]
        if self.kind is not GateKind.BOOL:
            return aligned(self.merge, self.index, f"{self.given}[..., {arm}]")
        whole = aligned(self.merge, self.index, self.given)
        return whole if arm else f"(1 - {whole})"

    @property
    def rest(self) -> str:
        """What the arm leaves."""
        whole = self.share
        return whole[5:-1] if whole.startswith("(1 - ") else f"(1 - {whole})"

    def weighed(self, weights: str | None) -> str:
        """The value by its share. The weights of a k-of-n gate have the share in them already."""
        if weights is not None:
            scale = aligned(self.merge, self.index, f"{weights}[..., {self.merge.arms[self.index]}]")
            text = f"{self.value} * {scale}"
            return text if self.given is not None else f"torch.where({self.mask}, {text}, 0)"
        return f"torch.where({self.mask}, {self.value}, 0)" if self.given is None else f"{self.share} * {self.value}"


def shared(merge: Merge, arms: Sequence[Arm], otherwise: str | None, weights: str | None) -> list[str]:
    """Expressions, each of which goes on with the result, `{}`, of the one before."""
    if merge.mode is MergeMode.SELECT:
        return _selected(arms, otherwise)
    lines = [arms[0].weighed(weights), *(f"{{}} + {arm.weighed(weights)}" for arm in arms[1:])]
    if merge.mode is MergeMode.MEAN:
        lines.append(f"{{}} / ({' + '.join(arm.share for arm in arms)}).clamp(min=1)")
    elif merge.mode is MergeMode.MAX:
        raise InternalError("a `max` join has no shares")
    if otherwise is not None:
        lines.append(f"{{}} + {' * '.join(arm.rest for arm in arms)} * {otherwise}")
    return lines


def _selected(arms: Sequence[Arm], otherwise: str | None) -> list[str]:
    """The first arm that is taken; arms of one gate exclude each other, so that they add up."""
    lines: list[str] = []
    rest = otherwise
    for group in reversed(_groups(arms)):
        if group[0].given is None:
            (arm,) = group
            text = arm.value if rest is None else f"torch.where({arm.mask}, {arm.value}, {rest})"
        else:
            terms = [f"{arm.share} * {arm.value}" for arm in group]
            left = _left(group)
            if rest is not None and left:
                terms.append(f"{left} * {rest}")
            text = " + ".join(terms)
        lines.append(text)
        rest = "{}"
    return lines


def _groups(arms: Sequence[Arm]) -> list[list[Arm]]:
    """Runs of arms with shares that ask the same exclusive gate; others alone."""
    groups: list[list[Arm]] = []
    for arm in arms:
        same = groups and groups[-1][0].gate == arm.gate and arm.given is not None and arm.kind is not GateKind.MANY
        if same:
            groups[-1].append(arm)
        else:
            groups.append([arm])
    return groups


def _left(group: Sequence[Arm]) -> str:
    """What the arms of a group leave; nothing when they are all of their gate's."""
    if len(group) == 1:
        return group[0].rest
    if len({arm.merge.arms[arm.index] for arm in group}) == group[0].classes:
        return ""
    return f"(1 - {' - '.join(arm.share for arm in group)})"
