"""Finds the data that ships with the compiler (`grammar/`, `targets/`, `std`) in a checkout or in a wheel."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_PACKAGE = files("cogseedc")
_CHECKOUT = Path(__file__).resolve().parent.parent


def folder(name: str) -> Traversable:
    """The data folder `name`: inside the package when installed, beside it in a checkout.

    Raises FileNotFoundError when the installation is damaged.
    """
    inside = _PACKAGE / name
    if inside.is_dir():
        return inside
    beside = _CHECKOUT / name
    if beside.is_dir():
        return beside
    raise FileNotFoundError(f"the data folder {name!r} of cogseedc is missing; reinstall cogseedc")
