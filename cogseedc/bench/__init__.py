"""Measures programs: candidates interleaved in one process, each ratio with an interval, beside the practical limit.

The practical limit is the time of exactly the parts that the decisions asked for, each run as a static graph on the
rows that it needed, in the same runtime. Efficiency is that time divided by the realised one.
"""

from __future__ import annotations

from cogseedc.bench.chart import chart
from cogseedc.bench.clock import Candidates, Samples, Timer, measure, wall
from cogseedc.bench.figures import Figure, ratio, typical
from cogseedc.bench.report import Bound, Cell, document, table
from cogseedc.bench.segments import Limit, Work, limit_of, macs_of

__all__ = [
    "Bound",
    "Candidates",
    "Cell",
    "Figure",
    "Limit",
    "Samples",
    "Timer",
    "Work",
    "chart",
    "document",
    "limit_of",
    "macs_of",
    "measure",
    "ratio",
    "table",
    "typical",
    "wall",
]
