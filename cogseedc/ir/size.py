"""Sizes of axes: integers, symbols of the exported seed's input axes, and arithmetic of both.

A size is a polynomial with rational coefficients over atoms; an atom is a symbol or the floor of a
size. The form is canonical, and there is one object of each: equal sizes are the same. Nothing here knows of tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import lcm
from threading import Lock
from weakref import WeakValueDictionary

Monomial = tuple["str | Floor", ...]  # sorted, with repetition; () is the constant term


@dataclass(frozen=True)
class Floor:
    """The largest integer that is at most `of`; `of` is not an integer polynomial."""

    of: Size

    def __str__(self) -> str:
        return self.of.spell_floor(str, "/")


_MADE: WeakValueDictionary[object, Size] = WeakValueDictionary()
"""The one object of each size, by its terms."""
_MAKING = Lock()


def _atom_key(atom: str | Floor) -> tuple[bool, str]:
    return isinstance(atom, Floor), str(atom)


@dataclass(frozen=True, eq=False)
class Size:
    """A size in canonical form: `terms` sorted by monomial, no zero coefficient."""

    terms: tuple[tuple[Monomial, Fraction], ...]

    # A program has thousands of values and a handful of sizes, which are compared and hashed all the time: by identity.
    def __new__(cls, terms: tuple[tuple[Monomial, Fraction], ...]) -> Size:
        with _MAKING:
            known = _MADE.get(terms)
            if known is None:
                known = _MADE[terms] = super().__new__(cls)
            return known

    def __reduce__(self) -> tuple[type[Size], tuple[object, ...]]:
        return Size, (self.terms,)

    @staticmethod
    def of(value: int | Fraction | Size) -> Size:
        return value if isinstance(value, Size) else _constant(value)

    @staticmethod
    def symbol(name: str) -> Size:
        return _symbol(name)

    @staticmethod
    def _make(terms: Mapping[Monomial, Fraction]) -> Size:
        kept = [(m, c) for m, c in terms.items() if c]
        return Size(tuple(sorted(kept, key=lambda t: (-len(t[0]), tuple(map(_atom_key, t[0]))))))

    def __add__(self, other: int | Fraction | Size) -> Size:
        return _sum(self, Size.of(other))

    __radd__ = __add__

    def __neg__(self) -> Size:
        return self * -1

    def __sub__(self, other: int | Fraction | Size) -> Size:
        return self + -Size.of(other)

    def __rsub__(self, other: int | Fraction) -> Size:
        return Size.of(other) - self

    def __mul__(self, other: int | Fraction | Size) -> Size:
        return _product(self, Size.of(other))

    __rmul__ = __mul__

    def divided(self, by: int | Fraction) -> Size:
        """Exact division; the result may have rational coefficients. Raises ZeroDivisionError."""
        return self * (1 / Fraction(by))

    def floor(self) -> Size:
        """The largest integer at most this size."""
        if all(c.denominator == 1 for _, c in self.terms):
            return self
        whole = {m: Fraction(c.numerator // c.denominator) for m, c in self.terms}
        rest = Size._make({m: c - whole[m] for m, c in self.terms})
        if rest.known is not None:
            return Size._make(whole)
        return Size._make(whole) + Size((((Floor(rest),), Fraction(1)),))

    def ceil(self) -> Size:
        """The smallest integer at least this size."""
        return -((-self).floor())

    def __floordiv__(self, by: int) -> Size:
        return self.divided(by).floor()

    @cached_property
    def denominator(self) -> int:
        """Least common denominator of the coefficients."""
        return lcm(*(c.denominator for _, c in self.terms))

    @cached_property
    def known(self) -> Fraction | None:
        """The value, when there is no symbol in it."""
        if not self.terms:
            return Fraction(0)
        if len(self.terms) == 1 and not self.terms[0][0]:
            return self.terms[0][1]
        return None

    @cached_property
    def value(self) -> int | None:
        """The integer value, when known and integral."""
        known = self.known
        return int(known) if known is not None and known.denominator == 1 else None

    def symbols(self) -> frozenset[str]:
        """Names of all symbols in it."""
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                found |= {atom} if isinstance(atom, str) else atom.of.symbols()
        return frozenset(found)

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The integer for given symbols. Raises KeyError for a missing one."""
        return self.value if self.value is not None else int(self._evaluate(sizes))

    def _evaluate(self, sizes: Mapping[str, int]) -> Fraction:
        total = Fraction(0)
        for monomial, c in self.terms:
            for atom in monomial:
                c *= sizes[atom] if isinstance(atom, str) else atom.of._evaluate(sizes).__floor__()
            total += c
        return total

    def substitute(self, sizes: Mapping[str, Size]) -> Size:
        """This size with symbols replaced."""
        total = Size.of(0)
        for monomial, c in self.terms:
            product = Size.of(c)
            for atom in monomial:
                if isinstance(atom, str):
                    product = product * sizes.get(atom, Size.symbol(atom))
                else:
                    product = product * atom.of.substitute(sizes).floor()
            total = total + product
        return total

    def spell(self, symbol: Callable[[str], str], divide: str) -> str:
        """As an integer expression; `symbol` spells a symbol, `divide` is the operator of floor division."""
        scale = self.denominator
        parts: list[str] = []
        for monomial, c in self.terms:
            whole = int(c * scale)
            minus = whole != abs(whole)
            atoms = [symbol(a) if isinstance(a, str) else a.of.spell_floor(symbol, divide) for a in monomial]
            factors = ([] if abs(whole) == 1 and atoms else [str(abs(whole))]) + atoms
            term = " * ".join(factors)
            parts.append(("- " if minus else "+ ") + term if parts else ("-" if minus else "") + term)
        text = " ".join(parts) or "0"
        return text if scale == 1 else f"({text}) {divide} {scale}"

    def spell_floor(self, symbol: Callable[[str], str], divide: str) -> str:
        """The floor of this size, spelled in parentheses."""
        scale = self.denominator
        return f"(({(self * scale).spell(symbol, divide)}) {divide} {scale})"

    def __str__(self) -> str:
        """In the language's own syntax, where `/` of integers rounds down."""
        return self._text

    @cached_property
    def _text(self) -> str:
        return self.spell(str, "/")


@lru_cache(maxsize=4096)
def _constant(value: int | Fraction) -> Size:
    return Size((((), Fraction(value)),)) if value else Size(())


@lru_cache(maxsize=4096)
def _symbol(name: str) -> Size:
    return Size((((name,), Fraction(1)),))


@lru_cache(maxsize=4096)
def _sum(a: Size, b: Size) -> Size:
    terms = dict(a.terms)
    for monomial, c in b.terms:
        terms[monomial] = terms.get(monomial, Fraction(0)) + c
    return Size._make(terms)


@lru_cache(maxsize=4096)
def _product(a: Size, b: Size) -> Size:
    terms: dict[Monomial, Fraction] = {}
    for m, c in a.terms:
        for n, d in b.terms:
            key = tuple(sorted(m + n, key=_atom_key))
            terms[key] = terms.get(key, Fraction(0)) + c * d
    return Size._make(terms)
