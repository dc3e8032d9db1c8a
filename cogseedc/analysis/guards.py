"""The guard algebra, for those above the graph. It lives in `ir`, since the verifier proves guards with it."""

from __future__ import annotations

from cogseedc.ir.guards import FALSE, TRUE, Guard, Literals, guardable, guards

__all__ = ["FALSE", "TRUE", "Guard", "Literals", "guardable", "guards"]
