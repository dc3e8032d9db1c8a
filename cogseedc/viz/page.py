"""The interactive page: one self-contained HTML file that works offline and asks for nothing from anywhere.

What the user wrote gets in at one place only, as JSON in a data block, which the page's script turns into text nodes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files

from cogseedc.publish import canonical_json
from cogseedc.viz.document import GraphJson

_HUES = 7
"""Colours that gates take in turn; as many as `page.css` and `draw.js` have."""
_SCRIPTS = ("model.js", "layout.js", "draw.js", "panel.js", "page.js")
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def html(graph: GraphJson) -> bytes:
    """A page whose embedded JSON is the document itself, spelled as `graph --json` spells it but for `<`."""
    guard = _template("guard.js")
    page = '"use strict";\n' + "\n".join(map(_template, _SCRIPTS))
    dagre = _read("vendor", "dagre", "dagre.min.js")
    style = _template("page.css")
    slots = {
        "script_hashes": " ".join(map(_policy_hash, (guard, dagre, page))),
        "style_hashes": _policy_hash(style),
        "style": style,
        "guard": guard,
        "markers": "".join(map(_marker, ["", *(f"-{hue}" for hue in range(_HUES))])),
        "graph": embedded(graph),
        "dagre": dagre,
        "page": page,
    }
    return _filled(_template("page.html"), slots).encode()


def embedded(graph: GraphJson) -> str:
    """The canonical JSON with every `<` escaped, so that no text in it can end the data block or open an element."""
    return canonical_json(graph).decode().replace("<", "\\u003c")


def _filled(template: str, slots: Mapping[str, str]) -> str:
    """The template with its slots filled in one sweep: what is filled in is not searched for slots again."""
    return _SLOT.sub(lambda slot: slots[slot[1]], template)


def _policy_hash(text: str) -> str:
    """The source expression of a content security policy that admits just this inline text (CSP Level 3, 2.3.1)."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _marker(suffix: str) -> str:
    return (
        f'<marker id="tip{suffix}" class="tip{suffix}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 .5L8 4L0 7.5L1.6 4z"/></marker>'
    )


def _template(name: str) -> str:
    return _read("templates", name)


def _read(*parts: str) -> str:
    return files("cogseedc.viz").joinpath(*parts).read_text(encoding="utf-8")
