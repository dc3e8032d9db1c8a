"""From a program to a sealed graph and its plan: the order of passes, and what of the call each of them is given."""

from __future__ import annotations
