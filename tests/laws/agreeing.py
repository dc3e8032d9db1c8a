"""Whether the three spellings of an example give the same."""

from __future__ import annotations

import numpy as np

from tests.laws import harness
from tests.laws.harness import Array, Case


def expected(c: Case, values: dict[str, Array], batch: int) -> tuple[Array, ...] | None:
    """Results of the reference, None where numpy defines none (the largest of nothing)."""
    try:
        return harness.reference(c, values, batch)
    except ValueError:
        if batch:
            raise
        return None


def agree(c: Case) -> None:
    """PyTorch and ONNX Runtime compute what the reference does, of no rows as well."""
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


def close(found: Array, wanted: Array) -> None:
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-5)
    else:
        np.testing.assert_array_equal(found, wanted)
