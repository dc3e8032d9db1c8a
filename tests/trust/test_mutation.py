"""A mutant runs where it was put, in its own process only. How tests are run and judged, `make mutants` shows itself."""

from __future__ import annotations

from cogseedc.ir.size import Size
from tests.trust.mutation.areas import AREAS, PACKAGE
from tests.trust.mutation.changes import mutants
from tests.trust.mutation.processes import forked
from tests.trust.mutation.swapping import apply


def test_areas_have_the_files_that_they_say() -> None:
    assert all((PACKAGE / file).is_file() for area in AREAS.values() for file in area.files)


def test_functions_that_are_there_are_given_the_change() -> None:
    [mutant] = [mutant for mutant in mutants("ir/size.py") if mutant.what == "total + product -> total - product"]

    def substituted() -> str:
        return str(Size.symbol("N").substitute({"N": Size.of(3)}))

    def changed() -> str:
        apply(mutant.file, mutant.tree())
        return substituted()

    assert dict(forked({"changed": changed, "as it is": substituted}, 2)) == {"changed": "-3", "as it is": "3"}
    assert substituted() == "3"


def test_asserts_messages_and_annotations_are_no_mutants() -> None:
    lines = (PACKAGE / "ir/verifier.py").read_text().splitlines()
    assert not [
        str(m) for m in mutants("ir/verifier.py") if lines[m.line - 1].lstrip().startswith(("assert ", "raise "))
    ]
