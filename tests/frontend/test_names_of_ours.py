"""No name that the compiler itself uses means anything in a program: users may call their things alike."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import cogseedc
from cogseedc.frontend.tokens import RESERVED

PACKAGE = Path(cogseedc.__file__).parent / "frontend"
SLOTS = """\
seed Part[{0}: int = 2] {{
    in  {1}: f32[N, D]
    out {2}: f32[N, D]
    knob {3} = 0.5 in 0 .. 1
    share {4} = linear[D]
    param {5}: f32[D] = zeros()
    state {6}: f32[N, D] = zeros()
    gate {7} over N = argmax(linear[4]({1}))
    {8} = route {7} {{ {9} in 0 .. 4 => {4}({1}) * {9} + {5} + {3} }}
    {10} = for {11} in 0 .. {0} with {12} = {8} {{ next {12} = {12} * {11} }}
    {13} = scan {14} in expand[S=2]({10}) over S with {15} = {8} {{ next {15} = {15} + {14} }}
    {16} = repeat 2 with {17} = {13} {{ next {17} = relu({17}) }}
    exit {18} {{ {2} = {16} }} when mean[over=D]({16}) > 0
    next {6} = {16}
    {2} = {6}
}}
export seed Net[{0}: int = 2] {{
    in  {1}: f32[N, D=4]
    out {2}: f32[N, D]
    {2} = Part[{0}={0}]({1})
    loss {19} = mean[over=N](mean[over=D]({2}))
}}
"""
COUNT = 20


@cache
def ours() -> list[str]:
    """Names of parameters and fields of the front end, as far as values may have them."""
    found = {"self", "cls", "file", "args", "kwargs"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
    called = {*re.findall(r"(\w+)[\[(]", SLOTS)}
    return sorted(name for name in found - RESERVED - called if re.fullmatch(r"[a-z][A-Za-z0-9_]*", name))


@pytest.mark.parametrize("turn", range(COUNT))
def test_any_of_our_names_is_a_name_of_users(turn: int) -> None:
    every = ours()
    assert len(every) > 300
    for start in range(0, len(every), COUNT):
        names = [*every[start : start + COUNT], *every][:COUNT]
        text = SLOTS.format(*names[turn:], *names[:turn])
        assert len(cogseedc.load(text).elaborated.graph) > 10, text
