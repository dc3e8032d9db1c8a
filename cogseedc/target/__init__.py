"""Targets as data: what a backend may use on a kind of machine, and what things cost there.

A target is a folder of `targets/` with a `target.toml`. Nothing here decides; the plan does.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Literal

from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.resources import folder

STRATEGIES = ("dense", "compact", "branch", "tiles")
PRECISIONS = ("fp32", "fp16", "bf16", "fp8", "int8")

Wraps = Literal["needed", "always"]


@dataclass(frozen=True, slots=True)
class Costs:
    """What the plan reckons with: times of one thread, or of the device."""

    mac_ns: float
    """One multiply-accumulate, in nanoseconds."""
    op_us: float
    """Starting one operation, in microseconds."""
    take_ns: float
    """Gathering one element of the rows that stay."""
    put_ns: float
    """Putting one element back into its row."""
    select_ns: float
    """Choosing one element between two arms that are both computed."""
    select_us: float
    """Starting such a choice, with its decision laid along what is chosen, in microseconds."""
    pass_ns: float
    """Reading one element in an operation that multiplies nothing: an activation, a pooling."""
    layout_ns: float
    """Turning one element of an image out of the layout that convolutions work in, or back; 0 where there is none."""
    branch_us: float
    """One `if` on a decision, in microseconds."""
    wrap_us: float
    """Asking whether a region has any row, in microseconds."""
    empty_us: float
    """An operation on no row, in microseconds."""
    weight_ns: float
    """One element of a weight that is made while running, beyond what it costs to make it."""


@dataclass(frozen=True, slots=True)
class Width:
    """What numbers of one precision cost, in nanoseconds."""

    mac_ns: float
    """One multiply-accumulate."""
    element_ns: float
    """Writing one element of any other operation."""
    convert_ns: float
    """Bringing one element to this precision, or from it."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a program does on real inputs. A plan reckons with it; what the program means does not depend on it."""

    rows: int
    """Samples of the batches that it was made with."""
    shares: tuple[tuple[str, tuple[float, ...]], ...]
    """By gate: for each arm the share, of the indices that reach the gate, that takes (of k-of-n: selects) it."""
    anywhere: tuple[tuple[str, tuple[float, ...]], ...] = ()
    """By gate over more than the batch: for each arm the share of the samples in which any index takes it."""

    def share(self, gate: str, arm: int) -> float | None:
        """The share of an arm; None for a gate that the profile does not know."""
        return _share(self.shares, gate, arm)

    def share_anywhere(self, gate: str, arm: int) -> float | None:
        """The share of the samples in which an arm is taken anywhere; None for a gate of which that is not known."""
        return _share(self.anywhere, gate, arm)


def _share(shares: tuple[tuple[str, tuple[float, ...]], ...], gate: str, arm: int) -> float | None:
    known = dict(shares).get(gate)
    return known[arm] if known is not None and arm < len(known) else None


WIDTHS = (*PRECISIONS, "int8_rows")
"""Rows of the table `[widths]`; `int8_rows` is int8 whose scales are measured while the program runs, per sample."""


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of machine and runtime."""

    name: str
    summary: str
    backend: Literal["torch", "onnx"]
    device: Literal["cpu", "cuda"]
    providers: tuple[str, ...]
    """Execution providers of ONNX Runtime, best first."""
    batch_one: bool
    """Whether an artifact takes one sample at a time, so that every decision over the batch is one element."""
    wrap: Wraps
    """Where a compacted region is skipped when it has no rows: only where it must be, or always."""
    gates: tuple[str, ...]
    """Strategies that the plan may choose from."""
    precisions: tuple[str, ...]
    bits: Literal["fp32", "auto"]
    """Precision without `--bits`: all in fp32, or what `assign-bitwidths` chooses."""
    costs: Costs
    widths: tuple[tuple[str, Width], ...] = ()
    """What each precision costs here; `assign-bitwidths` weighs them."""
    int8_weight: int = 127
    """Largest magnitude of an int8 weight. 64 where a kernel may add two products in 16 bits (x86 without VNNI)."""
    int8_layers: bool = False
    """Whether layers multiply integers where scales are fixed; if not, int8 rounds alike but saves no time."""
    row_layers: tuple[str, ...] = ()
    """Layers that multiply integers also where scales are measured sample by sample."""
    probed: bool = False
    """Whether the costs were measured on this machine."""
    profile: Profile | None = None
    """What is known of the decisions of the program that is compiled."""

    def width(self, precision: str) -> Width:
        """What a precision costs. Without numbers: as fp32, and conversions for nothing."""
        return dict(self.widths).get(precision, Width(self.costs.mac_ns, self.costs.select_ns, 0.0))

    @property
    def wrap_regions(self) -> bool:
        """Whether every compacted region is skipped when it has no rows."""
        return self.wrap == "always"

    @property
    def default_bits(self) -> str:
        """Precision without `--bits`: `fp32` or `auto`."""
        return self.bits


def names() -> tuple[str, ...]:
    """Names of all targets, sorted."""
    return tuple(sorted(f.name for f in folder("targets").iterdir() if (f / "target.toml").is_file()))


@cache
def load(name: str) -> Target:
    """The target of that name, with the costs that `cogseedc targets probe` measured here, where it did.

    Raises UserError CS0801 for an unknown name, CS0802 for a `target.toml` that does not say what it should.
    """
    target = shipped(name)
    path = probed_costs(name)
    return target if not path.is_file() else with_costs(target, _read(name, path))


def with_costs(target: Target, table: Mapping[str, object]) -> Target:
    """The target with measured costs; those that were not measured, by an earlier version say, are the target's.

    Raises UserError CS0802 when the table is not one of costs.
    """
    return replace(target, costs=_costs(target.name, {**asdict(target.costs), **table}), probed=True)


def _costs(name: str, table: Mapping[str, object]) -> Costs:
    _keys(name, table, {f.name for f in fields(Costs)}, "costs.")
    return Costs(**{key: _number(name, table, key) for key in sorted(table)})


def probed_costs(name: str) -> Path:
    """Where measured costs of a target are kept: in the user's settings (XDG base directory specification)."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "cogseedc" / "targets" / f"{name}.toml"


