"""Budgets as a call states them: `macs<=0.3x`, `worst macs<=2M`, `accuracy>=-0.2pt`, `latency_ms<=5`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cogseedc.diagnostics import Diagnostic, UserError

Quantity = Literal["macs", "latency_ms", "accuracy"]
_FORM = re.compile(
    r"(?:(?P<measure>mean|worst)\s+)?(?P<quantity>macs|latency_ms|accuracy)\s*(?P<sign><=|>=)\s*"
    r"(?P<value>-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)\s*(?P<unit>x|pt|%|k|M|G)?"
)
_UNITS = {"macs": ("", "x", "k", "M", "G"), "latency_ms": ("", "x"), "accuracy": ("", "%", "pt")}
_SCALE = {"k": 1e3, "M": 1e6, "G": 1e9, "%": 1e-2, "pt": 1e-2}


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound on the mean over samples, or (`worst`) on every sample."""

    text: str
    quantity: Quantity
    worst: bool
    value: float
    relative: bool
    """Of costs: times what the full network costs. Of accuracy: added to what the full network has."""

    def bound(self, full: float) -> float:
        """The bound, given what the full network has."""
        if not self.relative:
            return self.value
        return full + self.value if self.quantity == "accuracy" else full * self.value


def parse(texts: Iterable[str]) -> tuple[Budget, ...]:
    """Budgets from their texts. Raises UserError CS1007."""
    return tuple(_parse(text) for text in texts)


def _parse(text: str) -> Budget:
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise _error(text)
    unit, name, worst = match["unit"] or "", match["quantity"], match["measure"] == "worst"
    wanted = ">=" if name == "accuracy" else "<="
    value = float(match["value"])
    if (
        unit not in _UNITS[name]
        or match["sign"] != wanted
        or (name == "accuracy" and worst)
        or (value < 0 and unit != "pt")
    ):
        raise _error(text)
    quantity: Quantity = "macs" if name == "macs" else "latency_ms" if name == "latency_ms" else "accuracy"
    return Budget(text.strip(), quantity, worst, value * _SCALE.get(unit, 1.0), unit in ("x", "pt"))


def _error(text: str) -> UserError:
    help = "budgets: macs<=0.3x, macs<=2M, worst macs<=0.5x, accuracy>=-0.2pt, accuracy>=97%, latency_ms<=5"
    return UserError(Diagnostic("CS1007", f"{text!r} is no budget", help=help))


def of(budgets: Sequence[Budget], quantity: Quantity, worst: bool = False) -> tuple[Budget, ...]:
    """Those that bound a quantity."""
    return tuple(b for b in budgets if b.quantity == quantity and b.worst == worst)
