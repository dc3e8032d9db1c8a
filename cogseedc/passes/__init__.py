"""The passes, and the pipelines as lists that can be read aloud."""

from cogseedc.passes.assign_bitwidths import AssignBitwidths
from cogseedc.passes.base import Context, Observer, Pass, Ran, remove_guards, run_pipeline
from cogseedc.passes.carry_features import CarryFeatures
from cogseedc.passes.common_seeds import CommonSeeds
from cogseedc.passes.drop_estimators import DropEstimators
from cogseedc.passes.eliminate_dead_seeds import EliminateDeadSeeds
from cogseedc.passes.fold_batch_norm import FoldBatchNorm, weight_only
from cogseedc.passes.fold_constants import FoldConstants
from cogseedc.passes.hoist_loops import HoistLoops
from cogseedc.passes.inline import Inline
from cogseedc.passes.insert_exit_points import InsertExitPoints, place_exits
from cogseedc.passes.lower_estimators import LowerEstimators
from cogseedc.passes.pack_scans import PackScans
from cogseedc.passes.resolve_dependencies import ResolveDependencies
from cogseedc.passes.reuse_features import ReuseFeatures
from cogseedc.passes.simplify_gates import SimplifyGates
from cogseedc.passes.trim_loops import TrimLoops
from cogseedc.passes.unroll_loops import UnrollLoops

PASSES: tuple[type[Pass], ...] = (
    ResolveDependencies,
    InsertExitPoints,
    Inline,
    DropEstimators,
    FoldBatchNorm,
    AssignBitwidths,
    FoldConstants,
    CommonSeeds,
    SimplifyGates,
    HoistLoops,
    PackScans,
    TrimLoops,
    UnrollLoops,
    CarryFeatures,
    ReuseFeatures,
    EliminateDeadSeeds,
    LowerEstimators,
)
"""Every pass, in the order in which the pipelines run them."""

_FRAME: tuple[Pass, ...] = (
    ResolveDependencies(),
    InsertExitPoints(),
    Inline(),  # after the exits: a return that is left has none
)

ROUNDED: tuple[Pass, ...] = (*_FRAME, DropEstimators(), AssignBitwidths())

INFERENCE: tuple[Pass, ...] = (
    *ROUNDED,
    FoldConstants(),
    CommonSeeds(),  # before guards exist: equal work in two arms is shared by both
    SimplifyGates(),  # after common seeds: equal decisions have become one
    HoistLoops(),
    PackScans(),  # after hoisting: decisions are then there before the first turn
    TrimLoops(),  # after hoisting: what moved leaves ports behind
    UnrollLoops(),
    CarryFeatures(),  # of the loops that are left
    ReuseFeatures(),  # before guards exist: what it computes anew is sunk into its arm
    EliminateDeadSeeds(),
)

STORED_ROUNDED: tuple[Pass, ...] = (
    *_FRAME,
    DropEstimators(),
    FoldBatchNorm(),  # before precisions: a layer is rounded with its norm
    AssignBitwidths(),
)

STORED: tuple[Pass, ...] = (
    *STORED_ROUNDED,
    FoldConstants(),
    CommonSeeds(),
    SimplifyGates(),
    HoistLoops(),
    PackScans(),  # after hoisting: decisions are then there before the first turn
    TrimLoops(),
    UnrollLoops(),
    CarryFeatures(),  # of the loops that are left
    ReuseFeatures(),
    EliminateDeadSeeds(),
)

TRAINING: tuple[Pass, ...] = (
    *_FRAME,
    EliminateDeadSeeds(),
    LowerEstimators(),  # after guards, which the trace needs; new nodes take those of what they stand beside
)

PIPELINES: dict[str, tuple[Pass, ...]] = {
    "inference": INFERENCE,  # PyTorch: the state dict is the source's
    "stored": STORED,  # ONNX: weights may be rewritten before they are stored
    "training": TRAINING,  # dense: every exit, every loss
    "rounded": ROUNDED,  # the beginning of "inference": all that changes a value
    "stored-rounded": STORED_ROUNDED,  # the same of "stored"
    "none": (*_FRAME, DropEstimators()),  # the least that a plan can read
}

run = run_pipeline

__all__ = [
    "INFERENCE",
    "PASSES",
    "PIPELINES",
    "ROUNDED",
    "STORED",
    "STORED_ROUNDED",
    "TRAINING",
    "AssignBitwidths",
    "CarryFeatures",
    "CommonSeeds",
    "Context",
    "DropEstimators",
    "EliminateDeadSeeds",
    "FoldBatchNorm",
    "FoldConstants",
    "HoistLoops",
    "Inline",
    "InsertExitPoints",
    "LowerEstimators",
    "Observer",
    "PackScans",
    "Pass",
    "Ran",
    "ResolveDependencies",
    "ReuseFeatures",
    "SimplifyGates",
    "TrimLoops",
    "UnrollLoops",
    "place_exits",
    "remove_guards",
    "run",
    "run_pipeline",
    "weight_only",
]
