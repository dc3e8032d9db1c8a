"""A compiler for dynamic neural networks: one .seed text to PyTorch and to ONNX.

    program = cogseedc.load("net.seed")                 # parsed and checked
    module = cogseedc.build(program)                    # a torch.nn.Module
    cogseedc.compile("net.seed", target="onnx-cpu", output="build/net")
    session = cogseedc.open("build/net")                # runs any artifact

Names load what they need on first use: importing this package imports neither torch nor onnx.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cogseedc.diagnostics import UserError
    from cogseedc.driver.build import build
    from cogseedc.driver.compile import compile
    from cogseedc.driver.program import Program, load
    from cogseedc.runtime import open

__version__ = "0.1.0"
__all__ = ["Program", "UserError", "__version__", "build", "compile", "load", "open"]

_HOME = {
    "Program": "cogseedc.driver.program",
    "UserError": "cogseedc.diagnostics",
    "build": "cogseedc.driver.build",
    "compile": "cogseedc.driver.compile",
    "load": "cogseedc.driver.program",
    "open": "cogseedc.runtime",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'cogseedc' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
