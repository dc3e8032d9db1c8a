"""The interactive page: self-contained, inert for hostile text, and drawn by a browser where there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cogseedc.viz import html

from .graphs import HOSTILE, example, hostile, spelled

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


class Outline(HTMLParser):
    """Elements with their attributes, and what stands in scripts and styles."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "style":
            self.styles.append("")

    def handle_data(self, data: str) -> None:
        last = self.elements[-1][0] if self.elements else ""
        if last == "script" and self.cdata_elem == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        if last == "style" and self.cdata_elem == "style":
            self.styles[-1] += data

    @property
    def data(self) -> str:
        return next(text for attributes, text in self.scripts if attributes.get("type") == "application/json")

    @property
    def policy(self) -> str:
        metas = [dict(attrs) for tag, attrs in self.elements if tag == "meta"]
        return str(next(m["content"] for m in metas if m.get("http-equiv") == "Content-Security-Policy"))


@pytest.mark.parametrize("name", ["01_digits", "10_neural_tree"])
def test_embedded_json_is_that_of_graph_json(name: str) -> None:
    data = Outline(example(name, "html")).data
    assert data.replace("\\u003c", "<").encode() == example(name, "json")
    assert "<" not in data


def test_page_asks_for_nothing() -> None:
    outline = Outline(example("01_digits", "html"))
    for tag, attributes in outline.elements:
        names = dict(attributes)
        assert tag not in {"link", "iframe", "object", "embed", "img", "base", "form"}
        assert not {"src", "href", "action", "srcset"} & set(names), (tag, names)
    code = "".join(text for attributes, text in outline.scripts if "type" not in attributes)
    addresses = set(re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z][^\s\"')]*", code + "".join(outline.styles)))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of a namespace, never fetched
    assert "@import" not in outline.styles[0]
    for call in (
        "fetch(",
        "XMLHttpRequest",
        "importScripts",
        "WebSocket",
        "eval(",
        "innerHTML",
        "outerHTML",
        "document.write",
    ):
        assert call not in code, call


def test_policy_admits_only_our_code() -> None:
    outline = Outline(example("01_digits", "html"))
    assert "default-src 'none'" in outline.policy
    assert "unsafe" not in outline.policy
    for text in [text for attributes, text in outline.scripts if "type" not in attributes] + outline.styles:
        assert f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" in outline.policy


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_makes_no_element_and_no_attribute(text: str) -> None:
    graph = hostile(text)
    outline, plain = Outline(html(graph)), Outline(html(hostile("plain")))
    assert outline.elements == plain.elements
    assert json.loads(outline.data) == json.loads(spelled(graph))


def test_page_is_the_same_each_time() -> None:
    assert example("06_multi_scale", "html") == example("06_multi_scale", "html")


def dump(page: bytes, folder: Path, state: str) -> Outline:
    """The document after a browser has run the page with a hash."""
    assert CHROMIUM is not None
    file = folder / "page.html"
    file.write_bytes(page)
    quiet = ("--disable-gpu", "--disable-background-networking", "--disable-sync", "--disable-component-update")
    profile = f"--user-data-dir={folder / 'profile'}"
    wanted = ("--virtual-time-budget=8000", "--dump-dom", f"{file.as_uri()}#{state}")
    command = [CHROMIUM, "--headless", "--no-sandbox", *quiet, profile, *wanted]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
    return Outline(done.stdout)


def values(outline: Outline, attribute: str) -> list[str]:
    return [str(dict(attributes)[attribute]) for _, attributes in outline.elements if attribute in dict(attributes)]


@browser
def test_browser_draws_every_node_when_all_is_open(tmp_path: Path) -> None:
    outline = dump(example("01_digits", "html"), tmp_path, "expand=all&select=81")
    graph = json.loads(example("01_digits", "json"))
    assert values(outline, "data-error") == []
    visible = {str(n["id"]) for n in graph["nodes"] if n["kind"] not in ("weight", "constant")}
    assert set(values(outline, "data-node")) == visible
    assert set(values(outline, "data-container")) == {c["id"] for c in graph["containers"]}
    assert set(values(outline, "aria-expanded")) == {"true"}
    assert set(values(outline, "data-control")) == {"not easy", "not medium"}
    governed = [v for v in values(outline, "class") if "governed" in v.split()]
    assert len(governed) == sum(c["label"] == "not easy" for c in graph["controls"])
    assert any("marked" in v.split() for v in values(outline, "class"))


@browser
def test_browser_draws_closed_seeds(tmp_path: Path) -> None:
    outline = dump(example("10_neural_tree", "html"), tmp_path, "expand=none&color=macs&theme=dark")
    assert values(outline, "data-error") == []
    assert values(outline, "data-container") == ["Tree"]
    assert values(outline, "aria-expanded") == ["false"]
    assert len(values(outline, "data-node")) == 3


@browser
def test_browser_shows_weights_when_asked(tmp_path: Path) -> None:
    outline = dump(example("01_digits", "html"), tmp_path, "expand=all&weights=1&color=bits")
    assert values(outline, "data-error") == []
    assert "weight" in values(outline, "data-kind")


ACTS = """
const seen = [], note = () => seen.push(document.querySelectorAll("[data-node]").length);
const closed = () => document.querySelector('[data-container="Tree"]');
note();
closed().dispatchEvent(new MouseEvent("dblclick", { bubbles: true })); note();
closed().dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true })); note();
closed().querySelector("[data-toggle]").dispatchEvent(new MouseEvent("click", { bubbles: true })); note();
document.getElementById("collapse").click(); note();
document.getElementById("expand").click(); note();
const box = document.getElementById("search");
box.value = "softmax"; box.dispatchEvent(new Event("input", { bubbles: true }));
seen.push(document.getElementById("hits").dataset.count);
document.querySelector("#hits button").click();
seen.push(document.querySelectorAll(".selected").length, document.querySelector("#details h2").textContent);
document.querySelector("[data-line='10']").click();
seen.push(document.querySelector("#details .eyebrow").textContent);
for (const mode of ["macs", "bits"]) {
  const color = document.getElementById("color");
  color.value = mode; color.dispatchEvent(new Event("change"));
}
document.getElementById("weights").click(); document.getElementById("theme").click(); note();
document.body.dataset.seen = JSON.stringify(seen);
"""


@browser
def test_browser_answers_mouse_keyboard_and_search(tmp_path: Path) -> None:
    page = example("10_neural_tree", "html").decode()
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)  # to let the test act
    outline = dump(page.replace("</body>", f"<script>{ACTS}</script></body>").encode(), tmp_path, "expand=none")
    assert values(outline, "data-error") == []
    seen = json.loads(values(outline, "data-seen")[0])
    graph = json.loads(example("10_neural_tree", "json"))
    visible = [n for n in graph["nodes"] if n["kind"] not in ("weight", "constant")]
    assert seen[:6] == [3, 9, 3, 9, 3, len(visible)]
    assert seen[6] == str(sum(n["label"] == "softmax" for n in visible))
    assert seen[7:9] == [1, "softmax"]
    assert seen[9] != "program"
    assert seen[10] == len(graph["nodes"])


@browser
@pytest.mark.parametrize("text", HOSTILE)
def test_browser_makes_nothing_of_hostile_text(text: str, tmp_path: Path) -> None:
    outline = dump(html(hostile(text)), tmp_path, "expand=all&select=1")
    assert values(outline, "data-error") == []
    assert len(values(outline, "data-node")) == 3
    tags = {tag for tag, _ in outline.elements}
    assert not tags & {"img", "base", "iframe"}
    assert not any(name.startswith("on") for _, attributes in outline.elements for name, _ in attributes)
