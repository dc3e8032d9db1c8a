"""Runs an artifact on a file of arrays, for `cogseedc run`."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING
from zipfile import ZipFile

import numpy as np

from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.driver.weights import read_arrays
from cogseedc.publish import write_file
from cogseedc.runtime import open as open_artifact

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array


def run_file(
    artifact: str,
    inputs: str,
    output: str | None,
    knobs: Mapping[str, float | list[float]],
    trace: bool,
    state: str | None = None,
    save_state: str | None = None,
) -> list[dict[str, str]]:
    """Runs and describes each array: name, dtype, shape, and its range or how often each arm was taken.

    With `output`, writes them as .npz, decisions as `trace.<gate>`. States are those in the file `state`, else the
    initial ones; `save_state` gets what they are after the call. Raises UserError for what does not fit.
    """
    session = open_artifact(artifact)
    if state is not None:
        session.state = read_arrays(state)
    result = session.run(read_arrays(inputs), dict(knobs), trace)
    arrays = {name: np.asarray(result[name]) for name in result}
    if trace:
        arrays |= {f"trace.{gate}": np.asarray(decision) for gate, decision in result.trace.items()}
    if output is not None:
        _write(output, arrays)
    if save_state is not None:
        _write(save_state, session.state)
    return [_describe(name, array) for name, array in arrays.items()]


def _write(path: str, arrays: Mapping[str, Array]) -> None:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as npz:  # `numpy.savez` takes names as keywords, and has some of its own
        for name, array in arrays.items():
            with npz.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)
    try:
        write_file(path, buffer.getvalue())
    except OSError as error:
        raise UserError(Diagnostic("CS0905", f"cannot write {path!r}: {error.strerror or error}")) from None


def _describe(name: str, array: Array) -> dict[str, str]:
    if not array.size:
        what = "empty"
    elif name.startswith("trace."):
        arms, counts = np.unique(array, return_counts=True)
        pairs = zip(arms.tolist(), counts.tolist(), strict=True)
        what = ", ".join(f"{'not reached' if arm < 0 else arm}: {count}" for arm, count in pairs)
    else:
        what = f"{array.min():.4g} .. {array.max():.4g}"
    shape = ", ".join(map(str, array.shape))
    return {"name": name, "dtype": str(array.dtype), "shape": f"[{shape}]", "what": what}
