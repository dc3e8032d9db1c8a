"""Values where backends like to differ, dtypes that lack kernels, and mistakes that type rules refuse."""

from __future__ import annotations

import numpy as np
import pytest

from cogseedc.ir import Example, RuleError
from cogseedc.ops import OPS
from tests.laws import harness

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
    c = harness.case_of(OPS[call.split("(")[0].split("[")[0]], Example("x: f32[N, K=5]", call))
    values = {"x": ROWS}
    wanted = harness.reference(c, values, len(ROWS))[0]
    found = harness.torch_results(c, harness.tensors(values), len(ROWS))[0].numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5, err_msg="torch")
    np.testing.assert_allclose(harness.OnnxRun(c)(values)[0], wanted, rtol=1e-4, atol=1e-5, err_msg="onnx")


WRONG = [
    ("CS0302", "x: f32[N, H=3]", "mean[over=V](x)"),
    ("CS0303", "x: f32[N, H=3]", "mean[over=2](x)"),
    ("CS0304", "x: f32[N, C=3], y: f32[N, D=4]", "add(x, y)"),
    ("CS0305", "x: f32[N]", "logical_not(x)"),
    ("CS0306", "x: f32[N, H=3]", "mean[ovr=H](x)"),
    ("CS0307", "x: f32[N, H=4]", "split[over=H](x)"),
    ("CS0308", "x: f32[N, H=4]", "argmax[H, true, 1](x)"),
    ("CS0309", "x: f32[N, H=4]", "sort[descending=1](x)"),
    ("CS0311", "x: f32[N, 3, 3], k: f32[K=3]", "mean[over=K](x)"),
    ("CS0310", "x: f32[N, S=3], i: i64[N]", "take[over=S, shared=(3,)](x, i)"),
    ("CS0315", "x: f32[N, C=3]", "expand[Q](x)"),
    ("CS0316", "x: f32[N, C=3], y: f32[N]", "concat(x, y)"),
    ("CS0318", "x: f32[N, C=3]", "select[C, 3](x)"),
    ("CS0318", "x: f32[N, C=3]", "slice[C, 1, 4](x)"),
    ("CS0319", "x: f32[N]", "exp(x, x)"),
    ("CS0301", "x: f32[N]", "add(x)"),
    ("CS0322", "x: f32[N]", "zeros[N, -1]()"),
    ("CS0323", "x: f32[N, K=3]", "top_indices[4](x)"),
]


@pytest.mark.parametrize(("code", "inputs", "call"), WRONG, ids=[f"{c}-{t}" for c, _, t in WRONG])
def test_mistakes_have_codes(code: str, inputs: str, call: str) -> None:
    name = call.split("(")[0].split("[")[0]
    with pytest.raises(RuleError) as caught:
        harness.case_of(OPS[name], Example(inputs, call))
    assert caught.value.code == code, caught.value.message
    assert caught.value.message


NARROW = [
    "add(x, x)", "sub(x, x)", "mul(x, x)", "div(x, x)", "mod(x, x)", "pow(x, x)", "abs(x)", "square(x)", "sign(x)",
    "floor(x)", "maximum(x, x)", "minimum(x, x)", "clamp(x, x, x)", "eq(x, x)", "lt(x, x)", "sum(x)", "prod(x)",
    "max(x)", "min(x)", "mean(x)", "var(x)", "argmax(x)", "argmin(x)", "sort(x)", "argsort(x)", "cumsum(x)",
    "cumprod(x)", "top_values[2](x)", "in_top[2](x)", "concat(x, x)", "stack(x, x)", "flip(x)", "roll[1](x)",
    "tile[2](x)", "repeat_interleave[2](x)", "exp(x)", "where(gt(x, x), x, x)", "expand[2](x)", "permute[(1, 0)](x)",
    "select[1, 0](x)", "slice[1, 1, 3](x)", "reshape[N, 2, 2](x)", "cast[f32](x)",
    "unsqueeze[0](x)", "isnan(x)",
    "confidence(x)",
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["i64", "i32", "i8", "u8", "bool", "f16"])
@pytest.mark.parametrize("call", NARROW)
def test_every_dtype_has_kernels(call: str, dtype: str) -> None:
    """What a rule admits, both runtimes compute, with the dtype that the rule answers."""
    name = call.split("(")[0].split("[")[0]
    try:
        c = harness.case_of(OPS[name], Example(f"x: {dtype}[N, K=4]", call))
    except RuleError:
        pytest.skip("the rule refuses the dtype")
    values = harness.data(c, 3)
    if dtype == "f16":
        values = {k: v.astype(np.float16) for k, v in values.items()}
    wanted = harness.reference(c, values, 3)[0]
    tensor = harness.torch_results(c, harness.tensors(values), 3)[0]
    assert tensor.dtype == harness._TORCH[c.types[0].dtype]
    found = harness.OnnxRun(c)(values)[0]
    assert found.dtype == harness._NUMPY[c.types[0].dtype]
    loose = 2.5e-3 if dtype == "f16" else 1e-4
    np.testing.assert_allclose(tensor.double().numpy(), wanted.astype(np.float64), rtol=loose, atol=loose)
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), rtol=loose, atol=loose)
