"""Chooses thresholds and other knobs of an artifact on validation data, by budgets of work, time and accuracy."""

from cogseedc.calibrate.budget import Budget, parse
from cogseedc.calibrate.calibration import Calibrated, Calibrator
from cogseedc.calibrate.command import PAYLOAD, Asked, Report, calibrate_artifact
from cogseedc.calibrate.findings import Finding, Rate, findings, rates
from cogseedc.calibrate.search import Point, Space, by_exit, msdnet, pareto, refine, search

__all__ = [
    "PAYLOAD",
    "Asked",
    "Budget",
    "Calibrated",
    "Calibrator",
    "Finding",
    "Point",
    "Rate",
    "Report",
    "Space",
    "by_exit",
    "calibrate_artifact",
    "findings",
    "msdnet",
    "pareto",
    "parse",
    "rates",
    "refine",
    "search",
]
