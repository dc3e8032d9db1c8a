"""The functions that are copied into modules, each by itself against what its words say: generated text runs their copies,
so what is asked of modules asks nothing of the functions in the package."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cogseedc.backends.support import estimation, loops, neural, places, tensor, tiles

NAN, INF = float("nan"), float("inf")
MOST = torch.finfo(torch.float32).max


def some(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# Order


@pytest.mark.parametrize(
    ("values", "highest", "lowest", "falling"),
    [
        ([1, 3, 3, 2], 1, 0, [1, 2, 3, 0]),
        ([NAN, -INF, 0], 2, 1, [2, 1, 0]),
        ([NAN, NAN], 0, 0, [0, 1]),
        ([-INF, NAN, -MOST], 0, 0, [0, 2, 1]),
        ([INF, NAN, MOST], 0, 0, [0, 2, 1]),
        ([NAN, INF, MOST], 1, 1, [1, 2, 0]),
        ([NAN, -MOST], 1, 1, [1, 0]),
        ([-1.5, NAN, -2.5], 0, 2, [0, 2, 1]),
    ],
)
def test_order(values: list[float], highest: int, lowest: int, falling: list[int]) -> None:
    """Of equal ones the lowest index; NaN comes behind every number, the infinite ones included."""
    x = torch.tensor(values, dtype=torch.float32)
    assert (int(tensor.argmax(x, 0, False)), int(tensor.argmin(x, 0, False))) == (highest, lowest)
    assert tensor.argsort(x, 0, True).tolist() == falling
    assert tensor.top_places(x, 2, 0).tolist() == falling[:2]
    assert tensor.top_places(x, 1, 0).tolist() == falling[:1]


def test_order_of_others_than_real_numbers() -> None:
    on, k = torch.tensor([[False, True, True]]), torch.tensor([[4, -1, 4]])
    for x, high, low in ((on, 1, 0), (k, 0, 1)):
        assert tensor.argmax(x, 1, True).tolist() == tensor.top_places(x, 1, 1).tolist() == [[high]]
        assert tensor.argmin(x, 1, True).tolist() == [[low]]
        assert tensor.argmax(x, -1, False).shape == tensor.argmin(x, -1, False).shape == (1,)
    assert tensor.argsort(k, 1, False).tolist() == [[1, 0, 2]]
    assert tensor.in_places(k, torch.tensor([[2, 0]]), 1).tolist() == [[True, False, True]]


# Decisions


def test_selections() -> None:
    indices = torch.tensor([[0, 2], [1, -1]])
    mask = tensor.top_mask(indices, 3)
    assert mask.int().tolist() == [[1, 0, 1], [0, 1, 0]]
    weights = torch.tensor([[3.0, 5, 1], [0, 0, 7]])
    assert tensor.top_weights(mask, weights, False).tolist() == [[3, 0, 1], [0, 0, 0]]
    assert tensor.top_weights(mask, weights, True).tolist() == [[0.75, 0, 0.25], [0, 0, 0]]
    chosen = torch.tensor([[1, 1], [1, 0], [1, 1]], dtype=torch.bool)
    assert tensor.capacity_mask(chosen, 2, 0).int().tolist() == [[1, 1], [1, 0], [0, 1]]
    assert tensor.capacity_mask(chosen, 1, 0).int().tolist() == [[1, 1], [0, 0], [0, 0]]
    assert tensor.dropped_indices(indices, torch.tensor([[1, 1, 0], [1, 1, 1]]).bool()).tolist() == [[0, -1], [1, -1]]


def test_balance() -> None:
    mask, scores = torch.tensor([[[1, 0], [1, 0]], [[1, 1], [0, 0]]]).bool(), some(2, 2, 2)
    wanted = 2 * (0.75 * scores[..., 0].mean() + 0.25 * scores[..., 1].mean())
    torch.testing.assert_close(tensor.load_balance(mask, scores), wanted)


def test_confidences() -> None:
    logits = torch.tensor([[0.0, -INF, 0.0], [1.0, 3.0, 2.0]])
    p = torch.softmax(logits[1], 0)
    torch.testing.assert_close(tensor.entropy(logits, 1), torch.stack([torch.tensor(2.0).log(), -(p * p.log()).sum()]))
    torch.testing.assert_close(tensor.margin(logits, 1), torch.stack([torch.tensor(0.0), p[1] - p[2]]))
    torch.testing.assert_close(tensor.margin(logits.T, 0), tensor.margin(logits, 1))


# Training


def test_noise_is_drawn_in_training_only() -> None:
    x = torch.full((20000,), 3.0, dtype=torch.float64)
    torch.manual_seed(0)
    spread = {}
    for noise in ("normal", "logistic", "gumbel"):
        assert estimation.perturb(x, noise, False) is x
        drawn = estimation.perturb(x, noise, True)
        assert drawn.dtype is torch.float32
        spread[noise] = (float(drawn.mean()) - 3, float(drawn.std()))
    wanted = {"normal": (0, 1), "logistic": (0, np.pi / 3**0.5), "gumbel": (np.euler_gamma, np.pi / 6**0.5)}
    for noise, found in spread.items():
        np.testing.assert_allclose(found, wanted[noise], atol=0.05, err_msg=noise)


def test_a_hard_value_has_the_gradient_of_the_soft_one() -> None:
    hard, soft = torch.tensor([1, 0], requires_grad=False), torch.tensor([0.3, 0.4], requires_grad=True)
    found = estimation.straight_through(hard, soft)
    assert found.tolist() == [1, 0]
    (found * torch.tensor([2.0, 5.0])).sum().backward()
    assert soft.grad is not None
    assert soft.grad.tolist() == [2, 5]


def test_soft_choices_of_several() -> None:
    scores = torch.tensor([[1.0, 0.0, 2.0]])
    first = torch.softmax(scores, -1)
    torch.testing.assert_close(estimation.soft_top(scores, 1, -1), first)
    torch.testing.assert_close(
        estimation.soft_top(scores, 2, -1), first + torch.softmax(scores + (1 - first).log(), -1)
    )
    torch.testing.assert_close(estimation.soft_top(scores.T, 2, 0).T, estimation.soft_top(scores, 2, 1))
    sure = torch.tensor([20.0, 0.0, -20.0])  # a millionth is left of what is certain
    again = torch.softmax(sure + torch.tensor([1e-6, 1, 1]).log(), 0)
    torch.testing.assert_close(
        estimation.soft_top(sure, 2, 0), torch.tensor([1.0, 0.0, 0.0]) + again, atol=1e-3, rtol=0
    )
    indices = torch.tensor([[2, 0]])
    left = torch.log_softmax(scores[:, :2], -1)[0, 0]
    wanted = torch.tensor([[float(left), 0.0, float(torch.log_softmax(scores, -1)[0, 2])]])
    torch.testing.assert_close(estimation.top_logp(scores, indices), wanted)


# Elements


def test_variance() -> None:
    x = some(2, 3, 4)
    for dim, unbiased, keep in product(((1,), (0, 2)), (True, False), (True, False)):
        wanted = torch.var(x, dim, unbiased=unbiased, keepdim=keep)
        torch.testing.assert_close(tensor.variance(x, dim, unbiased, keep), wanted)
    assert tensor.variance(x[:1], (0,), True, False).isnan().all()
    assert tensor.variance(x[:, :2], (1,), True, False).isfinite().all()


SHARED: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((2,), (0,)), ((3, 2), (1, 0)), ((2, 3), (0, 1)), ((5,), (-1,)), ((5, 2), (-1, 0)), ((3, 5, 2), (1, -1, 0)), ((5, 6), (-1, -1)),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "shared"), SHARED)
def test_take(shape: tuple[int, ...], shared: tuple[int, ...]) -> None:
    """Element by element, along each axis of x [2, 3, 4] that the index does not go with."""
    x = some(2, 3, 4)
    index = torch.randint(-2, 7, shape, generator=torch.Generator().manual_seed(1))
    for dim in {0, 1, 2} - {*shared}:
        found = tensor.take(x, index, dim, shared)
        new = [i for i, axis in enumerate(shared) if axis < 0]
        others = [axis for axis in range(3) if axis != dim and axis not in shared]
        kept = [axis for axis in range(3) if axis != dim]
        at = len([axis for axis in kept if axis < dim])
        assert found.shape == (
            *[x.shape[a] for a in kept[:at]],
            *[shape[i] for i in new],
            *[x.shape[a] for a in kept[at:]],
        )
        for near in product(*map(range, shape)):
            for far in product(*(range(x.shape[axis]) for axis in others)):
                place: dict[int, int] = {a: n for a, n in zip(shared, near, strict=True) if a >= 0}
                place |= dict(zip(others, far, strict=True))
                said = [place[a] for a in kept]
                said[at:at] = [near[i] for i in new]
                place[dim] = min(max(int(index[near]), 0), x.shape[dim] - 1)
                assert found[tuple(said)] == x[tuple(place[a] for a in range(3))]


@pytest.mark.parametrize(("shape", "shared"), [((2,), (0,)), ((3, 2), (1, 0)), ((2, 3), (0, 1)), ((), ())])
def test_put(shape: tuple[int, ...], shared: tuple[int, ...]) -> None:
    x, index = some(2, 3, 4), torch.randint(-1, 5, shape, generator=torch.Generator().manual_seed(2))
    for dim in {1, 2} - {*shared}:
        value = some(*(n for axis, n in enumerate(x.shape) if axis != dim), seed=3)
        found = tensor.put(x, index, value, dim, shared)
        for place in product(*map(range, x.shape)):
            written = place[dim] == int(index[tuple(place[a] for a in shared)])
            wanted = value[tuple(p for axis, p in enumerate(place) if axis != dim)] if written else x[place]
            assert found[place] == wanted


def test_gather_and_scatter_stay_in_the_axis() -> None:
    x, index = torch.tensor([[1.0, 2, 3]]), torch.tensor([[-4, 9]], dtype=torch.int32)
    assert tensor.gather(x, index, 1).tolist() == [[1, 3]]
    assert tensor.gather(x, torch.tensor([[1]]), 1).tolist() == [[2]]
    value = torch.tensor([[5.0, 7.0]])
    assert tensor.scatter(x, index, value, 1, False).tolist() == [[5, 2, 7]]
    assert tensor.scatter(x, index, value, 1, True).tolist() == [[6, 2, 10]]


def test_pixels_to_channels() -> None:
    for lead in ((), (2,), (2, 3)):
        x = some(*lead, 2, 4, 6)
        wanted = F.pixel_unshuffle(x.reshape(-1, 2, 4, 6), 2).reshape(*lead, 8, 2, 3)
        assert torch.equal(tensor.space_to_depth(x, 2), wanted)
    assert tensor.space_to_depth(some(0, 2, 4, 6), 2).shape == (0, 8, 2, 3)


def test_steps() -> None:
    assert tensor.scale_of(torch.tensor([0.0, 254.0, 1.0]), 127.0).tolist() == pytest.approx([1, 2, 1 / 127])
    x, half = torch.tensor([NAN, 0.5, 1.5, -2.5, 300.0, -300.0]), torch.tensor(1.0)
    assert tensor.quantize(x, half).tolist() == [0, 0, 2, -2, 127, -128]
    found = tensor.quantize(x, half, 128, torch.uint8, 0, 255)
    assert (found.tolist(), found.dtype) == ([128, 128, 130, 126, 255, 0], torch.uint8)
    assert tensor.quantize(x[1:3], half / 2, 3).tolist() == [4, 6]


@pytest.mark.parametrize("curvature", [1.0, 0.25])
def test_curved_spaces(curvature: float) -> None:
    v, w = some(5, 3) * 0.3, some(5, 3, seed=1) * 0.3
    x, y = tensor.exp_map(v, curvature), tensor.exp_map(w, curvature)
    torch.testing.assert_close(tensor.log_map(x, curvature), v)
    length = v.norm(dim=-1)
    torch.testing.assert_close(x.norm(dim=-1), (curvature**0.5 * length).tanh() / curvature**0.5)
    torch.testing.assert_close(tensor.mobius_add(-x, tensor.mobius_add(x, y, curvature), curvature), y)
    torch.testing.assert_close(tensor.mobius_add(x, torch.zeros(5, 3), curvature), x)
    torch.testing.assert_close(
        tensor.mobius_add(x, tensor.exp_map(2 * v, curvature), curvature), tensor.exp_map(3 * v, curvature)
    )
    assert tensor.exp_map(0 * v, curvature).eq(0).all()
    assert tensor.log_map(0 * v, curvature).eq(0).all()
    assert tensor.log_map(1e3 * v, curvature).isfinite().all()
    torch.testing.assert_close(tensor.to_sphere(v), v / length.unsqueeze(-1))
    assert tensor.to_sphere(0 * v).eq(0).all()


# Neural operations


SAME: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
WINDOWS: list[dict[str, Any]] = [
    SAME, SAME | {"stride": 2}, SAME | {"padding": 2}, SAME | {"dilation": 2}, SAME | {"groups": 2}, SAME | {"stride": 2, "padding": 1},
]  # fmt: skip
SIDES: list[dict[str, Any]] = [
    {"stride": (2, 1)},
    {"padding": (0, 2)},
    {"dilation": (1, 2)},
    {"stride": (1, 3), "padding": (2, 1)},
]


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_kernel_for_each_index(lead: tuple[int, ...], bias: bool) -> None:
    count = int(np.prod(lead))
    for spatial, window in [*product((1, 2), WINDOWS), *((2, SAME | sides) for sides in SIDES)]:
        sides = (7, 6)[2 - spatial :]
        x, w = some(*lead, 4, *sides), some(*lead, 6, 4 // window["groups"], *(3, 2)[2 - spatial :], seed=1)
        b = some(*lead, 6, seed=2) if bias else None
        found = neural.conv_per_index(x, w, spatial, b, **window)
        flat = (
            x.reshape(count, 4, *sides),
            w.reshape(count, *w.shape[len(lead) :]),
            None if b is None else b.reshape(count, 6),
        )
        convolution = F.conv1d if spatial == 1 else F.conv2d
        each = [
            convolution(flat[0][i : i + 1], flat[1][i], None if flat[2] is None else flat[2][i], **window)
            for i in range(count)
        ]
        torch.testing.assert_close(found, torch.cat(each).reshape(*lead, *each[0].shape[1:]), atol=1e-5, rtol=1e-5)


def attended(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, seen: torch.Tensor, scale: float | None
) -> torch.Tensor:
    """Head by head, in words."""
    found = []
    for a, b, c in zip(q.chunk(heads, -1), k.chunk(heads, -1), v.chunk(heads, -1), strict=True):
        scores = a @ b.transpose(-1, -2) * (a.shape[-1] ** -0.5 if scale is None else scale)
        found.append(torch.softmax(scores.masked_fill(~seen, -INF), -1).nan_to_num() @ c)
    return torch.cat(found, -1)


def test_attention() -> None:
    q, k, v = some(2, 3, 4), some(2, 5, 4, seed=1), some(2, 5, 6, seed=2)
    every = torch.ones(2, 3, 5, dtype=torch.bool)
    mask, length = some(2, 3, 5, seed=3) > -0.5, torch.tensor([5, 2])
    near = every & (torch.arange(5) < length[:, None, None])
    table: list[tuple[dict[str, Any], torch.Tensor]] = [
        ({}, every),
        ({"heads": 2}, every),
        ({"scale": 0.3}, every),
        ({"mask": mask}, mask),
        ({"length": length}, near),
        ({"causal": True}, every.tril()),
        ({"causal": True, "mask": mask, "length": length, "heads": 2}, every.tril() & mask & near),
    ]
    for options, seen in table:
        wanted = attended(q, k, v, options.get("heads", 1), seen, options.get("scale"))
        torch.testing.assert_close(neural.attend(q, k, v, **options), wanted)
    torch.testing.assert_close(
        neural.attend(q[:, 0], k, v, heads=2), attended(q[:, :1], k, v, 2, every[:, :1], None)[:, 0]
    )


def test_attention_keeps_what_is_not_a_number() -> None:
    q, k, v = some(2, 3, 4), some(2, 5, 4, seed=1), some(2, 5, 6, seed=2)
    lost = k.clone()
    lost[0, 4, 1] = NAN
    assert neural.attend(q, lost, v).isnan().any(-1).tolist() == [[True] * 3, [False] * 3]
    q[1, 2, 0] = NAN
    assert neural.attend(q, k, v).isnan().any(-1).tolist() == [[False] * 3, [False, False, True]]


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
@pytest.mark.parametrize("biased", [True, False])
def test_recurrent_layers_are_their_cells_in_turn(lead: tuple[int, ...], biased: bool) -> None:
    x, start = some(*lead, 5, 4), (some(*lead, 6, seed=1), some(*lead, 6, seed=2))
    for gates, cell in ((4, "lstm_cell"), (3, "gru_cell")):
        weights = [some(gates * 6, 4, seed=3), some(gates * 6, 6, seed=4)]
        weights += [some(gates * 6, seed=5), some(gates * 6, seed=6)] if biased else []
        count = gates - 2
        for given in (start[:count], (None,) * count):
            states = tuple(torch.zeros(*lead, 6) if state is None else state for state in given)
            turns = []
            for turn in range(5):
                states = neural.recurrent_step(cell, x[..., turn, :], states, *weights)
                turns.append(states[0])
            layer: Any = neural.lstm if cell == "lstm_cell" else neural.gru
            found = layer(x, *given, *weights)
            for one, other in zip(found, (torch.stack(turns, -2), *states), strict=True):
                torch.testing.assert_close(one, other)


def test_a_step_is_the_cell_of_torch() -> None:
    x, h, c = some(3, 4), some(3, 6, seed=1), some(3, 6, seed=2)
    w = [some(24, 4, seed=3), some(24, 6, seed=4)]
    torch.testing.assert_close(neural.recurrent_step("lstm_cell", x, (h, c), *w), torch.lstm_cell(x, (h, c), *w))
    w = [some(18, 4, seed=3), some(18, 6, seed=4)]
    torch.testing.assert_close(neural.recurrent_step("gru_cell", x, (h,), *w), (torch.gru_cell(x, h, *w),))


def test_images_of_other_sizes() -> None:
    x = torch.arange(5.0)
    assert neural.resize_nearest(x, (3,), (0,)).tolist() == [0, 1, 3]
    assert neural.resize_nearest(x, (7,), (0,)).tolist() == [0, 0, 1, 2, 2, 3, 4]
    both = neural.resize_nearest(torch.arange(6.0).reshape(1, 2, 3), (4, 2), (1, 2))
    assert both.tolist() == [[[0, 1], [0, 1], [3, 4], [3, 4]]]
    assert neural.pad_inside(x, (2,), (3,), (0,), "reflect").tolist() == [2, 1, 0, 1, 2, 3, 4, 3, 2, 1]
    assert neural.pad_inside(x, (2,), (3,), (0,), "edge").tolist() == [0, 0, 0, 1, 2, 3, 4, 4, 4, 4]
    image = torch.arange(6.0).reshape(2, 3)
    assert neural.pad_inside(image, (0, 1), (1, 0), (0, 1), "reflect").tolist() == [
        [1, 0, 1, 2],
        [4, 3, 4, 5],
        [1, 0, 1, 2],
    ]


@pytest.mark.parametrize(
    ("at", "size", "zeros", "edges"),
    [
        (0.0, 2, [2, 3], [2, 3]),
        (0.0, 3, [2, 3, 4], [2, 3, 4]),
        (-1.0, 3, [0, 1, 2], [1, 1, 2]),
        (-0.5, 2, [1, 2], [1, 2]),
        (1.0, 2, [4, 0], [4, 4]),
        (0.5, 5, [2, 3, 4, 0, 0], [2, 3, 4, 4, 4]),
        (9.0, 2, [0, 0], [4, 4]),
        (-INF, 2, [0, 0], [1, 1]),
        (INF, 2, [0, 0], [4, 4]),
        (NAN, 2, [0, 0], [1, 1]),
    ],
)
def test_crops(at: float, size: int, zeros: list[float], edges: list[float]) -> None:
    """Of a row of four pixels."""
    x, place = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[at]]).reshape(1, 1, 1)
    assert neural.crop(x, place, (1,), (size,), True).tolist() == [zeros]
    assert neural.crop(x, place, (1,), (size,), False).tolist() == [edges]


def test_each_sample_is_cropped_at_its_place() -> None:
    x = torch.arange(24.0).reshape(2, 3, 4) + 1
    at = torch.tensor([[-1.0, 0.0], [0.0, 1.0]]).reshape(2, 1, 1, 2)
    found = neural.crop(x, at, (1, 2), (2, 2), True)
    assert found.tolist() == [[[0, 0], [2, 3]], [[16, 0], [20, 0]]]


# Loops


def test_rows_at_their_places() -> None:
    rows, whole = torch.tensor([2, 0]), (torch.zeros(3), torch.zeros(2, 3))
    values = torch.tensor([5.0, 7.0]), torch.tensor([[1.0, 2], [3, 4]])
    assert [x.tolist() for x in loops.put_rows(whole, rows, values, (0, 1))] == [[7, 0, 5], [[2, 0, 1], [4, 0, 3]]]
    assert loops.put_rows(None, rows, values, (0, 1)) is values
    assert loops.put_rows(whole, None, values, (0, 1)) is values


def test_turns_in_a_row() -> None:
    turns = [torch.tensor([1, 2]), torch.tensor([3, 4])]
    assert loops.stack_turns(turns, 3, 0).tolist() == [[1, 2], [3, 4], [3, 4]]
    assert loops.stack_turns(turns, 2, 1).tolist() == [[1, 3], [2, 4]]
    x, rows, at = some(3, 2, 4), torch.tensor([0, 2]), torch.tensor([3, 1])
    wanted = torch.stack([x[0, :, 3], x[2, :, 1]])
    assert torch.equal(loops.take_turns(x, rows, at, 0, 2, 0), wanted)
    assert torch.equal(loops.take_turns(x, rows, at, 0, 2, 1), wanted.T)
    assert torch.equal(loops.take_turns(x.permute(2, 1, 0), rows, at, 2, 0, 0), wanted)


@pytest.mark.parametrize(
    ("batch", "dim", "laid"),
    [(0, 1, (0, 1, 2)), (0, 0, (1, 0, 2)), (1, 0, (1, 2, 0)), (0, 2, (0, 2, 1)), (1, 2, (2, 0, 1))],
)
def test_states_that_rows_keep_while_they_wait(batch: int, dim: int, laid: tuple[int, ...]) -> None:
    """Row by row [rows, turns, 4]; of the result the places of these three axes are `laid`'s."""
    active = torch.tensor([[1, 0, 1], [0, 0, 1]]).bool()
    states = [some(2, 4, seed=seed) for seed in range(3)]
    wanted = torch.stack([torch.stack([states[n][row] for n in ran]) for row, ran in enumerate([[1, 1, 2], [0, 0, 1]])])
    found = loops.lay_states([s.movedim(0, batch) for s in states], active, batch, dim)
    assert found.select(dim, 0).movedim(batch, 0).shape == (2, 4)
    for turn in range(3):
        assert torch.equal(found.select(dim, turn).movedim(batch, 0), wanted[:, turn])


