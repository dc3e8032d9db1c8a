"""The one mangler: instance paths to attribute paths and state-dict keys, and names of emitted variables.

As written where legal and free, `_` appended where reserved or taken (`w` put before `_`, `__...`, `_block_...`).
Injective, and the same for any order of asking for a path. Imports no torch: what a module reserves is data here.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

# fmt: off
MODULE = frozenset([
    "T_destination", "_apply", "_backward_hooks", "_backward_pre_hooks", "_buffers", "_call_impl",
    "_compiled_call_impl", "_forward_hooks", "_forward_hooks_always_called", "_forward_hooks_with_kwargs",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_get_backward_hooks", "_get_backward_pre_hooks",
    "_get_name", "_is_full_backward_hook", "_load_from_state_dict", "_load_state_dict_post_hooks",
    "_load_state_dict_pre_hooks", "_maybe_warn_non_full_backward_hook", "_modules", "_named_members",
    "_non_persistent_buffers_set", "_parameters", "_register_load_state_dict_pre_hook",
    "_register_state_dict_hook", "_replicate_for_data_parallel", "_save_to_state_dict", "_slow_forward",
    "_state_dict_hooks", "_state_dict_pre_hooks", "_version", "_wrapped_call_impl", "add_module", "apply",
    "bfloat16", "buffers", "call_super_init", "children", "compile", "cpu", "cuda", "double", "dump_patches",
    "eval", "extra_repr", "float", "forward", "get_buffer", "get_extra_state", "get_parameter",
    "get_submodule", "half", "ipu", "load_state_dict", "modules", "mtia", "named_buffers", "named_children",
    "named_modules", "named_parameters", "parameters", "register_backward_hook", "register_buffer",
    "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
    "register_full_backward_pre_hook", "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook", "register_module", "register_parameter",
    "register_state_dict_post_hook", "register_state_dict_pre_hook", "requires_grad_", "set_extra_state",
    "set_submodule", "share_memory", "state_dict", "to", "to_empty", "train", "training", "type", "xpu",
    "zero_grad",
])
# fmt: on
"""Attributes of `torch.nn.Module` and its instances, without the double-underscored ones."""

OWN = frozenset(
    {"forward", "initial_state", "decide", "constants", "self", "_plan", "_plan_trace", "_train", "_train_trace"}
)
"""What a generated class defines for itself."""

_OWN_PREFIXES = ("_block_", "_loop_", "_turn_", "__")

LONGEST = 48
"""Length at which the name of a variable is cut."""

_AMBIGUOUS = frozenset({"l", "O", "I"})

# fmt: off
_BUILTINS = frozenset([
    "abs", "all", "any", "bool", "breakpoint", "bytes", "compile", "dict", "dir", "eval", "exec", "filter",
    "float", "format", "globals", "hash", "help", "id", "input", "int", "iter", "len", "list", "locals", "map",
    "max", "min", "next", "object", "open", "pow", "print", "property", "range", "repr", "reversed", "round",
    "set", "slice", "sorted", "staticmethod", "str", "sum", "super", "tuple", "type", "vars", "zip",
    "ValueError",
])
# fmt: on


def reserved(name: str) -> bool:
    """Whether a name may not be an attribute of a generated module."""
    return (
        keyword.iskeyword(name)
        or keyword.issoftkeyword(name)
        or name in MODULE
        or name in OWN
        or name.startswith(_OWN_PREFIXES)
    )


@dataclass(frozen=True)
class Names:
    """Instance paths of one program and what they are called in PyTorch and in ONNX."""

    keys: Mapping[str, str]
    """State-dict key of each path."""

    def key(self, path: str) -> str:
        """The state-dict key, and name of the ONNX initialiser. Raises KeyError for an unknown path."""
        return self.keys[path]

    def attribute(self, path: str) -> str:
        """An expression for it inside a method: `self.h[3].linear.weight`."""
        return chain(self.keys[path])


def chain(key: str) -> str:
    """A state-dict key as an attribute chain from `self`; a number is an index."""
    return "self" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in key.split("."))


def names(paths: Iterable[str]) -> Names:
    """Names for all weights of a program. A name that is legal as written keeps it, whoever else wants it."""
    leaves = sorted(set(paths))
    inner: dict[tuple[str, ...], str] = {(): ""}
    children: dict[tuple[str, ...], dict[tuple[str, bool], None]] = {}
    for path in leaves:
        parts = tuple(path.split("."))
        for depth in range(len(parts)):
            children.setdefault(parts[:depth], {})[parts[depth], depth == len(parts) - 1] = None
    found: dict[str, str] = {}
    for above in sorted(children, key=lambda c: (len(c), c)):
        for (part, leaf), name in _siblings(children[above], not above).items():
            full = f"{inner[above]}.{name}" if above else name
            if leaf:
                found[".".join((*above, part))] = full
            else:
                inner[*above, part] = full
    return Names(found)


def _siblings(parts: Iterable[tuple[str, bool]], top: bool) -> dict[tuple[str, bool], str]:
    """Names for the components of one container, which come sorted: a scope and a weight of the same name get two."""
    ordered = sorted(parts, key=lambda p: (_legal(p[0]) != p[0], p[1]))
    taken: set[str] = set()
    found: dict[tuple[str, bool], str] = {}
    for part, leaf in ordered:
        name = _legal(part)
        if name.isdigit() and (leaf or top):  # only a scope inside a scope can be asked for by number
            name = f"_{name}"
        while name in taken:
            name += "_"
        taken.add(name)
        found[part, leaf] = name
    return found


@lru_cache(maxsize=4096)
def _legal(part: str) -> str:
    """The component as written, or the nearest legal attribute name."""
    if part.isdigit() and part.isascii() and str(int(part)) == part:
        return part
    name = _identifier(part)
    while reserved(name):
        name = f"w{name}" if name == "_" or name.startswith(_OWN_PREFIXES) else f"{name}_"
    return name


def _identifier(text: str) -> str:
    name = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in text)
    return f"_{name}" if not name or name[0].isdigit() else name


class Scope:
    """Names of variables in one emitted function: each is given once, to the first who asks."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}

    def free(self, wanted: str) -> str:
        """`wanted`, made a legal name that is not given yet; numbers are appended where it is."""
        base = _identifier(wanted)[:LONGEST]
        if base == "_" or base.startswith("__"):  # names of Python's own, and those that a class would mangle
            base = f"v{base}"
        while keyword.iskeyword(base) or keyword.issoftkeyword(base) or base in _BUILTINS or base in _AMBIGUOUS:
            base += "_"
        name = base
        count = self._next.get(base, 1)
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._next[base] = count
        self._taken.add(name)
        return name


def variable(path: str, fallback: str) -> str:
    """What a person would call the value at an instance path: its bound name and what made it, `a_conv2d`."""
    parts = [part for part in path.split(".") if part]
    if not parts:
        return fallback.lower()
    numbers = [part for part in parts[1:-1] if part.isdigit()]
    return "_".join(dict.fromkeys([parts[0], *numbers, parts[-1]])).lower()


def field_name(name: str) -> str:
    """A legal field of a named tuple: no leading underscore, no attribute of tuples or of results."""
    legal = name.lstrip("_") or "value"
    legal = f"value_{legal}" if legal[0].isdigit() else legal
    while keyword.iskeyword(legal) or legal in _FIELDS:
        legal += "_"
    return legal


_FIELDS = frozenset({"count", "index", "trace", "rows", "exits", "losses", "logp", "baseline", "policy_loss"})


def class_name(seed: str) -> str:
    """A legal name for the class of a seed."""
    name = _identifier(seed)
    if name.startswith("_"):
        name = f"Net{name}"
    while keyword.iskeyword(name) or name in _CLASSES or name in _BUILTINS:
        name += "_"
    return name


_CLASSES = frozenset({"Scope", "Outputs", "Result", "NamedTuple", "torch", "nn", "F"})
