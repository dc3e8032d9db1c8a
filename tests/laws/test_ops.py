"""Laws over the catalogue: each holds for every example of every operation."""

from __future__ import annotations

import ast
import inspect
from functools import cache

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cogseedc.ir import Attrs, Dtype, Mixing, OpSpec, Pointwise, Window
from cogseedc.ops import FAMILIES, OPS, bind, resolve
from tests.laws import harness
from tests.laws.harness import Array, Case

EXAMPLES = [(s.name, i) for s in OPS.values() for i in range(len(s.examples))]
each = pytest.mark.parametrize(("op", "index"), EXAMPLES, ids=[f"{n}-{i}" for n, i in EXAMPLES])
KINDS = {"f": "f", "i": "iu", "u": "iu", "b": "b"}


@cache
def case(op: str, index: int) -> Case:
    return harness.case_of(OPS[op], OPS[op].examples[index])


def expected(c: Case, values: dict[str, Array], batch: int) -> tuple[Array, ...] | None:
    """Results of the reference, None where numpy defines none (the largest of nothing)."""
    try:
        return harness.reference(c, values, batch)
    except ValueError:
        if batch:
            raise
        return None


def close(found: Array, wanted: Array) -> None:
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-5)
    else:
        np.testing.assert_array_equal(found, wanted)


@each
def test_types_are_real(op: str, index: int) -> None:
    c = case(op, index)
    for batch in (0, 1, 5):
        values = harness.data(c, batch)
        results = expected(c, values, batch)
        if results is None:
            continue
        found = harness.torch_results(c, harness.tensors(values), batch)
        assert len(results) == len(found) == len(c.types)
        for value, tensor, type in zip(results, found, c.types, strict=True):
            shape = tuple(s.evaluate(c.sizes(batch)) for s in type.shape)
            assert value.shape == tuple(tensor.shape) == shape, (value.shape, tuple(tensor.shape), str(type))
            assert tensor.dtype == harness._TORCH[type.dtype], (tensor.dtype, str(type))
            assert value.dtype.kind == ("f" if type.dtype.floating else "b" if type.dtype is Dtype.BOOL else "i")


@each
def test_torch_and_onnx_equal_the_reference(op: str, index: int) -> None:
    c = case(op, index)
    run = harness.OnnxRun(c)
    for batch in (0, 1, 5):
        values = harness.data(c, batch)
        results = expected(c, values, batch)
        if results is None:
            continue
        for tensor, wanted in zip(harness.torch_results(c, harness.tensors(values), batch), results, strict=True):
            close(tensor.detach().numpy(), wanted)
        if batch == 0 and not all(s.spec.zero_rows for s in c.steps):
            continue  # may abort the process; see test_flagged_operations_and_empty_batches
        for array, wanted, type in zip(run(values), results, c.types, strict=True):
            assert array.dtype == harness._NUMPY[type.dtype]
            assert array.shape == wanted.shape
            close(array, wanted)


@each
def test_gradients_flow(op: str, index: int) -> None:
    c = case(op, index)
    if not c.spec.differentiable or not c.types[0].dtype.floating:
        pytest.skip("not differentiable")
    values = harness.tensors(harness.data(c, 3))
    wanted = [
        p.name for p in c.ports if p.type.dtype.floating and p.trainable and any(p.name in s.args for s in c.steps)
    ]
    for name in wanted:
        values[name].requires_grad_()
    if not wanted:
        pytest.skip("no floating operand")
    total = torch.zeros(())
    for result in harness.torch_results(c, values, 3):
        if result.is_floating_point():
            total = total + (result * torch.linspace(0.5, 1.5, result.numel()).reshape(result.shape)).sum()
    torch.autograd.backward(total)
    for name in wanted:
        grad = values[name].grad
        assert grad is not None, name
        assert torch.isfinite(grad).all(), (name, grad)


@each
def test_canonical_attributes_bind_again(op: str, index: int) -> None:
    for step in case(op, index).steps:
        r = step.resolution
        weights = {w.operand for w in r.weights}
        inputs = [None if i in weights else t for i, t in enumerate(step.inputs)]
        again = resolve(step.spec, inputs, bind(step.spec, (), dict(r.attrs.items), ()))
        assert again == r


@each
def test_demand_covers_what_is_read(op: str, index: int) -> None:
    """Changing one index of an operand's axis changes only the results that its flow admits."""
    c = case(op, index)
    if len(c.steps) != 1:
        pytest.skip("one operation at a time")
    step, batch = c.steps[0], 3
    values = harness.data(c, batch)
    base = harness.reference(c, values, batch)
    flows = step.spec.flow(step.resolution.attrs, step.inputs, c.types)
    assert not any(flows[len(step.inputs) :])  # operands that are absent at the end
    rng = np.random.default_rng(0)
    for flow, name, type in zip(flows, step.args, step.inputs, strict=False):
        assert len(flow) == (0 if type is None else type.rank)
        for axis, kind in enumerate(flow):
            if name is None or isinstance(kind, Mixing) or name not in values:
                continue
            for i in range(values[name].shape[axis]):
                changed = dict(values)
                changed[name] = _changed(rng, values[name], axis, i)
                _only_admitted(kind, i, base, harness.reference(c, changed, batch))


