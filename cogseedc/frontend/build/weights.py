"""Weights: their sizes, their first values, and what calls that share one have to agree in."""

from __future__ import annotations

from dataclasses import replace

from cogseedc.diagnostics import Label
from cogseedc.frontend.build.model import mistake
from cogseedc.frontend.build.restarts import SizeFound
from cogseedc.ir import BATCH, Init, InitKind, Size, TensorType, Weight
from cogseedc.source import Span


def known_shape(path: str, type_: TensorType, given: tuple[int, ...] | None, span: Span) -> TensorType:
    """The type of a weight, all of whose sizes have to be known.

    Raises SizeFound for an open one that `given`, the shape in a weights file, tells; BuildError CS0239 for another.
    """
    for i, axis in enumerate(type_.axes):
        if axis.size.value is not None:
            continue
        symbols = sorted(axis.size.symbols())
        if given is not None and i < len(given) and axis.size == Size.symbol(symbols[0]):
            raise SizeFound(symbols[0], Size.of(given[i]))
        help = f"give it: `--size {symbols[0]}=32`, or write it in the port's type: `{symbols[0]}=32`"
        if BATCH in symbols:
            help = "no weight depends on the number of samples: say another axis with `over=`, or read another value"
        raise mistake(
            "CS0239", f"the weight `{path}` needs the size `{axis.size}`, which is not known", span, help=help
        )
    return type_


def shared_shape(first: Weight, type_: TensorType, span: Span) -> None:
    """Raises BuildError CS0240 where a later call needs other sizes than the first one of its instance."""
    if first.type.shape == type_.shape:
        return
    raise mistake(
        "CS0240",
        f"the shared weight `{first.path}` is {first.type}, but this call needs {type_}",
        span,
        *([Label(first.origin.span, "its sizes come from the first call")] if first.origin.span else []),
        help="call a shared instance with the same sizes, or give this call weights of its own",
    )


def init_for(init: Init, type_: TensorType) -> Init:
    """First values of a weight, which need to know how many inputs an output reads."""
    known = init.fan_in or init.kind is not InitKind.KAIMING
    return init if known else replace(init, fan_in=fan_in(type_))


def fan_in(type_: TensorType) -> int:
    """Inputs that one output reads: I*k*k of a (.., O, I, k, k) weight, the last axis of a smaller one."""
    shape = [s.value or 1 for s in type_.shape]
    if not shape:
        return 1
    count = shape[-1]
    for size in shape[-3:-1] if len(shape) >= 4 else shape[1:-1] if len(shape) == 3 else ():
        count *= size
    return max(count, 1)
