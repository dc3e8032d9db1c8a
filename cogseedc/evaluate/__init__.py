"""Measures artifacts on test data against static, oracle and random baselines; a table, JSON, and a page with plots."""

from cogseedc.evaluate.command import Asked, evaluate_artifact
from cogseedc.evaluate.evaluation import Evaluator, Run

__all__ = ["Asked", "Evaluator", "Run", "evaluate_artifact"]
