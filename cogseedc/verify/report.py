"""What verification found, for people and for programs. Verifies nothing itself."""

from __future__ import annotations

from dataclasses import dataclass

from cogseedc.verify.census import ArmCount
from cogseedc.verify.compare import Mismatch, Tolerance

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_SHOWN = 20


@dataclass(frozen=True)
class Report:
    """The outcome. `ok` is whether the artifact means what its source means, as far as it was run."""

    subject: str
    """What was verified."""
    natural: int
    """Runs with the program's own decisions."""
    forced: int
    """Runs with forced decisions."""
    tolerance: Tolerance
    near: float
    """Decisions whose margin is at most this may differ."""
    mismatches: tuple[Mismatch, ...]
    dropped: int
    """Further mismatches, past the limit."""
    census: tuple[ArmCount, ...]
    untraced: tuple[str, ...]
    """Gates of the source that the artifact does not decide (folded by a pass)."""
    distances: tuple[tuple[str, float], ...]
    """Largest absolute distance of each output from the reference."""
    unrounded: tuple[tuple[str, float], ...] = ()
    """In reduced precision: largest distance from the reference that rounds nothing."""
    batch_coupled: bool = False
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.mismatches

    @property
    def unexercised(self) -> tuple[ArmCount, ...]:
        """Arms that never ran, forced or not: nothing is known of them."""
        return tuple(count for count in self.census if not count.natural and not count.forced)

    def to_text(self) -> str:
        """Lines for a terminal."""
        verdict = "verified" if self.ok else f"{len(self.mismatches) + self.dropped} mismatches"
        lines = [f"{self.subject}: {verdict} ({self.natural} natural and {self.forced} forced runs)"]
        lines += [f"  CS0850 {m.kind} {m.name} ({m.scenario}): {m.detail}" for m in self.mismatches[:_SHOWN]]
        hidden = len(self.mismatches[_SHOWN:]) + self.dropped
        if hidden:
            lines.append(f"  and {hidden} more")
        bounds = f"tolerance {self.tolerance.absolute:g} + {self.tolerance.relative:g} relative"
        lines += [f"  output {name}: largest distance {gap:.3g} ({bounds})" for name, gap in self.distances]
        lines += [f"  output {name}: largest distance {gap:.3g} from unrounded" for name, gap in self.unrounded]
        lines += [*self._census_lines(), *(f"  note: {note}" for note in self.notes)]
        return "\n".join(lines) + "\n"

    def _census_lines(self) -> list[str]:
        lines = []
        if self.census:
            width = max(len(count.gate) for count in self.census)
            lines.append(f"  {'gate'.ljust(width)}  arm   natural    forced")
            lines += [f"  {c.gate.ljust(width)}  {c.arm!s:>3}  {c.natural:>8}  {c.forced:>8}" for c in self.census]
        lines += [f"  CS0851 arm {c.arm} of {c.gate} never ran: nothing is known of it" for c in self.unexercised]
        if self.untraced:
            lines.append(f"  note: decided at compile time or together with others: {', '.join(self.untraced)}")
        return lines

    def to_json(self) -> dict[str, Json]:
        """The same as data."""
        return {
            "subject": self.subject,
            "ok": self.ok,
            "natural_runs": self.natural,
            "forced_runs": self.forced,
            "tolerance": {"absolute": self.tolerance.absolute, "relative": self.tolerance.relative},
            "margin": self.near,
            "mismatches": [
                {"code": "CS0850", "kind": m.kind, "scenario": m.scenario, "name": m.name, "detail": m.detail}
                for m in self.mismatches
            ],
            "dropped": self.dropped,
            "census": [{"gate": c.gate, "arm": c.arm, "natural": c.natural, "forced": c.forced} for c in self.census],
            "unexercised": [{"code": "CS0851", "gate": c.gate, "arm": c.arm} for c in self.unexercised],
            "untraced": [*self.untraced],
            "distances": {name: _number(gap) for name, gap in self.distances},
            "unrounded": {name: _number(gap) for name, gap in self.unrounded},
            "batch_coupled": self.batch_coupled,
            "notes": [*self.notes],
        }


def _number(value: float) -> float | None:
    """JSON has no infinity: None."""
    return value if value == value and abs(value) != float("inf") else None