def test_what_was_decided_in_turns() -> None:
    found = {"a": torch.tensor([1, 0]), "b": torch.tensor([[1, 0], [0, 1]]), "all": torch.tensor(1)}, {"s": 2}
    axes = {"a": 0, "b": 1, "all": None}
    rows = torch.tensor([3, 1])
    spread, counts = loops.spread_turn(found, rows, 4, axes)
    assert counts == {"s": 2}
    assert {k: v.tolist() for k, v in spread.items()} == {
        "a": [-1, 0, -1, 1], "b": [[-1, 0, -1, 1], [-1, 1, -1, 0]], "all": 1,
    }  # fmt: skip
    assert loops.spread_turn(found, None, 4, axes) is found
    masked, counts = loops.mask_turn(found, torch.tensor([True, False]), axes)
    assert counts == {"s": 2}
    assert {k: v.tolist() for k, v in masked.items()} == {"a": [1, -1], "b": [[1, -1], [0, -1]], "all": 1}
    assert loops.mask_turn(found, None, axes) is found


def test_what_was_decided_in_all_turns_at_once() -> None:
    a, b = torch.arange(6), torch.arange(12).reshape(2, 6, 1)
    turns = loops.unfold_turns(
        ({"a": a, "b": b, "all": torch.tensor(1)}, {"s": 4}), 2, 3, {"a": 0, "b": 1, "all": None}
    )
    assert [counts for _, counts in turns] == [{"s": 4}, {}, {}]
    assert [traces["a"].tolist() for traces, _ in turns] == [[0, 3], [1, 4], [2, 5]]
    assert [traces["b"].tolist() for traces, _ in turns] == [
        [[[0], [3]], [[6], [9]]],
        [[[1], [4]], [[7], [10]]],
        [[[2], [5]], [[8], [11]]],
    ]
    assert [int(traces["all"]) for traces, _ in turns] == [1, 1, 1]
    whole = torch.full((2, 4), -1)
    assert loops.lay_turns(whole, turns, "a", 1).tolist() == [[0, 1, 2, -1], [3, 4, 5, -1]]
    assert loops.sum_turns([({}, {"s": 4}), ({}, {"s": 1, "t": 2})]) == {"s": 5, "t": 2}


