"""The table of all diagnostic codes; `cogseedc explain CODE` prints an entry.

CS01 syntax, CS02 names and static values, CS03 types and shapes, CS04 gates and regions,
CS05 seeds and imports, CS06 limits, CS07 passes and targets, CS08 artifacts and runtime, CS09 command line.
"""

from cogseedc.diagnostics.codes.model import Code

CODES: dict[str, Code] = {}

__all__ = ["CODES", "Code"]
