"""Options and fixtures that all tests share."""

from __future__ import annotations

import os
import tempfile

import pytest

os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="cogseedc-tests-")
"""Costs that somebody has measured on this machine are none of the tests' business."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="write what is found as what is expected, for review")


@pytest.fixture
def bless(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written anew."""
    return bool(request.config.getoption("--bless"))