# Positions


def test_places_of_queries() -> None:
    """Four rows of three tokens; the second has none, the third has all."""
    rows = torch.tensor([1, 6, 7, 8, 9, 11])
    at, most = places.places_of_queries(rows, 3, 4)
    assert (at.tolist(), most) == ([0, 6, 7, 8, 9, 10], 3)
    at, most = places.places_of_queries(rows[:1], 3, 4)
    assert (at.tolist(), most) == ([0], 1)
    at, most = places.places_of_queries(rows[:0], 3, 0)
    assert (at.tolist(), most) == ([], 0)
    x = torch.arange(1, 5).reshape(2, 1, 2)
    padded = places.pad_queries(x, torch.tensor([1, 2]), 3, 2)
    assert padded.tolist() == [[[0, 0], [1, 2]], [[3, 4], [0, 0]], [[0, 0], [0, 0]]]
    assert torch.equal(places.take_queries(padded, torch.tensor([1, 2])), x)
    assert [p.tolist() for p in places.places_of(torch.tensor([0, 7, 23]), (3, 4))] == [[0, 0, 1], [0, 1, 2], [0, 3, 3]]
    assert places.rows_within(torch.tensor([1, 7, 11]), (2, 3), torch.tensor([1, 4])).tolist() == [7, 25, 29]


