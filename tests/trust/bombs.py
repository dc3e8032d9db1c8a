"""Small texts that ask for much, and large ones that ask for nothing: refused at once, or taken, with little memory.

To be run in a process of its own, since it bounds its memory.
"""

from __future__ import annotations

import gc
import resource
import time

from cogseedc.diagnostics import UserError
from cogseedc.driver.program import Settings, decode, load
from cogseedc.limits import Limits
from tests.trust.memory import peak

QUICK, LARGE = 1.0, 8.0
"""Seconds of processor time wanted on a quiet machine for a bomb and for a mebibyte of text; the report says what it was."""
HANGS = 20
"""How many times as long counts as hanging."""
MEMORY = 768 << 20
MIB = 1 << 20
ANY = "any"
SERIES = "in x: f32[N, T=8, D=4]\nout y: f32[N, T, D]"
IMAGE = "in x: f32[N, C=2, H=4, W=4]\nout y: f32[N, C, H2, W2]"
PART = "seed {name}{statics} {{\nin x: f32[N, D]\nout y: f32[N, D]\ny = {body}\n}}\n"


def net(*body: str, head: str = "", ports: str = "in x: f32[N, D=4]\nout y: f32[N, D]") -> str:
    return f"{head}export seed Net {{\n{ports}\n" + "\n".join(body) + "\n}\n"


def part(name: str, body: str, statics: str = "") -> str:
    return PART.format(name=name, body=body, statics=statics)


def laughs(levels: int, times: int) -> str:
    return part("S0", "relu(x)") + "".join(part(f"S{i}", "x" + f" |> S{i - 1}" * times) for i in range(1, levels + 1))


