"""Models made ready to run, as directly as a runtime allows: no checks, no copies, no dictionaries built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import onnxruntime
import torch

from cogseedc.runtime.onnx_session import SWITCH, TRACED
from cogseedc.runtime.torch_session import module_of

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

Feed = Mapping[str, "Array"]


class Model(Protocol):
    """Something that runs. `prepare` turns arrays into what `run` takes, outside of the measured time."""

    def prepare(self, feed: Feed) -> object: ...

    def run(self, prepared: Any) -> object: ...

    def bound(self, feed: Feed) -> Callable[[], object]:
        """One run on given arrays. All is computed, but no more copied out of the runtime than must be."""
        ...

    def trace(self, feed: Feed) -> tuple[dict[str, Array], dict[str, int]]:
        """Outputs by name, and how many rows each space held."""
        ...

    def decisions(self, feed: Feed) -> dict[str, Array]:
        """What each gate decided, by gate."""
        ...


class OnnxModel:
    """One ONNX Runtime session, without the threads that spin: several sessions of one process would take turns."""

    def __init__(self, model: bytes, threads: int = 1, providers: Sequence[str] = ("CPUExecutionProvider",)) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(model, options, providers=list(providers))
        self._names = [o.name for o in self._session.get_outputs() if o.name != TRACED]
        self._traced = self._session.get_modelmeta().custom_metadata_map.get(TRACED, "").split()

    def prepare(self, feed: Feed) -> object:
        return dict(feed)

    def run(self, prepared: Any) -> object:
        return self._session.run(self._names, prepared)

    def bound(self, feed: Feed) -> Callable[[], object]:
        ready = dict(feed)
        found = self._session.run(self._names, ready)
        least = [min(zip(self._names, found, strict=True), key=lambda pair: pair[1].nbytes)[0]]
        run = self._session.run
        return lambda: run(least, ready)

    def trace(self, feed: Feed) -> tuple[dict[str, Array], dict[str, int]]:
        if not self._traced:
            return dict(zip(self._names, self._session.run(self._names, feed), strict=True)), {}
        *values, traced = self._session.run([*self._names, TRACED], {**feed, SWITCH: np.array(True)})
        rows = {n.removeprefix("rows."): int(v) for n, v in zip(self._traced, traced, strict=True) if n[:5] == "rows."}
        return dict(zip(self._names, values, strict=True)), rows

    def decisions(self, feed: Feed) -> dict[str, Array]:
        """What each gate decided."""
        if not self._traced:
            return {}
        (traced,) = self._session.run([TRACED], {**feed, SWITCH: np.array(True)})
        named = zip(self._traced, traced, strict=True)
        return {name.removeprefix("trace."): array for name, array in named if name.startswith("trace.")}


class TorchModel:
    """One generated module in evaluation mode."""

    def __init__(self, source: bytes, name: str, weights: Mapping[str, Array], inputs: Sequence[str]) -> None:
        self._inputs = inputs
        self.module = module_of(source, name, "bench.py").eval()
        state = {key: torch.from_numpy(array.copy()) for key, array in weights.items()}
        self.module.load_state_dict(state, strict=True)

    def prepare(self, feed: Feed) -> tuple[list[Any], dict[str, Any]]:
        tensors: dict[str, Any] = {name: torch.from_numpy(array) for name, array in feed.items()}
        state = {name: tensors.pop(name) for name in feed if name.startswith("state.")}
        if state:
            tensors["state"] = {name.removeprefix("state."): value for name, value in state.items()}
        return [tensors.pop(name) for name in self._inputs], tensors

    def run(self, prepared: Any) -> object:
        inputs, knobs = prepared
        with torch.inference_mode():
            return self.module(*inputs, **knobs)

    def bound(self, feed: Feed) -> Callable[[], object]:
        prepared = self.prepare(feed)
        return lambda: self.run(prepared)

    def trace(self, feed: Feed) -> tuple[dict[str, Array], dict[str, int]]:
        inputs, keywords = self.prepare(feed)
        with torch.inference_mode():
            result = self.module(*inputs, **keywords, trace=True)
        values = {name: value.numpy() for name, value in result._asdict().items() if name != "state"}
        return values, dict(result.rows)

    def decisions(self, feed: Feed) -> dict[str, Array]:
        """What each gate decided."""
        tensors = {name: torch.from_numpy(array) for name, array in feed.items()}
        inputs = [tensors.pop(name) for name in self._inputs]
        with torch.inference_mode():
            return {name: found.numpy() for name, found in self.module(*inputs, **tensors, trace=True).trace.items()}