@pytest.mark.parametrize(
    "axes",
    [
        (0, 1),
        (1, 0),
        (0, 2),
        (2, 1),
        (1, 2),
        (0, -1),
        (2, -1),
        (0, -1, 1),
        (1, 0, -1),
        (0, 1, 2),
        (2, 0, 1),
        (1, -1, 0),
    ],
)
def test_values_at_positions(axes: tuple[int, ...]) -> None:
    """Element by element: positions lie along the batch axis, and the others of these axes have size one."""
    x = some(2, 3, 4)
    sizes = tuple(x.shape[axis] if axis >= 0 else 5 for axis in axes[1:])
    table = list(product(range(x.shape[axes[0]]), *map(range, sizes)))
    rows = torch.tensor([0, 2, 3, len(table) - 1])
    found = places.take_places(x, rows, sizes, axes)
    held = [axis for axis in axes if axis >= 0]
    assert found.shape == tuple(4 if axis == axes[0] else 1 if axis in held else n for axis, n in enumerate(x.shape))
    written = x.clone()
    for i, row in enumerate(rows.tolist()):
        place = tuple(table[row][axes.index(a)] if a in axes else slice(None) for a in range(3))
        assert torch.equal(found.select(axes[0], i).squeeze(), x[place].squeeze())
        written[place] = -1
    if -1 not in axes:
        assert torch.equal(places.put_places(x, rows, sizes, axes, torch.full_like(found, -1)), written)
        added = places.add_places(x, rows, sizes, axes, torch.full_like(found, 2))
        assert torch.equal(added, torch.where(written == -1, x + 2, x))


