"""Runs generated PyTorch modules: exactly the bytes that were checked, with exactly the weights that belong to them."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_loader
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from cogseedc.diagnostics.model import Diagnostic, UserError
from cogseedc.ir import Dtype
from cogseedc.runtime.interface import StatePort
from cogseedc.runtime.session import Raw

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array


class _Checked(SourceLoader):
    """Imports source that is in memory; what lies in the file by now does not matter."""

    def __init__(self, path: str, data: bytes) -> None:
        self._path, self._data = path, data

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_data(self, path: str) -> bytes:
        return self._data


class TorchBackend:
    """One module. Raises UserError: CS0835 it does not load, CS0836 no such device, CS0838 weights that do not fit."""

    def __init__(
        self,
        source: bytes,
        name: str,
        weights: bytes,
        inputs: Sequence[str],
        outputs: Sequence[str],
        device: str = "cpu",
        label: str = "model.py",
        knobs: Sequence[str] = (),
        states: Sequence[StatePort] = (),
        rounded: Collection[str] = (),
    ) -> None:
        """`rounded` names the inputs that are bf16; arrays hold them in f32."""
        if device != "cpu" and not torch.cuda.is_available():
            help = 'open the artifact with device="cpu"'
            raise UserError(Diagnostic("CS0836", f"torch has no device {device!r} here", help=help))
        self._inputs, self._outputs, self._device = tuple(inputs), tuple(outputs), device
        self._states = tuple(states)
        self._rounded = {*rounded, *(state.before.name for state in states if state.port.dtype is Dtype.BF16)}
        self.module = module_of(source, name, label)
        self._keywords = dict(zip(knobs, _keywords(self.module), strict=False))
        _load(self.module, weights)
        self.module.eval().requires_grad_(False).to(device)

    def run(self, inputs: Mapping[str, Array], knobs: Mapping[str, Array], trace: bool) -> Raw:
        """One run; see `Backend`. Raises UserError CS0837."""
        operands = [self._tensor(inputs[name], name) for name in self._inputs]
        settings: dict[str, Any] = {self._keywords[name]: self._tensor(value) for name, value in knobs.items()}
        if self._states:
            settings["state"] = {s.name: self._tensor(inputs[s.before.name], s.before.name) for s in self._states}
        try:
            with torch.inference_mode():
                found = self.module(*operands, **settings, **({"trace": True} if trace else {}))
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise UserError(Diagnostic("CS0837", f"torch stopped: {error}")) from None
        outputs = {name: _array(value) for name, value in zip(self._outputs, found, strict=False)}
        outputs |= {s.after.name: _array(found.state[s.name]) for s in self._states}
        if not trace:
            return Raw(outputs)
        rows = {name: int(count) for name, count in getattr(found, "rows", {}).items()}
        return Raw(outputs, {gate: _array(value) for gate, value in found.trace.items()}, rows)

    def _tensor(self, array: Array, name: str = "") -> torch.Tensor:
        given = torch.from_numpy(array if array.flags.writeable else array.copy())
        return given.to(self._device, torch.bfloat16 if name in self._rounded else None)


def module_of(source: bytes, name: str, label: str = "model.py") -> torch.nn.Module:
    """An instance of the class `name` of a generated file. Raises UserError CS0835."""
    full = f"cogseed_{label.replace('/', '_').removesuffix('.py')}"
    spec = spec_from_loader(full, _Checked(label, source))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[full] = module
    try:
        spec.loader.exec_module(module)
        made = getattr(module, name)()
    except Exception as error:  # a file that was made for other versions may fail in any way
        raise UserError(Diagnostic("CS0835", f"{label} does not load: {error}", help="build it again")) from None
    if not isinstance(made, torch.nn.Module):
        raise UserError(Diagnostic("CS0835", f"`{name}` in {label} is no torch.nn.Module", help="build it again"))
    return made


def _keywords(module: torch.nn.Module) -> list[str]:
    """What `forward` calls the knobs, in declared order."""
    parameters = signature(module.forward).parameters.values()
    return [p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY and p.name not in ("state", "trace")]


def _load(module: torch.nn.Module, weights: bytes) -> None:
    try:
        given = load_safetensors(weights)
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(Diagnostic("CS0838", f"the weights are no safetensors file: {error}")) from None
    wanted = module.state_dict()
    for key in sorted({*wanted, *given}):
        have, need = given.get(key), wanted.get(key)
        if have is not None and need is not None and (have.dtype, need.dtype) == (torch.float32, torch.bfloat16):
            have = given[key] = have.to(torch.bfloat16)  # files keep bf16 in f32, exactly: numpy has none
        if have is None or need is None or have.shape != need.shape or have.dtype != need.dtype:
            message = f"the weight `{key}` is {_describe(have)}, but {_describe(need)} is wanted"
            raise UserError(Diagnostic("CS0838", message, help="build the artifact again with fitting weights"))
    module.load_state_dict(given, strict=True)


def _describe(tensor: torch.Tensor | None) -> str:
    return "none" if tensor is None else f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _array(value: torch.Tensor) -> Array:
    value = value.detach().cpu()
    found: Array = (value.float() if value.dtype is torch.bfloat16 else value).numpy()
    return found
