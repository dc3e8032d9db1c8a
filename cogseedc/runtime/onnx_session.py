"""Runs ONNX models with ONNX Runtime, on exactly the execution providers that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from cogseedc.diagnostics.model import Diagnostic, UserError
from cogseedc.runtime.session import Raw

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

SWITCH = "cogseed.trace"
"""The model's input that asks for its trace."""
TRACED = "cogseed.traced"
"""Its output that holds the trace, and the metadata that names what is in it, in order."""
CPU = "CPUExecutionProvider"
_ERRORS_ONLY = 3


class OnnxBackend:
    """One model. Raises UserError: CS0836 a provider is missing, CS0835 the model does not load."""

    def __init__(self, model: bytes, providers: Sequence[str] = (CPU,), threads: int | None = None) -> None:
        wanted = list(providers)
        available = onnxruntime.get_available_providers()
        for provider in wanted:
            if provider not in available:
                message = f"ONNX Runtime has no {provider} here; it has {', '.join(available)}"
                help = 'install the build of onnxruntime that has it, or open the artifact with device="cpu"'
                raise UserError(Diagnostic("CS0836", message, help=help))
        try:
            self._session = onnxruntime.InferenceSession(model, self.options(threads), providers=wanted)
            selected = self._session.get_providers()
        except (
            Exception
        ) as error:  # its exceptions have no common class, and names in damaged models raise UnicodeError
            raise UserError(Diagnostic("CS0835", f"ONNX Runtime does not load the model: {error}")) from None
        if selected[0] != wanted[0]:
            raise UserError(Diagnostic("CS0836", f"ONNX Runtime chose {selected[0]} instead of {wanted[0]}"))
        self._outputs = [o.name for o in self._session.get_outputs() if o.name != TRACED]
        self._traced = self._session.get_modelmeta().custom_metadata_map.get(TRACED, "").split()

    def options(self, threads: int | None) -> onnxruntime.SessionOptions:
        """How a session is opened."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY  # knobs are inputs with defaults, which it warns of
        # It would look for a buffer of each value among all that are free, of which none fits where rows leave: that
        # takes quadratic time. What is free goes back to its arena in any case, and runs are as fast.
        options.enable_mem_reuse = False
        if threads is not None:
            options.intra_op_num_threads = threads
        return options

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, without trace and counts."""
        return tuple(self._outputs)

    def run(self, inputs: Mapping[str, Array], knobs: Mapping[str, Array], trace: bool) -> Raw:
        """One run; see `Backend`. Raises UserError CS0837."""
        feed = {**inputs, **knobs}
        names = self._outputs
        if trace and self._traced:
            feed[SWITCH] = np.array(True)
            names = [*names, TRACED]
        try:
            found = dict(zip(names, self._session.run(names, feed), strict=True))
        except Exception as error:  # as above
            raise UserError(Diagnostic("CS0837", f"ONNX Runtime stopped: {error}")) from None
        traced = dict(zip(self._traced, found.pop(TRACED, ()), strict=False))
        return Raw(
            found,
            {n.removeprefix("trace."): v for n, v in traced.items() if n.startswith("trace.")},
            {n.removeprefix("rows."): int(v) for n, v in traced.items() if n.startswith("rows.")},
        )
