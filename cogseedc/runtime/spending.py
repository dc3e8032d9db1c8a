"""What a run has spent: the MACs of each sample, from the decisions in its trace and the costs in its artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from cogseedc.runtime.artifact import Artifact, Json, as_written, damaged, integer, record, records, text

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array


@dataclass(frozen=True, slots=True)
class Literal:
    """What is said of one gate: that it took one of `arms`, or (`taken` false) that it selected none of them."""

    gate: str
    arms: tuple[int, ...]
    taken: bool
    along: int = 0
    """Axes beside the batch along which it may hold here and not there."""
    anywhere: int = 0
    """Axes beside the batch along which it holds if it does at any index."""
    uniform: bool = False
    """Whether the gate decides for all samples at once: there is no axis for them."""


Conjunctions = tuple[tuple[Literal, ...], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Work that is done for a sample when all literals of some conjunction hold; where they hold for some positions, or
    channels of the result, that share of it. Of that the share of channels of the operand of which `read` says so."""

    macs: int
    conjunctions: Conjunctions
    read: Conjunctions = ((),)


@dataclass(frozen=True, slots=True)
class Turns:
    """Work that is done in each turn of a loop that a sample runs, when all literals of some conjunction hold."""

    pieces: tuple[Piece | Turns, ...]
    most: int
    until: str | None
    """The gate that ends it: it decided in the turns that were run. None: all turns are."""
    rows: bool
    """Whether that gate decides for each sample."""
    conjunctions: Conjunctions


@dataclass(frozen=True)
class Work:
    """All work of a program, by the decisions that ask for it. Turns of a loop that some position of a sample runs
    count in full."""

    pieces: tuple[Piece | Turns, ...]
    worst: int
    """Proved bound of one sample."""

    @cached_property
    def total(self) -> int:
        """MACs of everything, whatever is decided."""
        return _total(self.pieces)

    def macs(self, trace: Mapping[str, Array], count: int) -> Array:
        """MACs of each of `count` samples, f64. Raises KeyError for a trace without a gate that work hangs on."""
        return np.zeros(count) + _spent(self.pieces, trace, 0, {})


def _total(pieces: Sequence[Piece | Turns]) -> int:
    return sum(p.macs if isinstance(p, Piece) else p.most * _total(p.pieces) for p in pieces)


def _spent(
    pieces: Sequence[Piece | Turns], trace: Mapping[str, Array], loops: int, known: dict[Literal, Array]
) -> Array:
    """MACs of each sample (or of each alike) in each turn of so many loops around; an axis may have size one."""
    spent = np.zeros((1,) * (1 + loops))
    for piece in pieces:
        done = _share(piece.conjunctions, trace, loops, known)
        if isinstance(piece, Piece):
            spent = spent + piece.macs * done * _share(piece.read, trace, loops, known)
        else:
            spent = spent + _turned(piece, trace, loops, known) * done
    return spent


def _share(conjunctions: Conjunctions, trace: Mapping[str, Array], loops: int, known: dict[Literal, Array]) -> Array:
    """For each sample, in each turn, the share of positions at which one of the conjunctions holds; 0 or 1 where none
    speaks of positions."""
    rank = 1 + loops + max((literal.along for conjunction in conjunctions for literal in conjunction), default=0)
    done = np.zeros((1,) * rank, bool)
    for conjunction in conjunctions:
        every = np.ones((1,) * rank, bool)
        for literal in conjunction:
            if literal not in known:
                known[literal] = _holds(literal, trace[literal.gate], loops)
            held = known[literal]
            every = np.logical_and(every, held.reshape(held.shape + (1,) * (rank - held.ndim)))
        done = np.logical_or(done, every)
    return np.asarray(done.mean(axis=tuple(range(1 + loops, rank))))


def _turned(turns: Turns, trace: Mapping[str, Array], loops: int, known: dict[Literal, Array]) -> Array:
    """MACs of all turns of a loop."""
    each = _spent(turns.pieces, trace, loops + 1, known)
    if turns.until is None:
        return np.asarray(each.sum(-1)) if each.shape[-1] != 1 else np.asarray(turns.most * each[..., 0])
    ran = np.asarray(trace[turns.until] >= 0)
    kept = loops + 1 + turns.rows
    ran = np.asarray(ran.any(axis=tuple(range(kept, ran.ndim))))
    return np.asarray((each * ran).sum(-1))


def _holds(literal: Literal, decision: Array, loops: int) -> Array:
    """For each sample (or for all of them at once), in each turn of so many loops, whether a literal holds; where
    nothing was decided, none does."""
    said: Array = np.isin(decision, literal.arms)
    if said.ndim > (not literal.uniform) + loops + literal.along + literal.anywhere:  # k of n: along the last axis
        said = np.asarray(said.any(-1))
    if literal.uniform:
        said = np.expand_dims(said, 0)
    if literal.anywhere:
        said = np.asarray(said.any(axis=tuple(range(1 + loops, said.ndim))))
    return said if literal.taken else np.logical_not(said)


def read_work(artifact: Artifact) -> Work:
    """The work that an artifact's costs describe. Raises UserError CS0831."""
    with as_written():
        costs = json.loads(artifact.payload("costs.json"))
    if not isinstance(costs, dict):
        raise damaged("costs.json is no object")
    return Work(tuple(_piece(r) for r in records(costs, "work")), integer(record(costs, "macs"), "worst"))


def _piece(value: Mapping[str, Json]) -> Piece | Turns:
    conjunctions = _conjunctions(value.get("any"))
    if "turns" not in value:
        read = _conjunctions(value["read"]) if "read" in value else ((),)
        return Piece(integer(value, "macs"), conjunctions, read)
    turns = record(value, "turns")
    until = None if turns.get("until") is None else text(turns, "until")
    pieces = tuple(_piece(r) for r in records(turns, "work"))
    return Turns(pieces, integer(turns, "most"), until, turns.get("rows") is True, conjunctions)


def _conjunctions(terms: Json) -> Conjunctions:
    if not isinstance(terms, list):
        raise damaged("costs.json has work without conditions")
    return tuple(_conjunction(term) for term in terms)


def _conjunction(term: Json) -> tuple[Literal, ...]:
    if not isinstance(term, list):
        raise damaged("a condition in costs.json is no list")
    return tuple(_literal(r) for r in records({"term": term}, "term"))


def _literal(value: Mapping[str, Json]) -> Literal:
    taken = "arms" in value
    arms = value.get("arms" if taken else "without")
    if not isinstance(arms, list):
        raise damaged("a condition in costs.json names no arms")
    along, anywhere = (integer(value, name) if name in value else 0 for name in ("along", "anywhere"))
    return Literal(text(value, "gate"), _integers(arms), taken, along, anywhere, value.get("uniform") is True)


def _integers(values: Sequence[Json]) -> tuple[int, ...]:
    return tuple(integer({"arm": value}, "arm") for value in values)
