"""A progress bar on stderr for a run that a person watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cogseedc.train.trainer import Observer, Step


@contextmanager
def progress() -> Iterator[Observer]:
    """Shows phase, steps, time left and the mean of the last losses; nothing when stderr is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None)
        means: dict[str, float] = {}

        def observe(step: Step) -> None:
            for name, value in step.terms.items():
                means[name] = 0.95 * means.get(name, value) + 0.05 * value
            shown = "  ".join(f"{name} {means[name]:.3f}" for name in step.terms)
            bar.update(task, total=step.of, completed=step.number + 1, description=f"{step.phase}  {shown}")

        yield observe
