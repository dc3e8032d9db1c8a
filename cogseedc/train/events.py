"""TensorBoard events of a run; needs the extra `tensorboard`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.train.trainer import Observer, Step


@contextmanager
def events(folder: Path) -> Iterator[Observer]:
    """Writes every term and the learning rate into `folder`. Raises UserError CS1001 when tensorboard is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        message = "writing events needs the package tensorboard"
        raise UserError(Diagnostic("CS1005", message, help="pip install 'cogseedc[tensorboard]'")) from None
    writer = SummaryWriter(str(folder))

    def observe(step: Step) -> None:
        for name, value in step.terms.items():
            writer.add_scalar(f"loss/{name}", value, step.number)
        writer.add_scalar("rate", step.rate, step.number)

    try:
        yield observe
    finally:
        writer.close()