def _changed(rng: np.random.Generator, value: Array, axis: int, index: int) -> Array:
    result = value.copy()
    place = [slice(None)] * value.ndim
    place[axis] = index  # type: ignore[call-overload]
    part = result[tuple(place)]
    if value.dtype.kind == "b":
        result[tuple(place)] = ~part
    elif value.dtype.kind == "f":
        result[tuple(place)] = np.abs(part) + rng.random(part.shape).astype(np.float32) * np.float32(0.3)
    else:
        result[tuple(place)] = (part + 1) % 3
    return result


def _only_admitted(kind: Pointwise | Window, i: int, base: tuple[Array, ...], found: tuple[Array, ...]) -> None:
    for before, after in zip(base, found, strict=True):
        for o in range(before.shape[kind.to]):
            if isinstance(kind, Pointwise):
                reads = o == i
            else:
                reads = any(o * kind.stride - kind.before + kind.dilation * k == i for k in range(kind.size))
            if not reads:
                np.testing.assert_array_equal(np.take(before, o, kind.to), np.take(after, o, kind.to))


@each
def test_cost_is_what_torch_counts(op: str, index: int) -> None:
    c = case(op, index)
    if len(c.steps) != 1 or c.spec.macs is None:
        pytest.skip("costs no multiply-accumulates")
    values = harness.tensors(harness.data(c, 5))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # fused attention is not counted
        harness.torch_results(c, values, 5)
    step = c.steps[0]
    macs = step.spec.macs(step.resolution.attrs, step.inputs, c.types) if step.spec.macs else None
    counted = counter.get_total_flops()
    if macs is None or not counted:
        pytest.skip("torch's counter does not count it")
    assert macs.evaluate(c.sizes(5)) == counted / 2


@pytest.mark.parametrize("spec", OPS.values(), ids=OPS)
def test_entries_are_complete(spec: OpSpec) -> None:
    assert spec.examples
    assert spec.summary
    assert spec.group
    assert not any(o.variadic for o in spec.operands[:-1])
    for example in spec.examples:
        assert any(s.spec is spec for s in harness.case_of(spec, example).steps)


def test_names_are_sorted_and_families_distinct() -> None:
    assert list(OPS) == sorted(OPS)
    assert len({f.GROUP for f in FAMILIES}) == len(FAMILIES)


def test_support_functions_stand_alone() -> None:
    """They are copied into generated files: nothing but torch and their own arguments."""
    for name, function in harness.support().items():
        if inspect.isfunction(function):
            read = {n.id for n in ast.walk(ast.parse(inspect.getsource(function))) if isinstance(n, ast.Name)}
            free = read & set(function.__globals__) - {"torch", "math", "F"}
            assert not free, (name, free)


# Ties, NaN and infinities: the same answer everywhere

NAN, INF = float("nan"), float("inf")
ROWS = np.array(
    [[1, 3, 3, 2, 3], [NAN, 1, NAN, 2, 2], [NAN] * 5, [-INF, NAN, -INF, -INF, NAN], [INF, NAN, INF, 0, -0.0], [0] * 5],
    dtype=np.float32,
)
NASTY = [
    "argmax(x)", "argmin(x)", "max(x)", "min(x)", "sort(x)", "argsort[descending=true](x)", "top_indices[3](x)",
    "in_top[2](x)", "top_values[2](x)", "confidence(x)", "margin(x)", "entropy(x)", "mean(x)", "sum(x)", "sign(x)",
    "clamp(x, 0.0, 2.0)", "maximum(x, 1.0)", "minimum(x, 1.0)", "logsumexp(x)", "norm(x)", "isnan(x)", "eq(x, x)",
    "ne(x, x)", "gt(x, 2.0)", "le(x, 2.0)", "round(x)", "cumsum(x)", "mod(x, 2.0)", "where(gt(x, 1.0), x, 0.0)",
]  # fmt: skip


@pytest.mark.parametrize("call", NASTY)
def test_nasty_values(call: str) -> None:
    from cogseedc.ir import Example

    c = harness.case_of(OPS[call.split("(")[0].split("[")[0]], Example("x: f32[N, K=5]", call))
    values = {"x": ROWS}
    wanted = harness.reference(c, values, len(ROWS))[0]
    found = harness.torch_results(c, harness.tensors(values), len(ROWS))[0].numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5, err_msg="torch")
    np.testing.assert_allclose(harness.OnnxRun(c)(values)[0], wanted, rtol=1e-4, atol=1e-5, err_msg="onnx")


def test_attributes_are_canonical() -> None:
    """Axes are positions that are not negative, so that passes need no names."""
    for op, index in EXAMPLES:
        for step in case(op, index).steps:
            attrs: Attrs = step.resolution.attrs
            if "over" in attrs and isinstance(attrs["over"], int | tuple):
                over = attrs["over"] if isinstance(attrs["over"], tuple) else (attrs["over"],)
                assert all(isinstance(o, int) and o >= 0 for o in over), (op, attrs)
