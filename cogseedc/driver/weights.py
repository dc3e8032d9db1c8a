"""Weights of a build: read from a file, taken from a state dict, or initial ones; kept by instance path."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from cogseedc.backends.names import Names, names
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.driver.program import Program, read_bytes
from cogseedc.interp import initial_weights, load_weights
from cogseedc.ir import Graph

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array


@dataclass(frozen=True)
class Weights:
    """All weights of one program."""

    arrays: Mapping[str, Array]
    """By instance path."""
    names: Names
    rng: int | None
    """The number that they come from; None: they were given."""
    asked: bool
    """Whether the call said where they come from."""

    @staticmethod
    def of(program: Program, given: Mapping[str, Array] | None, rng: int | None) -> Weights:
        """Given arrays by state-dict key, else initial weights from `rng` (0).

        Raises UserError CS0840 .. CS0842 when names, shapes or dtypes are not exactly the program's.
        """
        graph = program.elaborated.graph
        known = names(weight_paths(graph))
        if given is None:
            return Weights(initial_weights(graph, rng or 0), known, rng or 0, rng is not None)
        paths = {known.key(path): path for path in known.keys}
        arrays = {paths.get(key, key): array for key, array in given.items()}
        return Weights(load_weights(graph, arrays), known, None, True)

    def by_key(self) -> dict[str, Array]:
        """The same by state-dict key."""
        return {self.names.key(path): array for path, array in self.arrays.items()}


def weight_paths(graph: Graph) -> list[str]:
    """Instance paths of all weights."""
    return [*graph.weights()]


def given_weights(source: str | Path | Mapping[str, Any] | None) -> dict[str, Array] | None:
    """Arrays by state-dict key, from a safetensors file, a state dict of arrays or torch tensors, or a module."""
    if source is None:
        return None
    if isinstance(source, (str, Path)):
        return read_weights(str(source))
    state = source.state_dict() if hasattr(source, "state_dict") else source
    return {key: _array(value) for key, value in state.items()}


def _array(value: Any) -> Array:
    """A numpy array, of a torch tensor too, wherever it lies. One of bf16, which numpy lacks, is of f32."""
    if hasattr(value, "detach"):
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).detach().cpu().numpy()
    return np.asarray(value)


def weight_bytes(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file: tensors by name, `metadata` as JSON under the one key `cogseed`.

    One key, since safetensors writes several in any order, and equal input must give equal bytes.
    """
    tensors = {name: np.ascontiguousarray(arrays[name]).reshape(arrays[name].shape) for name in sorted(arrays)}
    text = json.dumps(dict(metadata), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return save_safetensors(tensors, {"cogseed": text})


def read_weights(path: str) -> dict[str, Array]:
    """Arrays of a safetensors file. Raises UserError: CS0901 not readable, CS0803 no such file format."""
    data = read_bytes(path)
    try:
        return dict(load_safetensors(data))
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        message = f"{path!r} is no safetensors file: {error}"
        help = "save weights with safetensors.torch.save_file(module.state_dict(), path)"
        raise UserError(Diagnostic("CS0803", message, help=help)) from None


def read_arrays(path: str) -> dict[str, Array]:
    """Arrays of an .npz file. Raises UserError: CS0901 not readable, CS0903 no .npz, or with Python objects in it."""
    data = read_bytes(path)
    problem = "is no .npz file"
    if data.startswith(b"PK"):
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except Exception as error:  # numpy, zipfile and zlib raise what they like for a damaged file
            problem = f"is damaged, or holds Python objects ({type(error).__name__})"
    help = "write it with numpy.savez(path, input=array)"
    raise UserError(Diagnostic("CS0903", f"{path!r} {problem}", help=help))
