"""Constants are folded as every backend would compute them, and never into a decision that might differ."""

import numpy as np

from cogseedc.ir import Axis, Constant, Dtype, Gate, GateKind, Origin, Output, Size, TensorType, Value
from cogseedc.ops import OPS
from cogseedc.passes import Context, FoldConstants
from cogseedc.passes.fold_constants import _known
from cogseedc.passes.rewrite import call
from tests.passes.toy import Toy

CONTEXT = Context(OPS)
SCALAR = TensorType(Dtype.F32)


def add(toy, op, *operands, **statics):
    return call(toy.graph, CONTEXT, op, operands, Origin(), **statics)


def run(toy):
    return FoldConstants().run(toy.graph, CONTEXT)


def outputs(toy):
    wiring = toy.graph.wiring()
    return [toy.graph[wiring.operand(id, 0).node] for id, n in toy.graph.nodes() if isinstance(n, Output)]


def test_a_chain_folds_rounded_to_its_dtype():
    toy = Toy()
    third = add(toy, "div", toy.constant(1.0), toy.constant(3.0))
    toy.output(add(toy, "exp", third), type=SCALAR)
    assert run(toy)
    [node] = outputs(toy)
    assert isinstance(node, Constant)
    assert node.values == (float(np.float32(np.exp(np.float64(np.float32(1) / np.float32(3))))),)
    assert not run(toy)


def test_alike_elements_are_stored_once():
    toy = Toy()
    toy.output(add(toy, "add", toy.constant(1.0, 2.0, shape=(2,)), toy.constant(2.0, 1.0, shape=(2,))), "a", SCALAR)
    toy.output(add(toy, "neg", toy.constant(0.0, shape=(9,))), "b", SCALAR)
    assert run(toy)
    assert [(n.values, len(n.type.axes)) for n in outputs(toy)] == [((3.0,), 1), ((-0.0,), 1)]


def test_a_decision_is_not_rounded_differently():
    toy = Toy()
    for i, op in enumerate(("exp", "neg")):
        raised = add(toy, op, toy.constant(0.3))
        decided = add(toy, "gt", raised, toy.constant(1.0))
        gate = Gate(f"g{i}", GateKind.BOOL, 2, (), TensorType(Dtype.BOOL))
        toy.output(Value(toy.graph.add(gate, [decided])), f"y{i}", TensorType(Dtype.BOOL))
    assert run(toy)
    made = [toy.graph[toy.graph.wiring().operand(id, 0).node] for id, n in toy.graph.nodes() if isinstance(n, Gate)]
    assert [type(n).__name__ for n in made] == ["Call", "Constant"]


def test_what_is_large_or_unknown_stays():
    toy = Toy()
    n = TensorType(Dtype.F32, (Axis("N", Size.symbol("N")),))
    wide = toy.graph.add(Constant(n, (1.0,)))
    toy.output(add(toy, "neg", Value(wide)), "a", n)
    toy.output(add(toy, "neg", toy.constant(1.0, shape=(20_000,))), "b", SCALAR)
    assert not run(toy)


def test_sixty_four_kib_are_the_most():
    """In bytes of the dtype, whatever its width."""
    for dtype, most in ((Dtype.F32, 16384), (Dtype.F16, 32768), (Dtype.I64, 8192)):
        for count in (most, most + 1):
            assert _known(TensorType(dtype, (Axis(None, Size.of(count)),))) == (count == most), (dtype, count)