# Tiles


def test_pixels_of_tiles() -> None:
    """Of two images of 3 x 4 pixels two tiles: windows of 3 from one pixel before places two apart."""
    found = torch.tensor([[0, 0, 0], [1, 1, 2]])
    assert tiles.along_tiles(found[:, 2], 2, 1, 3).tolist() == [[-1, 0, 1], [3, 4, 5]]
    assert tiles.inside_tiles(found, 2, 1, 3, (3, 4)).int().tolist() == [
        [[[0, 0, 0], [0, 1, 1], [0, 1, 1]]], [[[1, 0, 0], [1, 0, 0], [0, 0, 0]]],
    ]  # fmt: skip
    rows = tiles.rows_of_tiles(found, 2, 1, 3, (3, 4))
    assert rows.tolist() == [[[0, 0, 1], [0, 0, 1], [4, 4, 5]], [[19, 19, 19], [23, 23, 23], [23, 23, 23]]]
    x = torch.arange(48).reshape(2, 2, 3, 4)
    taken = tiles.take_tiles(x, rows)
    assert torch.equal(taken[0, 1], x[0, 1, [0, 0, 1]][:, [0, 0, 1]])
    assert torch.equal(taken[1, 0], x[1, 0, [1, 2, 2]][:, [3, 3, 3]])