BOMBS: dict[str, tuple[str, str | None]] = {
    "weight": (net("y = linear[4](linear[1000000000](x))"), "CS0613"),
    "weights": (net("\n".join(f"param w{i}: f32[A=1000000000] = zeros()" for i in range(100)), "y = x"), "CS0613"),
    "elements": (net("param w: f32[A=2000000000, B=2000000000, C=2000000000] = zeros()", "y = x"), "CS0609"),
    "dimension": (net("y = x", ports="in x: f32[N, D=9999999999]\nout y: f32[N, D]"), "CS0608"),
    "dimension of a window": (net("y = conv2d[2, kernel=3, padding=2000000000](x)", ports=IMAGE), "CS0608"),
    "dimension of an enlargement": (net("y = resize[scale=1000000000](x)", ports=IMAGE), "CS0608"),
    "kernel": (net("y = conv2d[2, kernel=2000000000](x)", ports=IMAGE), "CS0343"),
    "repetition": (net("y = x * mean[over=D](repeat_interleave[1000000000, over=D](x))"), "CS0608"),
    "zeros": (net("z = zeros[1000000000]() + 1", "y = x * mean(z)"), None),
    "range": (net("z = range[2000000000, dtype=f32]()", "y = x * mean(z)"), None),
    "expansion of an axis": (net("z = expand[K=2000000000](x)", "y = x * mean[over=K](z)"), None),
    "one hot": (net("y = x * mean[over=K](one_hot[K=2000000000](argmax(x)))"), None),
    "slice": (net("y = x[D=0 .. 4000000000]"), "CS0209"),
    "tuple port": (net("y = x", ports="in x: f32[N, D=4]\nin z: f32[N, E=2] * 1000000000000\nout y: f32[N, D]"), "CS0230"),
    "arms": (net("gate g over N = top[2](linear[E=100000](x))", "y = route g { 0 => x  else => -x }"), "CS0611"),
    "range of arms": (net("y = route argmax(x) { e in 0 .. 1000000000 => x }"), "CS0606"),
    "capacity": (
        net("gate g over N, T = capacity[1000000000000, over=T](top[1](linear[E=4](x)))",
            "y = route g { e in 0 .. 4 => linear[D=4](x) }", ports=SERIES), None,
    ),
    "more chosen than there": (net("gate g over N = top[1000000000](linear[E=4](x))", "y = route g { e in 0 .. 4 => x }"), "CS0323"),
    "placed exits": (net("exits 1000000 at x { y = linear[4](x) } when confidence(y) >= 0.5", "y = linear[4](relu(linear[4](x)))"), "CS0420"),
    "turns": (net("y = for i in 0 .. 1000000 with h = x { next h = relu(h) }"), "CS0606"),
    "turns without nodes": (net("y = for i in 0 .. 1000000 with h = x { next h = h }"), "CS0606"),
    "turns in turns": (
        net("y = for i in 0 .. 1000 with a = x { next a = for j in 0 .. 1000 with b = a { next b = b } }"), "CS0606",
    ),
    "turns past counting": (net("y = for i in 0 .. 100000000000000000000 with h = x { next h = relu(h) }"), "CS0116"),
    "turns without a result": (net("t = for i in 0 .. 1000000 { yield x }", "y = t[0]"), "CS0606"),
    "laughs": (net("y = S10(x)", head=laughs(10, 10)), "CS0606"),
    "laughs that nobody uses": (net("y = x", head=laughs(10, 10)), "CS0606"),
    "laughs in arms": (
        net("y = S40(x)", head=part("S0", "relu(x)") + "".join(
            part(f"S{i}", f"when mean[over=D](x) > 0 {{ S{i - 1}(S{i - 1}(x)) }} else {{ x }}") for i in range(1, 41))),
        "CS0612",
    ),
    "seeds of seeds": (
        net("y = " + "T[" * 40 + "R" + "]" * 40 + "(x)", head=part("R", "relu(x)") + part("T", "f(f(x))", "[f: seed]")), "CS0612",
    ),
    "Fibonacci": (
        net("y = F[60](x)", head=part("F", "when n < 2 { x } else { F[n - 1](F[n - 2](x)) }", "[n: int]")), "CS0612",
    ),
    "doubling": (
        net("y = F[60](x)", head=part("F", "when n == 0 { x } else { F[n - 1](F[n - 1](x)) }", "[n: int]")), "CS0612",
    ),
    "recursion": (net("y = F[0](x)", head=part("F", "F[n + 1](x)", "[n: int]")), "CS0605"),
    "recursion of itself": (net("y = F(x)", head=part("F", "F(x)")), "CS0501"),
    "power": (net("y = x * 9 ^ 9 ^ 9 ^ 9"), "CS0206"),
    "product": (net("y = x * A", head="const A = 999999999999999999 * 999999999999999999\n"), "CS0609"),
    "sum of sums": (
        net("y = x * C69", head="const C0 = 1\n" + "".join(f"const C{i} = C{i - 1} + C{i - 1}\n" for i in range(1, 70))),
        "CS0609",
    ),
    "tuple of tuples": (
        net("y = x * len(T60)", head="const T0 = (1, 2)\n" + "".join(f"const T{i} = (T{i - 1}, T{i - 1})\n" for i in range(1, 61))),
        None,
    ),
    "digits": (net("y = x * " + "1" * 900_000), "CS0116"),
    "digits behind the point": (net("y = x * 0." + "1" * 900_000), None),
    "exponent": (net("y = x * 1e" + "9" * 4000), "CS0116"),
    "einsum": (net(f'y = einsum["{"ab," * 1300}->ab"](x)'), "CS0350"),
    "pipes": (net("y = x" + " |> relu" * 20_000), "CS0602"),
    "sum": (net("y = x" + " + x" * 40_000), "CS0602"),
    "parentheses": (net("y = " + "(" * 10_000 + "x" + ")" * 10_000), "CS0602"),
    "choices": (net("y = " + "when true { " * 10_000 + "x" + " } else { x }" * 10_000), "CS0602"),
    "calls": (net("y = " + "relu(" * 10_000 + "x" + ")" * 10_000), "CS0602"),
    "conditions": (net("y = when " + "not " * 10_000 + "true { x } else { x }"), "CS0602"),
    "signs": (net("y = " + "- " * 10_000 + "x"), "CS0602"),
    "a long name": ("a" * MIB, "CS0115"),
    "a long string": (net(f'y = einsum["{"a" * 900_000}"](x)'), "CS0603"),
    "a long comment": ("## " + "a " * 500_000 + "\n" + net("y = x"), None),
}  # fmt: skip
"""By name: the text, and the code that it is refused with."""

