"""Random inputs that fit a program: sizes for its symbols, values for its dtypes. Deterministic for equal arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from fractions import Fraction
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING

from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.interp import numpy_dtype
from cogseedc.ir import BATCH, Dtype, Graph, Input, Size, output_types
from cogseedc.lazy import lazy
from cogseedc.verify.indices import index_limit

if TYPE_CHECKING:
    import numpy as np

    from cogseedc.ir.opspec import Array
else:
    np = lazy("numpy")

_CANDIDATES = (3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 64, 96, 128, 224)
_ROWS = 16
"""Every batch up to this one is cut from it."""
_LARGEST = {Dtype.U8: 256, Dtype.I8: 128}


def choose_sizes(
    graph: Graph,
    given: Mapping[str, int] | None = None,
    equal: Sequence[tuple[Size, Size]] = (),
    wanted: int = 2,
) -> tuple[dict[str, int], ...]:
    """Up to `wanted` different choices of small sizes for the symbols other than the batch's, all types sound.

    `equal` are sizes that must agree. One choice, an empty one, for a program without such symbols.
    Raises UserError (CS0848) when no choice fits.
    """
    fixed = dict(given or {})
    symbols = _symbols(graph)
    open_symbols = [s for s in symbols if s not in fixed]
    sizes = {axis.size for _, node in graph.nodes() for type in output_types(node) for axis in type.axes}
    checked = sorted((s for s in sizes if s.symbols() - {BATCH}), key=str)
    found: list[dict[str, int]] = []
    for choice in _choices(open_symbols):
        candidate = _agreeing({**{s: fixed[s] for s in symbols if s in fixed}, **choice}, set(open_symbols), equal)
        agreed = all(_known(left - right, candidate) == 0 for left, right in equal)
        if agreed and all(_sound(size, candidate) for size in checked):
            found.append(candidate)
        if len(found) == wanted or not open_symbols:
            break
    if not found:
        message = f"no small sizes fit the axes {', '.join(symbols)}"
        raise UserError(
            Diagnostic("CS0848", message, help="give them when building: `cogseedc build net.seed --size T=32`")
        )
    return tuple(found)


def random_inputs(graph: Graph, batch: int, sizes: Mapping[str, int], rng: int, scale: float = 1.0) -> dict[str, Array]:
    """A batch of random inputs, but no states: normal with standard deviation `scale`, integers within what they index.

    A smaller batch is the beginning of a larger one, so that the reference need not evaluate its samples again.
    """
    bound = {**sizes, BATCH: max(batch, _ROWS)}
    result: dict[str, Array] = {}
    for id, node in graph.nodes():
        if isinstance(node, Input) and node.state is None:
            shape = tuple(s.evaluate(bound) for s in node.type.shape)
            rows = tuple(slice(batch if i == node.type.batch else None) for i in range(len(shape)))
            result[node.name] = _random(node, shape, rng, scale, index_limit(graph, id, bound))[rows]
    return result


def _agreeing(candidate: dict[str, int], free: Set[str], equal: Sequence[tuple[Size, Size]]) -> dict[str, int]:
    """The choice with sizes that an equation gives from the others, where one side of it is a lone symbol."""
    for sides in equal:
        for one, other in (sides, sides[::-1]):
            name = next(iter(one.symbols()), "")
            value = _known(other, candidate)
            if name in free and one == Size.symbol(name) and value is not None and value.denominator == 1:
                candidate = {**candidate, name: int(value)}
                break
    return candidate


def _symbols(graph: Graph) -> list[str]:
    inputs = [node for _, node in graph.nodes() if isinstance(node, Input)]
    names = dict.fromkeys(n for node in inputs for size in node.type.shape for n in sorted(size.symbols()))
    return [name for name in names if name != BATCH]


def _choices(symbols: list[str]) -> Iterator[dict[str, int]]:
    """Different values for different symbols first, then equal ones (square images)."""
    apart = (
        {s: _CANDIDATES[(start + i) % len(_CANDIDATES)] for i, s in enumerate(symbols)}
        for start in range(len(_CANDIDATES))
    )
    doubled = ({s: base << i for i, s in enumerate(symbols)} for base in _CANDIDATES)
    equal = (dict.fromkeys(symbols, base) for base in _CANDIDATES)
    return chain(apart, doubled, equal)


def _sound(size: Size, sizes: Mapping[str, int]) -> bool:
    """Whether the size is a positive integer for these values, whatever the batch."""
    known = _known(size, sizes)
    return known is not None and known.denominator == 1 and known > Fraction(0)


def _known(size: Size, sizes: Mapping[str, int]) -> Fraction | None:
    return size.substitute({**{s: Size.of(v) for s, v in sizes.items()}, BATCH: Size.of(1)}).known


def _random(node: Input, shape: tuple[int, ...], rng: int, scale: float, limit: int) -> Array:
    key = int.from_bytes(sha256(f"{rng}:input:{node.name}:{shape}".encode()).digest()[:16], "little")
    generator = np.random.Generator(np.random.Philox(key=key))
    dtype = numpy_dtype(node.type.dtype)
    if node.type.dtype is Dtype.BOOL:
        return generator.random(shape) < 0.5
    if node.type.dtype.floating:
        return (generator.standard_normal(shape) * scale).astype(dtype)
    return generator.integers(0, min(limit, _LARGEST.get(node.type.dtype, limit)), shape).astype(dtype)
