"""Opens and runs artifacts. Hashes and versions are checked first; nothing is run before.

Imports numpy, and of torch and onnxruntime the one that the artifact asks for.
"""

from __future__ import annotations

import os

from cogseedc.diagnostics.model import Diagnostic, UserError
from cogseedc.ir import Dtype
from cogseedc.runtime.artifact import Artifact, Json, damaged, read, record, text
from cogseedc.runtime.interface import GatePort, Interface, KnobPort, Port, StatePort, read_interface
from cogseedc.runtime.monitor import Monitor
from cogseedc.runtime.session import Backend, Raw, Result, Session

__all__ = [
    "Artifact",
    "Backend",
    "GatePort",
    "Interface",
    "KnobPort",
    "Monitor",
    "Port",
    "Raw",
    "Result",
    "Session",
    "StatePort",
    "open",
    "read",
]


def open(path: str | os.PathLike[str], *, device: str | None = None, threads: int | None = None) -> Session:
    """The artifact in a folder, ready to run.

    `device="cpu"` runs an artifact for another device on the CPU; `threads` bounds ONNX Runtime's threads. Raises
    UserError: CS0830 .. CS0834 for the artifact, CS0835 .. CS0836, CS0838 for its runtime.
    """
    while True:
        artifact = read(path)
        try:
            return session(artifact, device=device, threads=threads)
        except UserError:
            if not artifact.replaced():
                raise


def session(artifact: Artifact, *, device: str | None = None, threads: int | None = None) -> Session:
    """The same for an artifact whose manifest is read already."""
    target = record(artifact.manifest, "target")
    batch_one = target.get("batch_one")
    if not isinstance(batch_one, bool):
        raise damaged("the target does not say whether it takes one sample at a time")
    if device not in (None, "cpu", text(target, "device")):
        message = f"the artifact is for {text(target, 'device')!r}, not for {device!r}"
        raise UserError(Diagnostic("CS0836", message, help="build it for another target"))
    interface = read_interface(artifact)
    artifact.check()
    make = {"onnx": _onnx, "torch": _torch}.get(text(target, "backend"))
    if make is None:
        raise damaged(f"there is no backend {target['backend']!r}")
    return Session(interface, text(target, "name"), batch_one, make(artifact, interface, target, device, threads))


def _onnx(
    artifact: Artifact, interface: Interface, target: dict[str, Json], device: str | None, threads: int | None
) -> Backend:
    from cogseedc.runtime.onnx_session import CPU, OnnxBackend

    listed = target.get("providers")
    if not isinstance(listed, list) or not listed:
        raise damaged("the target has no providers")
    providers = [CPU] if device == "cpu" else [str(provider) for provider in listed]
    backend = OnnxBackend(artifact.payload(_model(artifact)), providers, threads)
    lacking = {port.name for port in interface.given} ^ {*backend.outputs}
    if lacking:
        raise damaged(f"the interface and the model do not have the same outputs: {', '.join(sorted(lacking))}")
    return backend


def _torch(
    artifact: Artifact, interface: Interface, target: dict[str, Json], device: str | None, threads: int | None
) -> Backend:
    from cogseedc.runtime.torch_session import TorchBackend

    name = _model(artifact)
    path = text(record(record(artifact.manifest, "payloads"), name), "path")
    return TorchBackend(
        artifact.payload(name),
        text(record(artifact.manifest, "model"), "class"),
        artifact.payload(text(record(artifact.manifest, "weights"), "payload")),
        [port.name for port in interface.inputs],
        [port.name for port in interface.outputs],
        device or text(target, "device"),
        path,
        [knob.name for knob in interface.knobs],
        interface.states,
        [port.name for port in interface.inputs if port.dtype is Dtype.BF16],
    )


def _model(artifact: Artifact) -> str:
    return text(record(artifact.manifest, "model"), "payload")