def _read(name: str, path: Path) -> dict[str, object]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("costs")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _malformed(f"{name} (probed)", str(error)) from None
    if not isinstance(table, dict):
        raise _malformed(f"{name} (probed)", "there is no table [costs]")
    return table


def shipped(name: str) -> Target:
    """The target as it comes with the compiler. Raises UserError CS0801 and CS0802."""
    known = names()
    if name not in known:
        close = get_close_matches(name.lower().replace("gpu", "cuda"), known, 1, 0.4)
        hint = f"did you mean `{close[0]}`?" if close else ""
        raise UserError(
            Diagnostic("CS0801", f"there is no target `{name}`", help=f"{hint} targets: {', '.join(known)}".strip())
        )
    text = (folder("targets") / name / "target.toml").read_text(encoding="utf-8")
    return parse(name, text)


def parse(name: str, text: str) -> Target:
    """A target from the text of its `target.toml`. Raises UserError CS0802."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _malformed(name, str(error)) from None
    costs = table.pop("costs", None)
    if not isinstance(costs, dict):
        raise _malformed(name, "there is no table [costs]")
    widths = table.pop("widths", {})
    table.setdefault("int8_weight", 127)
    table.setdefault("int8_layers", False)
    table.setdefault("row_layers", [])
    if not isinstance(widths, dict):
        raise _malformed(name, "`widths` must be a table")
    _keys(name, table, {f.name for f in fields(Target)} - {"name", "costs", "widths", "probed", "profile"}, "")
    return Target(
        name=name,
        summary=_text(name, table, "summary"),
        backend="torch" if _word(name, table, "backend", ("torch", "onnx")) == "torch" else "onnx",
        device="cpu" if _word(name, table, "device", ("cpu", "cuda")) == "cpu" else "cuda",
        providers=_words(name, table, "providers", None),
        batch_one=_flag(name, table, "batch_one"),
        wrap="needed" if _word(name, table, "wrap", ("needed", "always")) == "needed" else "always",
        gates=_words(name, table, "gates", STRATEGIES),
        precisions=_words(name, table, "precisions", PRECISIONS),
        bits="fp32" if _word(name, table, "bits", ("fp32", "auto")) == "fp32" else "auto",
        costs=_costs(name, costs),
        widths=tuple((key, _width(name, key, widths[key])) for key in sorted(widths)),
        int8_weight=_limit(name, table["int8_weight"]),
        int8_layers=_flag(name, table, "int8_layers"),
        row_layers=_words(name, table, "row_layers", ("linear",)),
    )


def _width(name: str, precision: str, row: object) -> Width:
    if precision not in WIDTHS:
        raise _malformed(name, f"`widths` may have {', '.join(WIDTHS)}, not {precision!r}")
    if not isinstance(row, dict):
        raise _malformed(name, f"`widths.{precision}` must be a table")
    _keys(name, row, {f.name for f in fields(Width)}, f"widths.{precision}.")
    return Width(**{key: _number(name, row, key, f"widths.{precision}") for key in sorted(row)})


def _limit(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 127:
        raise _malformed(name, f"`int8_weight` must be an integer from 1 to 127, not {value!r}")
    return value


def _malformed(name: str, message: str) -> UserError:
    return UserError(Diagnostic("CS0802", f"target `{name}`: {message}", help="see targets/torch-cpu/target.toml"))


def _keys(name: str, table: Mapping[str, object], expected: set[str], prefix: str) -> None:
    for key in sorted(expected - table.keys()):
        raise _malformed(name, f"`{prefix}{key}` is missing")
    for key in sorted(table.keys() - expected):
        raise _malformed(name, f"`{prefix}{key}` is not known")


def _text(name: str, table: Mapping[str, object], key: str) -> str:
    value = table[key]
    if not isinstance(value, str):
        raise _malformed(name, f"`{key}` must be a string, not {value!r}")
    return value


def _word(name: str, table: Mapping[str, object], key: str, allowed: tuple[str, ...]) -> str:
    value = _text(name, table, key)
    if value not in allowed:
        raise _malformed(name, f"`{key}` must be one of {', '.join(allowed)}, not {value!r}")
    return value


def _words(name: str, table: Mapping[str, object], key: str, allowed: tuple[str, ...] | None) -> tuple[str, ...]:
    values = table[key]
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise _malformed(name, f"`{key}` must be a list of strings, not {values!r}")
    for value in values:
        if allowed is not None and value not in allowed:
            raise _malformed(name, f"`{key}` may have {', '.join(allowed)}, not {value!r}")
    return tuple(values)


def _flag(name: str, table: Mapping[str, object], key: str) -> bool:
    value = table[key]
    if not isinstance(value, bool):
        raise _malformed(name, f"`{key}` must be true or false, not {value!r}")
    return value


def _number(name: str, table: Mapping[str, object], key: str, place: str = "costs") -> float:
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise _malformed(name, f"`{place}.{key}` must be a number of at least 0, not {value!r}")
    return float(value)
