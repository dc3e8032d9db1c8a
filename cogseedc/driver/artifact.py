"""The payloads of an artifact: source, model, weights, graph, costs, model card. Makes bytes; `publish` writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.driver.program import read_bytes

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]

WEIGHTS = "weights.safetensors"
MODELS = {"torch": "model.py", "onnx": "model.onnx"}


def weight_bytes(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file: tensors by name, `metadata` as JSON under the one key `cogseed`, so that equal input gives equal
    bytes (safetensors writes several keys in any order)."""
    tensors = {name: np.ascontiguousarray(arrays[name]).reshape(arrays[name].shape) for name in sorted(arrays)}
    text = json.dumps(dict(metadata), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return save_safetensors(tensors, {"cogseed": text})


def read_weights(path: str) -> dict[str, Array]:
    """Arrays of a safetensors file. Raises UserError CS0803."""
    try:
        return dict(load_safetensors(read_bytes(path)))
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        message = f"{path!r} is no safetensors file: {error}"
        help = "save weights with safetensors.torch.save_file(module.state_dict(), path)"
        raise UserError(Diagnostic("CS0803", message, help=help)) from None


def read_arrays(path: str) -> dict[str, Array]:
    """Arrays of an .npz file. Raises UserError: CS0901 not readable, CS0903 no .npz, or with Python objects in it."""
    import io

    data = read_bytes(path)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, KeyError, AttributeError, EOFError) as error:
        message = f"{path!r} is no .npz file of plain arrays: {error}"
        raise UserError(Diagnostic("CS0903", message, help="write it with numpy.savez(path, input=array)")) from None
    except Exception as error:  # zipfile has exceptions of its own
        raise UserError(Diagnostic("CS0903", f"{path!r} is no .npz file: {error}")) from None


def source_payloads(files: Mapping[str, str]) -> tuple[dict[str, bytes], list[dict[str, str]]]:
    """Payloads of the source texts, and (path, payload) records, the program first."""
    payloads: dict[str, bytes] = {}
    records: list[dict[str, str]] = []
    for i, (path, text) in enumerate(files.items()):
        name = "program.seed" if i == 0 else f"import_{i}.seed"
        payloads[name] = text.encode()
        records.append({"path": PurePosixPath(path).name if i == 0 else path, "payload": name})
    return payloads, records
