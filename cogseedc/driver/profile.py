"""What a program does on real inputs: kept beside the source by `cogseedc profile`, read by the next build.

A profile says how often each arm of a gate is taken. Only the choice between strategies reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from cogseedc.diagnostics import Diagnostic, Severity, UserError
from cogseedc.driver.manifest import Json
from cogseedc.driver.program import Program, is_text, read_bytes
from cogseedc.driver.weights import Weights
from cogseedc.target import Profile

SCHEMA = 1


def profile_path(source: str | Path) -> Path:
    """Where the profile of a source lies: `net.profile.json` beside `net.seed`."""
    path = Path(source)
    return path.with_name(f"{path.stem}.profile.json")


def fingerprint(program: Program, weights: Weights) -> str:
    """What a profile belongs to: all texts, the settings, and the weights."""
    found = sha256(json.dumps([*program.files.items()], sort_keys=True).encode())
    found.update(json.dumps([program.name, *program.settings.statics, *program.settings.sizes]).encode())
    for name, array in sorted(weights.arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape} ".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def profile_of(record: Mapping[str, Any]) -> Profile:
    """A profile from its record, as the file has it or a manifest. Raises UserError CS0914 for another shape."""
    try:
        gates = cast(Mapping[str, Mapping[str, Sequence[float]]], record["gates"])
        shares = ((name, gates[name]["shares"]) for name in sorted(gates))
        anywhere = ((name, gates[name]["anywhere"]) for name in sorted(gates) if "anywhere" in gates[name])
        return Profile(max(1, int(record["rows"])), _floats(shares), _floats(anywhere))
    except (KeyError, TypeError, ValueError):
        help = "make it anew: cogseedc profile net.seed inputs.npz"
        raise UserError(Diagnostic("CS0914", "the profile is not one that cogseedc wrote", help=help)) from None


def _floats(shares: Iterable[tuple[str, Sequence[float]]]) -> tuple[tuple[str, tuple[float, ...]], ...]:
    return tuple((name, tuple(float(share) for share in each)) for name, each in shares)


def record_of_profile(profile: Profile) -> dict[str, Json]:
    """What a manifest keeps of a profile: enough to plan alike."""
    gates: dict[str, dict[str, Json]] = {name: {"shares": [*shares]} for name, shares in profile.shares}
    for name, shares in profile.anywhere:
        gates[name]["anywhere"] = [*shares]
    return {"rows": profile.rows, "gates": {**gates}}


def found_beside(
    source: str | Path | Program, program: Program, weights: Weights
) -> tuple[Profile | None, tuple[Diagnostic, ...]]:
    """The profile beside a source file, if it still fits; a note (CS0914) if it does not.

    Raises UserError CS0914 for a file that is no profile.
    """
    if isinstance(source, Program) or is_text(source) or str(source) == "-" or not profile_path(source).is_file():
        return None, ()
    path = profile_path(source)
    try:
        record = json.loads(read_bytes(path))
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise UserError(Diagnostic("CS0914", f"{path.name} is not JSON", help="make it anew with `cogseedc profile`"))
    profile = profile_of(record)
    if record.get("of") == fingerprint(program, weights):
        return profile, ()
    message = f"{path.name} is of another source, or of other weights, and is not used"
    help = f"make it anew: cogseedc profile {Path(source).name} inputs.npz"
    return None, (Diagnostic("CS0914", message, help=help, severity=Severity.NOTE),)
