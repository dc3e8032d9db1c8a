"""new, check, fmt and explain."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from .conftest import BAD, GOOD, Command


def test_new_makes_a_project_that_checks(command: Command) -> None:
    assert command("new", "net").status == 0
    assert command("check", "net/hello.seed").status == 0
    assert command("fmt", "--check", "net/hello.seed").status == 0
    again = command("new", "net")
    assert again.status == 1
    assert "CS0904" in again.err
    assert "CS0907" in command("new", "my net!").err


def test_check_reports_on_stderr_and_has_status_1(command: Command) -> None:
    outcome = command("check", "good.seed", "bad.seed")
    assert outcome.status == 1
    assert outcome.out == ""
    assert "bad.seed:4:" in outcome.err
    assert "linear" in outcome.err


def test_check_as_json(command: Command) -> None:
    outcome = command("check", "bad.seed", "--json")
    assert outcome.status == 1
    (found,) = json.loads(outcome.out)
    assert found["severity"] == "error"
    assert found["spans"][0]["file"] == "bad.seed"
    assert found["spans"][0]["line"] == 4
    assert json.loads(command("check", "good.seed", "--json").out) == []


def stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_check_reads_stdin(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin(monkeypatch, BAD.encode())
    assert "<stdin>:4:" in command("check", "-").err


def test_unreadable_files_have_codes(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "CS0901" in command("check", "nothing.seed").err
    assert "CS0901" in command("check", ".").err
    assert "CS0901" in command("check", "a\0b").err
    Path("latin.seed").write_bytes("# schön".encode("latin-1"))
    assert "CS0902" in command("check", "latin.seed").err
    Path("bom.seed").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert command("check", "bom.seed").status == 0


def test_set_is_an_expression_of_the_language(command: Command) -> None:
    Path("p.seed").write_text(GOOD.replace("Small {", "Small[k: int = 2] {").replace("K=2", "K=k"))
    assert command("check", "p.seed", "--set", "k=3").status == 0
    assert command("check", "p.seed", "--set", "k=1 + 2 * 3").status == 0
    for wrong in ("k=(", "k=3 const z = 4", "q=3"):
        outcome = command("check", "p.seed", "--set", wrong)
        assert outcome.status == 1, wrong
        assert "CS" in outcome.err


def test_fmt(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    ugly = GOOD.replace("    in  x: ", "in x :") + "# the end\n"
    Path("ugly.seed").write_text(ugly)
    assert command("fmt", "--check", "ugly.seed").out == "ugly.seed\n"
    assert command("fmt", "--check", "ugly.seed").status == 1
    diff = command("fmt", "--diff", "ugly.seed")
    assert diff.status == 1
    assert "-in x :" in diff.out
    assert Path("ugly.seed").read_text() == ugly
    assert command("fmt", "ugly.seed").status == 0
    laid_out = Path("ugly.seed").read_text()
    assert laid_out.endswith("# the end\n")
    assert command("fmt", "--check", "ugly.seed").status == 0
    stdin(monkeypatch, ugly.encode())
    assert command("fmt", "-").out == laid_out


def test_fmt_changes_nothing_that_it_cannot_read(command: Command) -> None:
    Path("broken.seed").write_text("seed {")
    outcome = command("fmt", "broken.seed", "good.seed")
    assert outcome.status == 1
    assert Path("broken.seed").read_text() == "seed {"


def test_explain(command: Command) -> None:
    outcome = command("explain", "cs0905")
    assert outcome.status == 0
    assert outcome.out.startswith("CS0905: ")
    assert json.loads(command("explain", "CS0905", "--json").out)["code"] == "CS0905"
    assert "CS0906" in command("explain", "CS9999").err
    assert "CS0101" in command("explain").out
    assert command("explain", "good.seed").status == 2
