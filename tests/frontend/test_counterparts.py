"""Names of other frameworks lead to what is here."""

from __future__ import annotations

import pytest

from cogseedc.driver.catalogue import seeds_of
from cogseedc.frontend.build.names import ELSEWHERE
from cogseedc.limits import Limits
from cogseedc.ops import OPS
from cogseedc.ops.signature import ELSEWHERE as PARAMETERS

SEEDS = {f"{record['from']}.{record['name']}" for record in seeds_of((), Limits())}


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_what_is_named_is_there_and_the_other_name_is_free(name: str) -> None:
    assert ELSEWHERE[name] in {*OPS} | SEEDS
    assert name not in OPS


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_what_a_parameter_is_called_here_is_one(name: str) -> None:
    known = {parameter.name for spec in OPS.values() for parameter in spec.parameters}
    assert set(PARAMETERS[name]) <= known
