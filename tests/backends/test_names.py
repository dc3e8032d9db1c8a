"""The mangler: injective, the same in any order, nothing that PyTorch or Python reserves."""

from __future__ import annotations

import keyword

import torch
from hypothesis import given
from hypothesis import strategies as st

from cogseedc.backends.names import MODULE, Scope, class_name, field_name, names, reserved, variable

COMPONENT = st.one_of(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True),
    st.integers(0, 12).map(str),
    st.sampled_from(
        ["class", "class_", "type", "type_", "match", "forward", "weight", "train", "constants", "bias", "_plan"]
    ),
)
PATHS = st.sets(st.lists(COMPONENT, min_size=1, max_size=3).map(".".join), max_size=12)


def test_the_list_is_that_of_torch() -> None:
    real = {n for n in {*dir(torch.nn.Module), *dir(torch.nn.Module())} if not n.startswith("__")}
    assert real <= MODULE


@given(PATHS)
def test_keys_are_injective_and_legal(paths: set[str]) -> None:
    found = names(paths)
    assert set(found.keys) == paths
    assert len(set(found.keys.values())) == len(paths)
    scopes = {key.rsplit(".", i + 1)[0] for key in found.keys.values() for i in range(key.count("."))}
    assert not scopes & set(found.keys.values())
    for key in found.keys.values():
        for part in key.split("."):
            assert part.isdigit() or (part.isidentifier() and not keyword.iskeyword(part) and not reserved(part))
    assert names(sorted(paths, reverse=True)).keys == found.keys


@given(PATHS)
def test_legal_names_stay_as_written(paths: set[str]) -> None:
    found = names(paths)
    scopes = {path.rsplit(".", i + 1)[0] for path in paths for i in range(path.count("."))}
    for path in paths:
        parts = path.split(".")
        above = {".".join(parts[: i + 1]) for i in range(len(parts) - 1)}
        plain = all(part.isidentifier() and not reserved(part) for part in parts)
        if plain and path not in scopes and not above & paths:
            assert found.key(path) == path


def test_spelling() -> None:
    found = names(["h.3.conv.weight", "class.weight", "a", "a.b", "forward.bias"])
    assert found.attribute("h.3.conv.weight") == "self.h[3].conv.weight"
    assert found.key("class.weight") == "class_.weight"
    assert found.key("forward.bias") == "forward_.bias"
    assert {found.key("a"), found.key("a.b")} == {"a_", "a.b"} or {found.key("a"), found.key("a.b")} == {"a", "a_.b"}


def test_variables() -> None:
    scope = Scope(["self"])
    assert [scope.free(n) for n in ("x", "x", "x_2", "lambda", "self", "3d", "max")] == [
        "x", "x_2", "x_2_2", "lambda_", "self_2", "_3d", "max_",
    ]  # fmt: skip
    assert variable("a.Stage.conv2d", "x") == "a_conv2d"
    assert variable("h.3.keep.linear", "x") == "h_3_linear"
    assert variable("", "relu") == "relu"
    assert field_name("_x") == "x"
    assert field_name("count") == "count_"
    assert class_name("Result") == "Result_"
