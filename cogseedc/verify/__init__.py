"""Compares an artifact with the meaning of its source: values, decisions, rows; naturally and with forced gates."""

from cogseedc.verify.artifact import verify_artifact
from cogseedc.verify.census import RowSpace, row_spaces
from cogseedc.verify.compare import Mismatch, Tolerance
from cogseedc.verify.forcing import ROTATE, Force
from cogseedc.verify.report import Report
from cogseedc.verify.runners import OnnxRunner, Run, Runner, TorchRunner
from cogseedc.verify.verification import Settings, verify

__all__ = [
    "Force",
    "Mismatch",
    "OnnxRunner",
    "ROTATE",
    "Report",
    "RowSpace",
    "Run",
    "Runner",
    "Settings",
    "Tolerance",
    "TorchRunner",
    "row_spaces",
    "verify",
    "verify_artifact",
]
