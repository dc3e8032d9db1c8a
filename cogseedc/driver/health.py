"""Tries the parts that a build needs on this machine, for `cogseedc doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cogseedc import target
from cogseedc.resources import folder


def attempts() -> Iterator[tuple[str, str]]:
    """Name of each part with `ok ...`, `absent: ...` or `fails: ...`."""
    for name, attempt in _ATTEMPTS.items():
        try:
            yield name, attempt()
        except Exception as error:  # whatever a broken installation raises
            yield name, f"fails: {type(error).__name__}: {error}".splitlines()[0]


def _torch() -> str:
    import torch

    product = torch.ones(2, 3) @ torch.ones(3, 2)
    assert float(product.sum()) == 12.0
    return f"ok, {torch.get_num_threads()} threads"


def _cuda() -> str:
    import torch

    if not torch.cuda.is_available():
        return "absent: CUDA targets build here but do not run"
    return f"ok, {torch.cuda.get_device_name()}"


def _onnxruntime() -> str:
    import onnxruntime

    providers = onnxruntime.get_available_providers()
    assert "CPUExecutionProvider" in providers
    return f"ok, {', '.join(providers)}"


def _grammar() -> str:
    assert (folder("grammar") / "seed.lark").is_file()
    return "ok"


def _targets() -> str:
    return f"ok, {', '.join(target.load(name).name for name in target.names())}"


_ATTEMPTS: dict[str, Callable[[], str]] = {
    "grammar": _grammar,
    "targets": _targets,
    "torch runs": _torch,
    "CUDA": _cuda,
    "ONNX Runtime runs": _onnxruntime,
}
