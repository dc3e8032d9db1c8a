"""The table of all diagnostic codes; `cogseedc explain CODE` prints an entry.

CS01 syntax, CS02 names and static values, CS03 types and shapes, CS04 gates and regions,
CS05 seeds and imports, CS06 limits, CS07 passes and targets, CS08 artifacts and runtime, CS09 command line,
CS10 data and learning.
"""

from cogseedc.diagnostics.codes import (
    artifacts,
    calls,
    cli,
    estimators,
    gates,
    learning,
    limits,
    loops,
    names,
    neural,
    passes,
    seeds,
    syntax,
    types,
    values,
)
from cogseedc.diagnostics.codes.model import Code

_TABLES = (
    ("CS01", syntax.TABLE),
    ("CS02", names.TABLE),
    ("CS02", calls.TABLE),
    ("CS02", values.TABLE),
    ("CS03", types.TABLE),
    ("CS03", neural.TABLE),
    ("CS04", gates.TABLE),
    ("CS04", loops.TABLE),
    ("CS04", estimators.TABLE),
    ("CS05", seeds.TABLE),
    ("CS06", limits.TABLE),
    ("CS07", passes.TABLE),
    ("CS08", artifacts.TABLE),
    ("CS09", cli.TABLE),
    ("CS10", learning.TABLE),
)

CODES: dict[str, Code] = {code.code: code for _, table in _TABLES for code in table}
assert len(CODES) == sum(len(table) for _, table in _TABLES), "a code is listed twice"
assert all(code.code.startswith(prefix) for prefix, table in _TABLES for code in table), "a code of another range"

__all__ = ["CODES", "Code"]
