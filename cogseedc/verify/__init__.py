"""Compares an artifact with the meaning of its source: values, decisions, rows; naturally and with forced gates."""

from cogseedc.verify.artifact import verify_artifact
from cogseedc.verify.compare import Mismatch, Tolerance
from cogseedc.verify.forcing import ROTATE, Force
from cogseedc.verify.report import Report
from cogseedc.verify.rows import RowPlan, RowSpace
from cogseedc.verify.runners import OnnxRunner, Run, Runner, TorchRunner
from cogseedc.verify.verification import Settings, verify

__all__ = [
    "Force",
    "Mismatch",
    "OnnxRunner",
    "ROTATE",
    "Report",
    "RowPlan",
    "RowSpace",
    "Run",
    "Runner",
    "Settings",
    "Tolerance",
    "TorchRunner",
    "verify",
    "verify_artifact",
]
