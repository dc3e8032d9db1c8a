"""Thirty deliberate faults of lowering, one at a time, and whether the short differential run or a named test sees each.

`python -m tests.trust.faults` starts them, each in a process of its own that imports the changed file.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import dataclass

from tests.trust.mutation.areas import ROOT
from tests.trust.mutation.processes import Broken, forked
from tests.trust.mutation.running import killer, preload

SMALL = ("tests/regress", "-k", "small or pixel_rows")
"""A few programs that use what is changed, on all executors."""
DIFFERENTIAL = ("tests/regress", "tests/fuzz/test_differential.py")
NASTY = ("tests/nasty/test_meaning.py",)
GATES = ("tests/passes/simplify_gates",)
TILES = ("tests/backends/test_tiles.py",)
INTEGERS = ("tests/backends/test_onnx_integers.py",)


@dataclass(frozen=True)
class Fault:
    """One text in the place of another, which stands once in the file."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = DIFFERENTIAL

    def tree(self) -> ast.Module:
        """The file with the fault."""
        text = (ROOT / "cogseedc" / self.file).read_text(encoding="utf-8")
        assert text.count(self.old) == 1, f"{self.what}: {self.file} has the text {text.count(self.old)} times"
        return ast.parse(text.replace(self.old, self.new))


FAULTS: tuple[Fault, ...] = (
    Fault("onnx: `>` is `>=`", "ops/comparison.py", '">", "Greater",', '">", "GreaterOrEqual",', NASTY),
    Fault("torch: `>` is `>=`", "ops/comparison.py", '">", "Greater",', '">=", "Greater",', NASTY),
    Fault("onnx: the arms of a select are exchanged", "backends/onnx/merges.py",
          'return region.node("Where", [condition, yes, no])', 'return region.node("Where", [condition, no, yes])'),
    Fault("torch: the arms of a select are exchanged", "backends/pytorch/merges.py",
          "{values[last - 1]}, {start})", "{start}, {values[last - 1]})"),
    Fault("onnx: rows are not put back", "backends/onnx/joins.py",
          "return self.put(region, previous, index, value, type)", "return previous"),
    Fault("onnx: rows that are added replace what was there", "backends/onnx/joins.py",
          'region.node("Add", [current, value])', "value"),
    Fault("onnx: pixels are put back with their axes in another order", "backends/onnx/places.py",
          '[written, shape])\n        return whole if front is None else region.node("Transpose", [whole], perm=_inverse(front))',
          '[written, shape])\n        return whole if front is None else region.node("Transpose", [whole], perm=front)'),
    Fault("onnx: a weighted sum takes the column of the first class", "backends/onnx/merges.py",
          "np.array([node.arms[arm]] if last else node.arms[arm], np.int64)", "np.array([0] if last else 0, np.int64)"),
    Fault("torch: a mean counts all arms", "backends/pytorch/merges.py",
          'lines.append(f"{{}} / ({number}).clamp(min=1)")', 'lines.append(f"{{}} / {len(masks)}")'),
    Fault("torch: rows that no arm took get nothing", "backends/pytorch/merges.py",
          "    if otherwise is not None:\n        body.say", "    if False:\n        body.say"),
    Fault("onnx: a class takes one sample too few", "ops/ranking.py", '"LessOrEqual", [counts, limit]', '"Less", [counts, limit]'),
    Fault("torch: a class takes one sample too many", "ops/ranking.py",
          "({call.args[0]}, {call.size(size_of(call, 'c'))}, ", "({call.args[0]}, {call.size(size_of(call, 'c'))} + 1, "),
    Fault("torch: the halo of a tile lacks a pixel", "backends/plan/tiles.py",
          "(self.span - 1) * stride + (kernel - 1) * dilation + 1", "(self.span - 1) * stride + (kernel - 1) * dilation", TILES),
    Fault("torch: a batch norm takes the batch's statistics", "ops/normalization.py",
          "training=self.training", "training=True"),
    Fault("a folded batch norm forgets eps", "passes/fold_batch_norm.py", 'do("add", variance, eps)', "variance"),
    Fault("a folded batch norm adds the mean", "passes/fold_batch_norm.py", 'do("sub", bias, mean)', 'do("add", bias, mean)'),
    Fault("the last exit wins", "passes/insert_exit_points.py",
          "key=lambda item: item[1].order", "key=lambda item: -item[1].order"),
    Fault("an exit gives its first value for all outputs", "passes/insert_exit_points.py",
          "(v[port + 1] for v in values)", "(v[1] for v in values)"),
    Fault("calls that agree in one operand are shared", "passes/common_seeds.py",
          "operands = wiring.operands(id)", "operands = wiring.operands(id)[:1]"),
    Fault("a join on `not g` keeps its arms", "passes/simplify_gates.py",
          "tuple(1 - arm if i in asked else arm", "tuple(arm if i in asked else arm", GATES),
    Fault("an arm is thought to come after those that were taken", "passes/simplify_gates.py",
          "literals.and_(guard, left) if speaks", "literals.and_(guard, taken) if speaks"),
    Fault("an unrolled turn reads the first element", "passes/unroll_loops.py", "index=turn", "index=0"),
    Fault("an unrolled turn starts anew", "passes/unroll_loops.py",
          "carries = [_result(loop.body, node, here) for node in at.following]",
          "carries = [_result(loop.body, node, here) for node in at.following] if turn == steps - 1 else carries"),
    Fault("what two users demand is taken for what both demand", "analysis/demand.py",
          "literals.or_(self.wanted.get(id, FALSE), part)", "literals.and_(self.wanted.get(id, part), part)"),
    Fault("selected is not selected", "ir/guards.py", "Guard((2 << (self.first", "Guard((1 << (self.first"),
    Fault("onnx: rows run where `until` says no", "backends/onnx/loops.py",
          'stays = body.node("Not", [stop])', 'stays = body.node("Identity", [stop])'),
    Fault("onnx: an index that has stopped goes on", "backends/onnx/loops.py",
          "value = where(self.body, ran, value, self._at(old, type, rows), type.dtype)", "value = self.body.node('Identity', [value])"),
    Fault("torch: an index that has stopped goes on", "backends/pytorch/loops.py",
          "torch.where({mask}, {name}_new, {name})", "{name}_new"),
    Fault("torch: rows forget where they were after a second turn", "backends/pytorch/loops.py",
          "rows = stays if rows is None else rows.index_select(0, stays)", "rows = stays"),
    Fault("onnx: a part that holds one row is taken for empty", "backends/onnx/rows.py",
          '"Greater", [size, home.constant(np.array(0, np.int64))]', '"Greater", [size, home.constant(np.array(1, np.int64))]'),
    Fault("onnx: integers are dequantised with another zero", "ops/quantization.py",
          'float(c.attrs.integer("zero")), Dtype.F32)])', 'float(c.attrs.integer("zero") - 1), Dtype.F32)])'),
)  # fmt: skip
"""What is changed, and which tests ought to see it."""


