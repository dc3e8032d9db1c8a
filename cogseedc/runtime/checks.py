"""Checks what a caller gives before a runtime sees it: names, element types, shapes, sizes that must agree, knobs.

ONNX Runtime itself reads foreign byte orders as garbage and lets inputs disagree on the batch.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from cogseedc.diagnostics.model import Diagnostic, UserError
from cogseedc.ir import BATCH, Dtype
from cogseedc.runtime.interface import KnobPort, Port, StatePort, evaluate

if TYPE_CHECKING:
    from cogseedc.ir.opspec import Array

NUMPY = {
    Dtype.F32: "float32",
    Dtype.F16: "float16",
    Dtype.BF16: "float32",  # numpy has no bf16, whose values are exact in f32
    Dtype.I64: "int64",
    Dtype.I32: "int32",
    Dtype.I8: "int8",
    Dtype.U8: "uint8",
    Dtype.BOOL: "bool",
}


def check_inputs(
    ports: Collection[Port], given: Mapping[str, object], knobs: Collection[KnobPort] = ()
) -> tuple[dict[str, Array], dict[str, int]]:
    """The inputs as native, contiguous arrays in declared order, and the size of each symbol.

    Raises UserError: CS0843 missing or unknown name, CS0844 shape, or sizes that disagree, CS0845 element type, or
    no array.
    """
    for name in {k.name for k in knobs}.intersection(given).difference(p.name for p in ports):
        raise _error("CS0843", f"`{name}` is no input but a knob", f"call session(..., knobs={{{name!r}: value}})")
    _check_names("input", [p.name for p in ports], given, "CS0843")
    missing = [p for p in ports if p.name not in given]
    if missing:
        wanted = ", ".join(f"`{p.name}`: {p}" for p in missing)
        raise _error("CS0843", f"missing input {wanted}", f"call session({missing[0].name}=array)")
    arrays = {p.name: _array(p, given[p.name]) for p in ports}
    return arrays, _symbols(ports, arrays)


def check_knobs(knobs: Collection[KnobPort], given: Mapping[str, object]) -> dict[str, Array]:
    """The given knobs as arrays. Raises UserError CS0846: unknown, not a number, of a wrong shape, out of range."""
    _check_names("knob", [k.name for k in knobs], given, "CS0846")
    return {k.name: _knob(k, given[k.name]) for k in knobs if k.name in given}


def check_states(
    states: Collection[StatePort], given: Mapping[str, object] | None, symbols: Mapping[str, int]
) -> dict[str, Array]:
    """What the states are before a call, by the names of the model's inputs; initial where nothing is `given`.

    Raises UserError CS0860: unknown or missing, of another type, or for a batch of another size than the inputs'.
    """
    sizes = {BATCH: 1, **symbols}
    if not given:
        shapes = [(s, s.port.shape(sizes)) for s in states]
        return {s.before.name: np.full(shape, s.initial, NUMPY[s.port.dtype]) for s, shape in shapes}
    check_state_names(states, given)
    found: dict[str, Array] = {}
    for state in states:
        array, wanted = np.asarray(given[state.name]), state.port.shape(sizes)
        if array.shape != wanted:
            message = f"the state `{state.name}` is kept with the shape {array.shape}, but these inputs need {wanted}"
            raise _error("CS0860", message, "begin anew with session.reset(), or keep a session for each batch size")
        found[state.before.name] = np.asarray(array, order="C")
    return found


def check_state_names(states: Collection[StatePort], given: Mapping[str, object]) -> None:
    """Raises UserError CS0860 unless exactly these states are given, as arrays of their element type and rank."""
    _check_names("state", [s.name for s in states], given, "CS0860")
    for state in states:
        array = np.asarray(given.get(state.name))
        if array.dtype.name != NUMPY[state.port.dtype] or array.ndim != state.port.rank:
            what = f"{array.dtype.name} of rank {array.ndim}" if state.name in given else "missing"
            raise _error("CS0860", f"the state `{state.name}` is {what}, but {state.port} is wanted", "give all states")


def check_requirements(requirements: Collection[tuple[str, str]], symbols: Mapping[str, int]) -> None:
    """Raises UserError CS0844 when sizes that the program needs equal are not."""
    for left, right in requirements:
        one, other = evaluate(left, symbols), evaluate(right, symbols)
        if one != other:
            sizes = ", ".join(f"{symbol}={size}" for symbol, size in symbols.items())
            message = f"the program needs `{left}` = `{right}`, but for {sizes} these are {one} and {other}"
            raise _error("CS0844", message, "give inputs whose sizes agree")


def _check_names(kind: str, known: list[str], given: Collection[str], code: str) -> None:
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, cutoff=0.4)
            hint = f"did you mean `{close[0]}`? " if close else ""
            raise _error(code, f"there is no {kind} `{name}`", f"{hint}{kind}s: {', '.join(known) or 'none'}")


def _array(port: Port, value: object) -> Array:
    if not (hasattr(value, "__array__") and hasattr(value, "dtype") and hasattr(value, "shape")):
        message = f"input `{port.name}` is {type(value).__name__}, not an array"
        raise _error("CS0845", message, f"give a numpy array {port}")
    array = np.asarray(value)
    if port.dtype is Dtype.BF16 and array.dtype.name == "bfloat16":  # as an extension of numpy has it
        array = array.astype(np.float32)
    if array.dtype.name != NUMPY[port.dtype]:
        cast = f"{port.name}.astype({NUMPY[port.dtype]!r})"
        raise _error(
            "CS0845", f"input `{port.name}` is {array.dtype.name}, but {port} is wanted", f"convert it: {cast}"
        )
    if array.ndim != port.rank:
        message = f"input `{port.name}` has the shape {array.shape}, of rank {array.ndim}; {port} has rank {port.rank}"
        help = "the first axis is the batch, also for a single sample" if port.batch == 0 else ""
        raise _error("CS0844", message, help)
    for axis, (size, wanted) in enumerate(zip(array.shape, port.sizes, strict=True)):
        if wanted.isdecimal() and size != int(wanted):
            message = f"input `{port.name}` has the shape {array.shape}: axis {axis} is {size}, but {port} is wanted"
            raise _error("CS0844", message, "reshape, resize or pad it")
    native = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
    return native


def _symbols(ports: Collection[Port], arrays: Mapping[str, Array]) -> dict[str, int]:
    found: dict[str, tuple[int, str]] = {}
    for port in ports:
        for size, symbol in zip(arrays[port.name].shape, port.sizes, strict=True):
            if not symbol.isidentifier():
                continue
            first, where = found.setdefault(symbol, (size, port.name))
            if first != size:
                message = f"inputs disagree on {symbol}: it is {first} in `{where}` and {size} in `{port.name}`"
                raise _error("CS0844", message, f"give both the same {symbol}")
    return {symbol: size for symbol, (size, _) in found.items()}


def _knob(knob: KnobPort, value: object) -> Array:
    shape = knob.port.shape({})
    bounds = f"{knob.low:g} .. {knob.high:g}"
    try:
        given = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise _error("CS0846", f"knob `{knob.name}` is no number: {value!r}", f"its range is {bounds}") from None
    if given.shape != shape:
        message = f"knob `{knob.name}` has the shape {given.shape}, but {knob.port} is wanted"
        raise _error("CS0846", message, "")
    outside = [v for v in given.ravel().tolist() if math.isnan(v) or not knob.low <= v <= knob.high]
    if outside:
        raise _error("CS0846", f"knob `{knob.name}` is {outside[0]:g}, out of its range {bounds}", "")
    array = given.astype(NUMPY[knob.port.dtype])
    if not knob.port.dtype.floating and (array != given).any():
        raise _error("CS0846", f"knob `{knob.name}` takes whole numbers only", f"its range is {bounds}")
    return array


def _error(code: str, message: str, help: str) -> UserError:
    return UserError(Diagnostic(code, message, help=help))
