"""Operands of elementwise operations: what is put around them so that axes of one name meet, and which dtype they get."""

from __future__ import annotations

import pytest

from cogseedc.ir import Call
from tests.frontend.building import body, elaborated

X, TWO = "x: f32[N, T=6, D=4]", "x: f32[N, 4]"
BOOL, INT, HALF = "x: bool[N]", "x: i64[N]", "x: f16[N]"
NEITHER = "neither of `f32[N, {}]` and `f32[N, {}]` has all axes of the other"
NEVER = "axes of two names never meet: name them alike where they are made, or"


def made(inputs: str, expression: str, output: str) -> str:
    """The calls of a program in words, or what is said against it. Gates may stand before the expression."""
    *gates, value = expression.split("; ")
    found, diagnostics = elaborated(body("\n ".join([*gates, f"y = {value}"]), inputs, f"y: {output}"))
    if found is None or list(diagnostics):
        return "; ".join(f"{d.code}: {d.message}: {d.help}" for d in diagnostics)
    calls = [node for _, node in found.graph.nodes() if isinstance(node, Call)]
    axes = [call.attrs.integers("axes") if "axes" in call.attrs else () for call in calls]
    return "; ".join(" ".join(map(str, (call.op, *along, call.type))) for call, along in zip(calls, axes, strict=True))


