"""What the compiler tells its user: codes, messages with spans, and their rendering."""

from cogseedc.diagnostics.codes import CODES, Code
from cogseedc.diagnostics.model import (
    Diagnostic,
    Diagnostics,
    InternalError,
    Label,
    Severity,
    UserError,
)
from cogseedc.diagnostics.render import render, to_json

__all__ = [
    "CODES",
    "Code",
    "Diagnostic",
    "Diagnostics",
    "InternalError",
    "Label",
    "Severity",
    "UserError",
    "render",
    "to_json",
]