def faults(count: int, seed: int) -> str:
    """The first so many. Raises AssertionError for one that nobody sees."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.trust.faults", str(count)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, bool] = json.loads(run.stdout.splitlines()[-1])
    unseen = [what for what, seen in found.items() if not seen]
    assert not unseen, f"not seen: {unseen}"
    named = sum(fault.tests is not DIFFERENTIAL for fault in FAULTS[:count])
    return f"{len(found)} faults of lowering, each seen: {len(found) - named} by the differential run, {named} by named tests"


def _seen(fault: Fault, tests: tuple[str, ...]) -> bool:
    """Whether one of the tests fails; what kills its process has been seen, too."""
    [(_, result)] = forked({fault.what: lambda: [killer(fault.file, fault.tree(), tests)]}, 1)
    if isinstance(result, Broken):
        raise result
    seen = result != [None]
    print(f"  {'seen' if seen else 'not seen'} by {' '.join(tests)}: {fault.what}", file=sys.stderr, flush=True)
    return seen


def main() -> None:
    """Runs the faults; the last line says of each whether it was seen."""
    os.chdir(ROOT)
    preload()
    chosen = FAULTS[: int(sys.argv[1])] if len(sys.argv) > 1 else FAULTS
    found = {fault.what: any(_seen(fault, tests) for tests in (SMALL, fault.tests)) for fault in chosen}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