def test_pixels_are_written_where_the_mask_says() -> None:
    mask = torch.zeros(2, 3, 4, dtype=torch.bool)
    mask[1, 2, 3] = mask[1, 2, 1] = mask[0, 0, 0] = True
    changed = tiles.changed_pixels(torch.tensor([[1, 1, 1]]), 2, mask, (3, 4))
    assert [c.tolist() for c in changed] == [[1], [23]]
    x = torch.zeros(2, 1, 3, 4).contiguous(memory_format=torch.channels_last)
    value = torch.arange(4.0).reshape(1, 1, 2, 2)
    found = tiles.put_tiles(x, changed, value, False)
    assert (int(found.sum()), int(found[1, 0, 2, 3]), int(x.sum())) == (1, 1, 0)
    assert tiles.put_tiles(x, changed, value, True) is not x
    with torch.no_grad():
        assert tiles.put_tiles(x, changed, value, False) is not x
        assert tiles.put_tiles(x, changed, value, True) is x
    assert int(x.sum()) == 1


def active(side: int, *squares: tuple[int, int, int]) -> torch.Tensor:
    mask = torch.zeros(1, side, side, dtype=torch.bool)
    for row, column, size in squares:
        mask[0, row : row + size, column : column + size] = True
    return mask


def test_what_tiles_cost() -> None:
    """At the border between a size and the next, and between tiles and everything, to the last unit."""
    one, square = active(64, (9, 9, 1)), active(64, (0, 0, 16))
    dense = 10.0 * 4 * 64 * 64
    cost = 10.0 * (2 * 3 + 4) ** 2 * (1 + 1 / 4)  # one tile of four pixels, of a layer with a grid of two
    layers = ((10.0, 2, 4),)
    assert tiles.active_tiles(one, layers, 0.0, dense - cost - 1)[0] == 4
    assert tiles.active_tiles(one, layers, 0.0, dense - cost)[0] == 0
    assert tiles.active_tiles(one, layers, 1.0, dense - cost - 17)[0] == 4
    assert tiles.active_tiles(one, layers, 1.0, dense - cost - 16)[0] == 0
    assert tiles.active_tiles(one, layers, 0.0, 0.0)[1].tolist() == [[0, 2, 2]]
    size, found = tiles.active_tiles(square, ((10.0, 1, 9),), 0.0, 0.0)
    assert (size, found.tolist()) == (16, [[0, 0, 0]])
    assert tiles.active_tiles(active(64)[:0], layers, 0.0, 0.0)[0] == 0
    assert tiles.active_tiles(active(18, (17, 17, 1)), ((10.0, 1, 1),), 0.0, 0.0)[1].tolist() == [[0, 4, 4]]
