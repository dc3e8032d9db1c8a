"""The mangler: injective, the same in any order, nothing that PyTorch or Python reserves."""

from __future__ import annotations

import keyword
from dataclasses import FrozenInstanceError

import pytest
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


def test_names_stay() -> None:
    found = names(["a"])
    with pytest.raises(FrozenInstanceError):
        found.keys = {}  # type: ignore[misc]


def test_scopes_and_weights_of_one_name() -> None:
    assert names(["h.3.w", "h.03.w", "3.w", "h.b.3", "_.w", "__x", "_plan.w", "_block_1"]).keys == {
        "h.3.w": "h.3.w", "h.03.w": "h._03.w", "3.w": "_3.w", "h.b.3": "h.b._3", "_.w": "w_.w", "__x": "w__x",
        "_plan.w": "_plan_.w", "_block_1": "w_block_1",
    }  # fmt: skip


def test_who_is_legal_is_named_before_others() -> None:
    assert names(["class.w", "class_.w", "b", "b.c"]).keys == {
        "class.w": "class__.w", "class_.w": "class_.w", "b": "b_", "b.c": "b.c"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("x", "x"), ("x y", "x_y"), ("é", "v_"), ("", "v_"), ("__a", "v__a"), ("_a", "_a"), ("3d", "_3d"), ("lambda", "lambda_"),
        ("match", "match_"), ("max", "max_"), ("l", "l_"), ("y" * 60, "y" * 48),
    ],
)  # fmt: skip
def test_a_free_variable(wanted: str, given: str) -> None:
    assert Scope().free(wanted) == given


def test_variables_are_given_once() -> None:
    scope = Scope(["self", "x_3"])
    assert [scope.free(n) for n in ("x", "x", "x", "x_2", "self", "max", "max")] == [
        "x", "x_2", "x_4", "x_2_2", "self_2", "max_", "max__2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.Stage.conv2d", "a_conv2d"), ("h.3.keep.linear", "h_3_linear"), ("h.3", "h_3"), ("h.3.x.4", "h_3_4"), ("", "relu"),
        ("a", "a"), ("a.a", "a"), ("..a..B", "a_b"),
    ],
)  # fmt: skip
def test_a_variable_of_a_path(path: str, name: str) -> None:
    assert variable(path, "ReLU") == name


def test_fields_and_classes() -> None:
    fields = {
        "x": "x",
        "_x": "x",
        "__": "value",
        "_3": "value_3",
        "count": "count_",
        "class": "class_",
        "logp": "logp_",
    }
    assert {name: field_name(name) for name in fields} == fields
    classes = {"Net": "Net", "_x": "Net_x", "Result": "Result_", "None": "None_", "max": "max_", "F": "F_"}
    assert {name: class_name(name) for name in classes} == classes