@pytest.mark.parametrize(
    ("inputs", "expression", "output", "wanted"),
    [
        (f"{X}\n in b: f32[D]", "x + b", "f32[N, T, D]", "add f32[N, T=6, D=4]"),
        (f"{X}\n in b: f32[T]", "x + b", "f32[N, T, D]", "unsqueeze 1 f32[T=6, 1]; add f32[N, T=6, D=4]"),
        (f"{X}\n in b: f32[N]", "x + b", "f32[N, T, D]", "unsqueeze 1 2 f32[N, 1, 1]; add f32[N, T=6, D=4]"),
        (f"{X}\n in b: f32[N, D]", "b + x", "f32[N, T, D]", "unsqueeze 1 f32[N, 1, D=4]; add f32[N, T=6, D=4]"),
        (f"{X}\n in b: f32[D, T]", "x + b", "f32[N, T, D]", "permute 1 0 f32[T=6, D=4]; add f32[N, T=6, D=4]"),
        (f"{X}\n in b: f32[D, N]", "x - b", "f32[N, T, D]",
         "permute 1 0 f32[N, D=4]; unsqueeze 1 f32[N, 1, D=4]; sub f32[N, T=6, D=4]"),
        (f"{TWO}\n in b: f32[N, D=4]", "x + b", "f32[N, D]", "add f32[N, D=4]"),
        (f"{TWO}\n in b: f32[1, 4]", "x + b", "f32[N, 4]", "add f32[N, 4]"),
        ("x: f32[N, D=4]\n in b: f32[1, N, D=4]", "x + b", "f32[1, N, D]", "add f32[1, N, D=4]"),
        (f"{X}\n in b: f32[N, C=4]", "x + b", "f32[N, T, D]",
         f"CS0233: {NEITHER.format('T=6, D=4', 'C=4')}: add the missing axis first, for instance `expand[C](...)`"),
        (f"{TWO}\n in b: f32[N, D=1]", "mean[over=D](x + b)", "f32[N]", "add f32[N, 4]; mean f32[N]"),
        ("x: f32[N, T=6, 4]\n in b: f32[N, D=4]", "x + b", "f32[N, T, D]", "unsqueeze 1 f32[N, 1, D=4]; add f32[N, T=6, D=4]"),
        ("x: f32[N, A, D=4]\n in b: f32[N, 6, D=4]", "x + b", "f32[N, A=6, D]", "add f32[N, A, D=4]"),
        ("x: f32[N]", "gate g over N = x > 0; logical_or(g, x < 1)", "bool[N]", "gt bool[N]; lt bool[N]; logical_or bool[N]"),
        ("x: f32[N]", "gate g over N = x > 0; where(g, x, 0)", "f32[N]", "gt bool[N]; where f32[N]"),
        ("x: f32[N]", "gate g over N = x > 0; g + x", "f32[N]", "gt bool[N]; cast f32[N]; add f32[N]"),
        ("x: f32[N, A=3, B=3]\n in b: f32[N, C=3, B=3]", "x + b", "f32[N, A, B]",
         f"CS0233: {NEITHER.format('A=3, B=3', 'C=3, B=3')}: {NEVER} with `reshape[(N, A, B)](...)`"),
        (f"{TWO}\n in b: f32[N, 3]", "x + b", "f32[N, 4]",
         "CS0234: `f32[N, 3]` and `f32[N, 4]` differ in axis 1: 3 and 4: make the sizes equal, or one of them 1"),
        ("x: f32[N]\n in b: i64[N]", "x + b", "f32[N]", "cast f32[N]; add f32[N]"),
        (f"{INT}\n in b: bool[N]", "x + b", "i64[N]", "cast i64[N]; add i64[N]"),
        (f"{BOOL}\n in b: bool[N]", "x + b", "i64[N]", "cast i64[N]; cast i64[N]; add i64[N]"),
        (f"{BOOL}\n in b: bool[N]", "x == b", "bool[N]", "eq bool[N]"),
        (f"{BOOL}\n in b: bool[N]", "x and b", "bool[N]", "logical_and bool[N]"),
        (INT, "x + 1.5", "f32[N]", "cast f32[N]; add f32[N]"),
        (INT, "x + 1", "i64[N]", "add i64[N]"),
        (INT, "x / 2", "f32[N]", "cast f32[N]; div f32[N]"),
        (INT, "exp(x)", "f32[N]", "cast f32[N]; exp f32[N]"),
        (BOOL, "x + 1", "i64[N]", "cast i64[N]; add i64[N]"),
        (BOOL, "x * 0.5", "f32[N]", "cast f32[N]; mul f32[N]"),
        (HALF, "x * 0.5", "f16[N]", "mul f16[N]"),
        (f"{HALF}\n in b: bf16[N]", "x * b", "f32[N]", "cast f32[N]; cast f32[N]; mul f32[N]"),
        (f"{BOOL}\n in b: i64[N]\n in c: f32[N]", "where(x, b, c)", "f32[N]", "cast f32[N]; where f32[N]"),
        (f"{BOOL}\n in b: i64[N]", "where(x, b, 0)", "i64[N]", "where i64[N]"),
        (f"{BOOL}\n in b: i64[N]", "where(x, b, 0.5)", "f32[N]", "cast f32[N]; where f32[N]"),
        (BOOL, "where(x, true, false)", "bool[N]", "where bool[N]"),
        (BOOL, "where(x, 1, 0)", "i64[N]", "where i64[N]"),
        ("x: f32[1, C=5]\n in b: f32[5, E=3]", "x + b", "f32[C=5, E=3]",
         "squeeze f32[C=5]; unsqueeze 1 f32[C=5, 1]; add f32[C=5, E=3]"),
        ("x: f32[A=3, B=2]\n in b: f32[B=2, A=3]\n in c: f32[B]", "where(x > 0, b, c)", "f32[A, B]",
         "gt bool[A=3, B=2]; permute 1 0 f32[A=3, B=2]; where f32[A=3, B=2]"),
        ("x: f32[N, A]\n in b: f32[N, 6]", "x + b", "f32[N, A=6]", "add f32[N, A]"),
        ("x: f32[N, D=4]", "where(true, x, 0)", "f32[N, D]", "where f32[N, D=4]"),
        (INT, "clamp(x, high=2.5)", "f32[N]", "cast f32[N]; clamp f32[N]"),
        (BOOL, "logical_and(x, true)", "bool[N]", "logical_and bool[N]"),
        (BOOL, "where(x, 1, 0.5)", "f32[N]", "where f32[N]"),
        ("x: f32[N, V=3, V]\n in b: f32[N, V, V]", "x + b", "f32[N, V, V]", "add f32[N, V=3, V=3]"),
        ("x: f32[N, V=3, V]\n in b: f32[V, V]", "x + b", "f32[N, V, V]", "add f32[N, V=3, V=3]"),
        ("x: f32[N, V=3]\n in b: f32[V, V]", "x + b", "f32[N, V]",
         "CS0233: neither of `f32[N, V=3]` and `f32[V=3, V=3]` has all axes of the other: add the missing axis first, for instance `expand[N](...)`"),
    ],
)  # fmt: skip
def test_operands_meet(inputs: str, expression: str, output: str, wanted: str) -> None:
    assert made(inputs, expression, output) == wanted
