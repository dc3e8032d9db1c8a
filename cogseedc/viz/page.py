"""The interactive page: one self-contained HTML file that works offline."""

from __future__ import annotations

import json

from cogseedc.viz.document import GraphJson


def html(graph: GraphJson) -> bytes:
    """A page whose embedded JSON is the document itself."""
    data = json.dumps(graph, sort_keys=True, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return f'<!doctype html><meta charset="utf-8"><script type="application/json" id="graph">{data}</script>'.encode()
