"""What a run has spent: the MACs of each sample, from the decisions in its trace and the costs in its artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cogseedc.runtime.artifact import Artifact, Json, as_written, damaged, integer, record, records, text

if TYPE_CHECKING:
    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Literal:
    """What is said of one gate: that it took one of `arms`, or (`taken` false) that it selected none of them."""

    gate: str
    arms: tuple[int, ...]
    taken: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """Work that is done for a sample when all literals of some conjunction hold."""

    macs: int
    conjunctions: tuple[tuple[Literal, ...], ...]


@dataclass(frozen=True, slots=True)
class Turns:
    """Work that is done in each turn of a loop that a sample runs, when all literals of some conjunction hold."""

    pieces: tuple[Piece | Turns, ...]
    most: int
    until: str | None
    """The gate that ends it: it decided in the turns that were run. None: all turns are."""
    rows: bool
    """Whether that gate decides for each sample."""
    conjunctions: tuple[tuple[Literal, ...], ...]


@dataclass(frozen=True)
class Work:
    """All work of a program, by the decisions that ask for it. Decisions over further axes than the batch ask for
    none here: their arms count as computed in full, and so do turns that some position of a sample runs."""

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
        done = np.zeros((1,) * (1 + loops), bool)
        for conjunction in piece.conjunctions:
            every = np.ones((1,) * (1 + loops), bool)
            for literal in conjunction:
                if literal not in known:
                    known[literal] = _holds(literal, trace[literal.gate], loops)
                every = np.logical_and(every, known[literal])
            done = np.logical_or(done, every)
        spent = spent + (piece.macs if isinstance(piece, Piece) else _turned(piece, trace, loops, known)) * done
    return spent


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
    if said.ndim > 1 + loops:  # k of n: along the last axis
        said = np.asarray(said.any(-1))
    return said if literal.taken else np.logical_not(said)


def read_work(artifact: Artifact) -> Work:
    """The work that an artifact's costs describe. Raises UserError CS0831."""
    with as_written():
        costs = json.loads(artifact.payload("costs.json"))
    if not isinstance(costs, dict):
        raise damaged("costs.json is no object")
    return Work(tuple(_piece(r) for r in records(costs, "work")), integer(record(costs, "macs"), "worst"))


def _piece(value: Mapping[str, Json]) -> Piece | Turns:
    terms = value.get("any")
    if not isinstance(terms, list):
        raise damaged("costs.json has work without conditions")
    conjunctions = tuple(_conjunction(term) for term in terms)
    if "turns" not in value:
        return Piece(integer(value, "macs"), conjunctions)
    turns = record(value, "turns")
    until = None if turns.get("until") is None else text(turns, "until")
    pieces = tuple(_piece(r) for r in records(turns, "work"))
    return Turns(pieces, integer(turns, "most"), until, turns.get("rows") is True, conjunctions)


def _conjunction(term: Json) -> tuple[Literal, ...]:
    if not isinstance(term, list):
        raise damaged("a condition in costs.json is no list")
    return tuple(_literal(r) for r in records({"term": term}, "term"))


def _literal(value: Mapping[str, Json]) -> Literal:
    taken = "arms" in value
    arms = value.get("arms" if taken else "without")
    if not isinstance(arms, list):
        raise damaged("a condition in costs.json names no arms")
    return Literal(text(value, "gate"), _integers(arms), taken)


def _integers(values: Sequence[Json]) -> tuple[int, ...]:
    return tuple(integer({"arm": value}, "arm") for value in values)
