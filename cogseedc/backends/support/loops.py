"""Functions that generated PyTorch files use for loops; their source is copied into those files.

Each function is complete in itself and uses nothing but torch.
"""

from __future__ import annotations

import torch


def put_rows(
    whole: tuple[torch.Tensor, ...] | None,
    rows: torch.Tensor | None,
    values: tuple[torch.Tensor, ...],
    axes: tuple[int, ...],
) -> tuple[torch.Tensor, ...]:
    """Values at their places among all rows; `rows` None: they are of all rows."""
    if rows is None or whole is None:
        return values
    return tuple(w.index_copy(axis, rows, v) for w, v, axis in zip(whole, values, axes))  # noqa: B905


def stack_turns(turns: list[torch.Tensor], count: int, dim: int) -> torch.Tensor:
    """The values of all turns along an axis; what would follow the last one is like it."""
    return torch.stack([*turns, *[turns[-1]] * (count - len(turns))], dim)


def take_turns(
    x: torch.Tensor, rows: torch.Tensor, turns: torch.Tensor, batch: int, dim: int, position: int
) -> torch.Tensor:
    """For each of some rows the element of its own turn; rows are then the axis at `position`."""
    return x.movedim((batch, dim), (0, 1))[rows, turns].movedim(0, position)


def lay_states(states: list[torch.Tensor], active: torch.Tensor, batch: int, dim: int) -> torch.Tensor:
    """At each turn the state that a row has after it, from the states after none, one, two, .. turns that it ran."""
    whole = torch.stack(states).movedim(batch + 1, 1)
    rows = torch.arange(active.shape[0], device=active.device).unsqueeze(1)
    laid = whole[active.cumsum(1), rows]
    return laid.movedim((0, 1), (batch + (dim <= batch), dim))


def spread_turn(
    found: tuple[dict[str, torch.Tensor], dict[str, int]],
    rows: torch.Tensor | None,
    count: int,
    axes: dict[str, int | None],
) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    """What was decided in a turn, for all rows: -1 for those that did not run it."""
    if rows is None:
        return found
    traces, counts = found
    spread = {}
    for name, trace in traces.items():
        spread[name], axis = trace, axes[name]
        if axis is not None:
            shape = [count if i == axis else n for i, n in enumerate(trace.shape)]
            spread[name] = trace.new_full(shape, -1).index_copy(axis, rows, trace)
    return spread, counts


def mask_turn(
    found: tuple[dict[str, torch.Tensor], dict[str, int]], ran: torch.Tensor | None, axes: dict[str, int | None]
) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
    """What was decided in a turn, with -1 for rows that had stopped before it."""
    if ran is None:
        return found
    traces, counts = found
    masked = {}
    for name, trace in traces.items():
        masked[name] = trace
        if axes[name] is not None:
            shape = [-1 if i == axes[name] else 1 for i in range(trace.dim())]
            masked[name] = torch.where(ran.reshape(shape), trace, -1)
    return masked, counts


def unfold_turns(
    found: tuple[dict[str, torch.Tensor], dict[str, int]], count: int, length: int, axes: dict[str, int | None]
) -> list[tuple[dict[str, torch.Tensor], dict[str, int]]]:
    """What was decided in all turns at once, turn by turn."""
    traces, counts = found
    turns: list[tuple[dict[str, torch.Tensor], dict[str, int]]] = []
    for turn in range(length):
        here = {}
        for name, trace in traces.items():
            here[name], axis = trace, axes[name]
            if axis is not None:
                apart = trace.reshape(*trace.shape[:axis], count, length, *trace.shape[axis + 1 :])
                here[name] = apart.select(axis + 1, turn)
        turns.append((here, {} if turn else counts))
    return turns


def lay_turns(
    whole: torch.Tensor, turns: list[tuple[dict[str, torch.Tensor], dict[str, int]]], name: str, dim: int
) -> torch.Tensor:
    """What a gate decided in each turn, at its place along an axis; turns that were not run keep what is there."""
    for turn, (traces, _) in enumerate(turns):
        whole.select(dim, turn).copy_(traces[name])
    return whole


def sum_turns(turns: list[tuple[dict[str, torch.Tensor], dict[str, int]]]) -> dict[str, int]:
    """Rows that the parts of a loop held, over all its turns."""
    total: dict[str, int] = {}
    for _, counts in turns:
        for name, count in counts.items():
            total[name] = total.get(name, 0) + count
    return total