LARGE_TEXTS: dict[str, str] = {
    "statements": net("\n".join(f"a{i} = x |> relu" for i in range(50_000)), "y = x"),
    "layers": net("\n".join(f"x{i + 1} = x{i} |> linear[4] |> tanh" for i in range(15_000)), "y = x15000").replace("x0 ", "x "),
    "seeds": net("y = x", head="".join(part(f"S{i}", "relu(x)") for i in range(14_000))),
    "gates": net("\n".join(f"a{i} = when x[D=0] > {i} {{ relu(x) }} else {{ x }}" for i in range(8_000)), "y = x"),
    "exits": net("\n".join(f"exit e{i} {{ y = tanh(x) }} when x[D=0] > {i}" for i in range(6_000)), "y = x"),
    "unknown names": net("\n".join(f"a{i} = foo{i}(x)" for i in range(40_000)), "y = x"),
    "unknown names in seeds": net("y = x", head="".join(part(f"S{i}", f"foo{i}(x)") for i in range(14_000))),
    "names twice": net("a = relu(x)\n" * 60_000, "y = x"),
    "constants": net("y = x", head="".join(f"const C{i + 1} = C{i} + 0\n" for i in range(40_000)).replace("C0 ", "1 ")),
    **{
        f"{name} only": text * (MIB // len(text.encode()))
        for name, text in {
            "line breaks": "\n", "returns": "\r", "blanks": " ", "opening parentheses": "(", "braces": "{", "brackets": "[", "closing": ")",
            "quotes": '"', "quotes with letters": '"a ', "apostrophes": "'", "marks": "@", "pipes": "|> ", "hashes": "#", "doc lines": "## a\n",
            "foreign comments": "/* ", "tildes": "~1", "points": "1.1", "words": "when ", "letters": "a ", "commas": "x, ", "hidden signs": "\u200b",
            "pictures": "🌱", "nothing": "\0",
        }.items()
    },
}  # fmt: skip
"""A mebibyte of text, more or less: legal programs and nonsense."""


def bombs(count: int, seed: int) -> str:
    """The first `count` bombs."""
    took = {name: _timed(name, *BOMBS[name]) for name in [*BOMBS][:count]}
    return f"{len(took)} bombs, {_summary(took, QUICK)}"


def large(count: int, seed: int) -> str:
    """The first `count` large texts."""
    took = {name: _timed(name, LARGE_TEXTS[name], ANY) for name in [*LARGE_TEXTS][:count]}
    return f"{len(took)} texts of a mebibyte, {_summary(took, LARGE)}"


def _timed(name: str, text: str, code: str | None) -> float:
    """Processor time of reading a text."""
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    load_one(net("y = x"))  # imports what is needed
    gc.collect()
    begin = time.process_time()
    found = load_one(text)
    took = time.process_time() - begin
    assert code == ANY or (code in found if code else not found), f"{name}: {found}"
    return took


def _summary(took: dict[str, float], bound: float) -> str:
    slowest = max(took, key=lambda name: took[name])
    taken = peak()
    assert took[slowest] < bound * HANGS, f"{slowest}: {took[slowest]:.1f} s"
    assert taken < MEMORY, f"{taken >> 20} MiB"
    return f"the slowest ({slowest}) in {took[slowest]:.2f} s of processor time, at most {taken >> 20} MiB of memory"


def load_one(text: str) -> list[str]:
    """Codes of a text."""
    try:
        load(decode("bomb.seed", text.encode()[: MIB + 1], Limits()), Settings())
    except UserError as error:
        return [d.code for d in error.diagnostics]
    return []
