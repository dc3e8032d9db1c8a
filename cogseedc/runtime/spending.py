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


@dataclass(frozen=True)
class Work:
    """All work of a program, by the decisions that ask for it. Decisions over further axes than the batch ask for
    none here: their arms count as computed in full."""

    pieces: tuple[Piece, ...]
    worst: int
    """Proved bound of one sample."""

    @cached_property
    def total(self) -> int:
        """MACs of everything, whatever is decided."""
        return sum(piece.macs for piece in self.pieces)

    def macs(self, trace: Mapping[str, Array], count: int) -> Array:
        """MACs of each of `count` samples, f64. Raises KeyError for a trace without a gate that work hangs on."""
        spent = np.zeros(count)
        known: dict[Literal, Array] = {}
        for piece in self.pieces:
            done = np.zeros(count, bool)
            for conjunction in piece.conjunctions:
                every: Array = np.ones(count, bool)
                for literal in conjunction:
                    if literal not in known:
                        known[literal] = _holds(literal, trace[literal.gate])
                    every = np.logical_and(every, known[literal])
                done |= every
            spent += piece.macs * done
        return spent


def _holds(literal: Literal, decision: Array) -> Array:
    """For each sample (or for all of them at once) whether a literal holds; where nothing was decided, none does."""
    said: Array = np.isin(decision, literal.arms)
    if said.ndim > 1:  # k of n: along the last axis
        said = np.asarray(said.any(-1))
    return said if literal.taken else np.logical_not(said)


def read_work(artifact: Artifact) -> Work:
    """The work that an artifact's costs describe. Raises UserError CS0831."""
    with as_written():
        costs = json.loads(artifact.payload("costs.json"))
    if not isinstance(costs, dict):
        raise damaged("costs.json is no object")
    return Work(tuple(_piece(r) for r in records(costs, "work")), integer(record(costs, "macs"), "worst"))


def _piece(value: Mapping[str, Json]) -> Piece:
    terms = value.get("any")
    if not isinstance(terms, list):
        raise damaged("costs.json has work without conditions")
    return Piece(integer(value, "macs"), tuple(_conjunction(term) for term in terms))


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
