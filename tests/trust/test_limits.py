"""Every limit: one below it and at it a program is taken, one past it is refused with the limit's code, by `--limit` too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from cogseedc.cli.main import run
from cogseedc.diagnostics import CODES
from cogseedc.driver.program import Settings, check
from cogseedc.limits import LIMIT_CODES, Limits

Files = dict[str, str]


def net(*body: str, head: str = "", ports: str = "in x: f32[N, D=4]\nout y: f32[N, D]") -> Files:
    return {"net.seed": f"{head}export seed Net {{\n{ports}\n" + "\n".join(body) + "\n}\n"}


def _source(size: int) -> Files:
    text = net("y = x")["net.seed"]
    return {"net.seed": text + "#" * (size - len(text))}


def _nesting(depth: int) -> Files:
    """The seed's own brace is the first bracket."""
    return net("y = " + "(" * (depth - 1) + "x" + ")" * (depth - 1))


def _string(size: int) -> Files:
    return net("y = x", head=f'const TEXT = "{"a" * size}"\n')


def _imports(count: int) -> Files:
    """The program itself is a file too."""
    part = "seed Part {\nin x: f32[N, D]\nout y: f32[N, D]\ny = relu(x)\n}\n"
    heads = "".join(f'import "./p{i}.seed" as p{i}\n' for i in range(count - 1))
    return net("y = x", head=heads) | {f"p{i}.seed": part for i in range(count - 1)}


def _recursion(depth: int) -> Files:
    part = "seed A[n: int] {\nin x: f32[N, D]\nout y: f32[N, D]\ny = when n == 0 { x } else { A[n - 1](x) }\n}\n"
    return net(f"y = A[{depth - 1}](x)", head=part)


def _nodes(count: int) -> Files:
    """Input and output are nodes."""
    return net(*(f"a{i} = relu(x)" for i in range(count - 2)), "y = x")


def _rank(rank: int) -> Files:
    sizes = ", ".join(f"A{i}=1" for i in range(rank - 2))
    return net(f"z = expand[{sizes}](x)", "y = x")


def _dimension(size: int) -> Files:
    return net("y = x", ports=f"in x: f32[N, D={size}]\nout y: f32[N, D]")


def _elements(count: int) -> Files:
    return net(f"z = zeros[{count}]()", "y = x * mean(z)")


def _diagnostics(count: int) -> Files:
    return net(*(f"a{i} = lineer(x)" for i in range(count)), "y = x")


def _arms(count: int) -> Files:
    return net(f"gate g over N = top[1](linear[E={count}](x))", "y = route g { 0 => x  else => -x }")


def _calls(count: int) -> Files:
    part = "seed A {\nin x: f32[N, D]\nout y: f32[N, D]\ny = x\n}\n"
    return net("y = x" + " |> A" * count, head=part)


def _weight_bytes(size: int) -> Files:
    return net(f"param w: u8[A={size}] = zeros()", "y = x")


CASES: dict[str, tuple[int, Callable[[int], Files]]] = {
    "source_bytes": (500, _source),
    "nesting": (20, _nesting),
    "string_bytes": (40, _string),
    "imported_files": (8, _imports),
    "recursion": (8, _recursion),
    "nodes": (40, _nodes),
    "rank": (5, _rank),
    "dimension": (1000, _dimension),
    "elements": (1000, _elements),
    "diagnostics": (5, _diagnostics),
    "arms": (6, _arms),
    "calls": (7, _calls),
    "weight_bytes": (1000, _weight_bytes),
}
EXPECTED = {"diagnostics": "CS0201"}
"""Programs that have other mistakes too."""


def codes(folder: Path, files: Files, limits: Limits) -> list[str]:
    for name, text in files.items():
        (folder / name).write_text(text)
    return [d.code for d in check(folder / "net.seed", Settings(limits=limits))]


def test_every_limit_has_a_case_and_a_code() -> None:
    assert {f.name for f in fields(Limits)} == set(LIMIT_CODES) == set(CASES)
    assert set(LIMIT_CODES.values()) == {code for code in CODES if code.startswith("CS06")}


@pytest.mark.parametrize("name", CASES)
def test_one_below_at_it_and_past_it(name: str, tmp_path: Path) -> None:
    limit, make = CASES[name]
    limits, code = Limits(**{name: limit}), LIMIT_CODES[name]
    for size in (limit - 1, limit):
        found = codes(tmp_path, make(size), limits)
        assert code not in found
        assert set(found) <= {EXPECTED.get(name), "CS0248"}, "nothing but what it is for; some read too little"
    assert code in codes(tmp_path, make(limit + 1), limits)
    assert code not in codes(tmp_path, make(limit + 1), Limits(**{name: limit + 1}))


@pytest.mark.parametrize("name", CASES)
def test_the_flag_sets_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    limit, make = CASES[name]
    for path, text in make(limit + 1).items():
        Path(path).write_text(text)
    for size, refused in ((limit, True), (limit + 1, False)):
        run(("check", "net.seed", "--limit", f"{name}={size}"))
        assert (LIMIT_CODES[name] in capsys.readouterr().err) is refused
