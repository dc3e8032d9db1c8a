"""Operations at single positions: where demand is passed on along axes beside the batch, what is computed for some
positions alone is what is computed for all, taken there; in all three spellings."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from cogseedc.backends.plan.model import at_positions
from cogseedc.backends.support.places import add_places, put_places, rows_within, take_places
from cogseedc.ir import WHOLE, Axis, Call, Graph, Input, Lay, Size, TensorType, Value, laid
from cogseedc.ir.opspec import Resolution
from cogseedc.ops import OPS
from tests.laws import harness
from tests.laws.agreeing import close
from tests.laws.harness import Array, Case, Port, Step
from tests.laws.test_ops import case, each

BATCH = 3
FOLLOWED = {"linear", "conv2d", "layer_norm", "batch_norm", "relu", "add", "embedding", "softmax", "matmul"}
"""Operations that, without which, nothing would be saved."""


def single(c: Case) -> Case:
    """The last call of an example alone, with its operands as inputs."""
    last = c.steps[-1]
    ports = {p.name: p for p in c.ports}
    made = [ports.get(a) or Port(a, t) for a, t in zip(last.args, last.inputs, strict=True) if a is not None and t]
    return Case(last.spec, c.example, list({p.name: p for p in made}.values()), [last])


def lays_of(c: Case, whole: bool = False) -> list[tuple[Lay, tuple[Lay, ...]]]:
    """Every choice of the batch and further axes of the results along which the call can be computed for single
    positions, with where they lie in the operands; those where some operand is read in full, or the others."""
    step, graph = c.steps[-1], Graph()
    values = [None if t is None else Value(graph.add(Input(f"x{i}", t))) for i, t in enumerate(step.inputs)]
    call = graph.add(Call(step.spec.name, step.resolution.attrs, step.resolution.types), values)
    result = step.resolution.types[0]
    if result.batch is None or any(t is None for t in step.inputs):
        return []
    others = [i for i in range(result.rank) if i != result.batch]
    lays = [(result.batch, *more) for count in (1, 2) for more in combinations(others, count)]
    every = [(lay, found) for lay in lays if (found := laid(graph, OPS, call, lay)) is not None]
    return [(lay, found) for lay, found in every if (WHOLE in found) == whole]


def at(case: Case, lay: Lay, lays: tuple[Lay, ...]) -> Case:
    """The call for single positions."""
    step = case.steps[-1]
    types = tuple(at_positions(t, lay) for t in step.resolution.types)
    inputs = tuple(t and at_positions(t, own) for t, own in zip(step.inputs, lays, strict=True))
    known = dict(zip(step.args, inputs, strict=True))
    ports = [Port(p.name, known[p.name] or p.type, p.init, p.trainable) for p in case.ports]
    made = Resolution(step.resolution.attrs, types, step.resolution.weights)
    return Case(case.spec, case.example, ports, [Step(step.spec, made, step.args, inputs, step.result)])


def taken(value: Array, rows: Array, grid: tuple[int, ...], lay: Lay) -> Array:
    if not lay:
        return value
    places = np.unravel_index(rows, (BATCH, *grid))
    held = [axis for axis in lay if axis >= 0]
    found = np.moveaxis(value, held, range(len(held)))[
        tuple(p for p, axis in zip(places, lay, strict=True) if axis >= 0)
    ]
    return np.moveaxis(found.reshape(len(rows), *[1] * (len(held) - 1), *found.shape[1:]), range(len(held)), held)


@each
def test_an_operation_can_be_computed_for_single_positions(op: str, index: int) -> None:
    c = single(case(op, index))
    values = harness.data(c, BATCH)
    for lay, lays in lays_of(c):
        few = at(c, lay, lays)
        run = harness.OnnxRun(few)
        grid = tuple(c.types[0].shape[axis].evaluate(c.sizes(BATCH)) for axis in lay[1:])
        where = dict(zip(c.steps[-1].args, lays, strict=True))
        for most in (0, 4):
            rows = np.sort(np.random.default_rng(0).permutation(BATCH * int(np.prod(grid)))[:most])
            count = len(rows)
            near = {name: taken(value, rows, grid, where[name]) for name, value in values.items()}
            wanted = [taken(v, rows, grid, lay) for v in harness.reference(c, values, BATCH)]
            if count:
                for found, whole in zip(harness.reference(few, near, count), wanted, strict=True):
                    close(found, whole)
            for tensor, whole in zip(harness.torch_results(few, harness.tensors(near), count), wanted, strict=True):
                close(tensor.numpy(), whole)
            if OPS[op].zero_rows or count:
                for array, whole in zip(run(near), wanted, strict=True):
                    close(array, whole)


QUERIES = [(s.name, i) for s in OPS.values() if s.queries is not None for i in range(len(s.examples))]


@pytest.mark.parametrize(("op", "index"), QUERIES)
def test_queries_may_be_any_of_them_in_any_order(op: str, index: int) -> None:
    c = single(case(op, index))
    values = harness.data(c, BATCH)
    for lay, lays in lays_of(c, whole=True):
        assert lay == (0, 1)
        step, order = c.steps[-1], [2, 0]
        where = dict(zip(step.args, lays, strict=True))

        def few(type: TensorType, own: Lay) -> TensorType:
            return type.with_axes((type.axes[0], Axis("Q", Size.of(2)), *type.axes[2:])) if own == (0, 1) else type

        inputs = tuple(t and few(t, own) for t, own in zip(step.inputs, lays, strict=True))
        made = Resolution(step.resolution.attrs, tuple(few(t, lay) for t in step.resolution.types))
        ports = [Port(p.name, few(p.type, where[p.name]), p.init, p.trainable) for p in c.ports]
        some = Case(c.spec, c.example, ports, [Step(step.spec, made, step.args, inputs, step.result)])
        near = {name: value[:, order] if where[name] == lay else value for name, value in values.items()}
        (whole,) = harness.reference(c, values, BATCH)
        close(harness.reference(some, near, BATCH)[0], whole[:, order])
        (found,) = harness.torch_results(some, harness.tensors(near), BATCH)
        close(found.detach().numpy(), whole[:, order])
    causal = "causal=true" in c.example.call
    assert bool(lays_of(c, whole=True)) <= (not causal)


def test_what_networks_are_made_of_is_followed() -> None:
    assert any(lays_of(single(case(op, i)), whole=True) for op, i in QUERIES)
    followed = {op for op, spec in OPS.items() for i in range(len(spec.examples)) if lays_of(single(case(op, i)))}
    assert followed >= FOLLOWED, FOLLOWED - followed


@pytest.mark.parametrize("lay", [(0, 1), (0, 2, 3), (1, 0), (2, 0, 3), (0, -1, 2), (1, -1)])
def test_places_move_there_and_back(lay: Lay) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 5, 6))
    sizes = tuple(x.shape[axis] if axis >= 0 else 7 for axis in lay[1:])
    total = x.shape[lay[0]] * int(np.prod(sizes))
    rows = np.sort(rng.permutation(total)[: total // 3])
    found = take_places(torch.from_numpy(x), torch.from_numpy(rows), sizes, lay)
    places = np.unravel_index(rows, (x.shape[lay[0]], *sizes))
    for i in range(len(rows)):
        index = tuple(int(places[lay.index(a)][i]) if a in lay else slice(None) for a in range(4))
        np.testing.assert_array_equal(found.select(lay[0], i).numpy().squeeze(), x[index].squeeze())
    if min(lay) >= 0:
        given = torch.from_numpy(x), torch.from_numpy(rows), sizes, lay
        put = put_places(torch.zeros(x.shape, dtype=torch.float64), *given[1:], found)
        np.testing.assert_array_equal(take_places(put, *given[1:]).numpy(), found.numpy())
        assert int((put != 0).sum()) == found.numel()
        np.testing.assert_allclose(add_places(given[0], *given[1:], found).numpy(), x + put.numpy())


def test_positions_in_rows_are_positions_in_the_batch() -> None:
    above = torch.tensor([1, 4, 5])
    mask = torch.rand(6, 2, 3) > 0.5
    inner = torch.nonzero(mask[above].flatten()).squeeze(1)
    wanted = torch.zeros_like(mask)
    wanted[above] = mask[above]
    torch.testing.assert_close(rows_within(inner, (2, 3), above), torch.nonzero(wanted.flatten()).squeeze(1))
