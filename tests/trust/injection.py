"""Hostile text in every place of a program, looked for in everything that is made of it.

The same program with a harmless text gives the skeleton: a hostile one must change nothing but what stands in strings.
"""

from __future__ import annotations

import ast
import html.parser
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import onnx
import pytest

import cogseedc
from cogseedc.backends.pytorch.check import ALLOWED
from cogseedc.cli.main import run
from cogseedc.diagnostics import UserError, render
from cogseedc.driver.picture import draw
from cogseedc.driver.program import Program, Settings, load
from cogseedc.publish import canonical_json
from cogseedc.source import Source

ROOT = Path(__file__).parents[2]
HARMLESS = "harmless"

_STRINGS = [
    'a"', "a'", '"""', "'''", '\\"""', "\\", "\\\\", "\\n", "\\x00", "\\u2028", "\\N{BULLET}", "#", "##", "# \\", "*/", "/*", "//", "--", "-->", "<!--",
    "%s", "%(name)s", "{0}", "{name}", "${HOME}", "$(id)", "`id`", "; ls", "| ls", "&& ls", "> out", "../../etc/passwd", "~root", "C:\\con", "-rf",
    "{{ 7 * 7 }}", "{% raise %}", "{# #}", "{%- include '/etc/passwd' -%}", "{{ self.__init__.__globals__ }}", "{{''.__class__.__mro__}}",
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "</style><b>",
    "</title><b>", "</textarea><b>", '" onclick="alert(1)', "' onclick='alert(1)", "javascript:alert(1)", "&lt;b&gt;", "&#60;b&#62;", "&amp;", "&",
    "<b>", "<!DOCTYPE x>", "<?xml?>", "<![CDATA[", "]]>", "<iframe src=//x>", "<a href=x>", "<plaintext>", "<base href=//x>", "\\u003cscript\\u003e",
    '"];n1[label="x', '"}', "];", "\\l", "\\N", "<B>x</B>", "digraph", 'n1"]; click n1 "javascript:x"', "click n1", "end", "subgraph", "%%", ":::x",
    '"},{"x":"', "\\u0022", "null", "true", "1e999", "NaN", "__proto__", "constructor", "toString",
    "import os", "__import__('os').system('touch hacked')", "os.system('touch hacked')", "eval('1')", "exec('1')", "open('hacked','w')",
    '"); __import__("os").system("touch hacked"); ("', "'); open('hacked','w'); ('", "\\\\'); open('hacked','w')#", "f'{open(\"hacked\",\"w\")}'",
    "lambda: 0", "yield", "async", "self", "None", "__init__", "__class__", "torch", "forward", "class X: pass", "@decorator", "type: ignore", "noqa",
    "coding: utf-7", "-*- coding: utf-7 -*-", "+AGMAbwBvAGs-", "!/bin/sh", "!python", "import x as y\\n", "\\\\\\\\\\\"",
]  # fmt: skip
_SIGNS = [
    "\x1b[31m", "\x1b]0;title\x07", "\x1b[2J", "\x9b31m", "\x00", "\x07", "\x08", "\x7f", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\u200b",
    "\u200e", "\u202a", "\u202e", "\u2066", "\u2069", "\ufeff", "\ufff9", "\U000e0001", "\u0301", "\u1160", "\u3164", "\ufb01", "\u0430", "\uff21", "ﷺ", "🌱", "𝒳",
]  # fmt: skip
PAYLOADS = [*_STRINGS, *_SIGNS, *(f"a{sign}b" for sign in _SIGNS[:6]), "x" * 3000, "<" * 500, "\\" * 501]


def documented(text: str) -> str:
    """A program with the text in every comment, doc comment and string."""
    quoted = "".join(c for c in text if c != '"')
    return f"""\
# {text}
## {text}
export seed Net[mode: str = "{quoted}"] {{  # {text}
    ## {text}
    in  x: f32[N, D=4]
    out y: f32[N, D]
    ## {text}
    knob tau = 0.5 in 0 .. 1
    # {text}
    exit early {{ y = linear[4](x) }} when confidence(x) >= tau  # {text}
    y = tanh(linear[4](x))
}}
# {text}
"""


NAMES = {
    "value": "    {0} = relu(x)\n    y = {0}",
    "knob": "    knob {0} = 0.5 in 0 .. 1\n    y = when mean(x) > {0} {{ relu(x) }} else {{ x }}",
    "gate": "    gate {0} over N = mean[over=D](x) > 0\n    y = when {0} {{ linear[4](x) }} else {{ x }}",
    "exit": "    exit {0} {{ y = linear[4](x) }} when mean[over=D](x) > 0\n    y = x",
    "share": "    share {0} = linear[4]\n    y = {0}(x) + {0}(x)",
    "param": "    param {0}: f32[D=4] = ones()\n    y = x * {0}",
    "loss": "    y = linear[4](x)\n    loss {0} = mean[over=(N, D)](y)",
    "operation": "    y = {0}(x)",
    "axis": "    y = mean[over={0}](expand[{0}=2](x))",
}
"""Programs with a name in each kind of place."""


def named(place: str, text: str) -> str:
    head = f"export seed {text if place == 'seed' else 'Net'} {{\n    in  x: f32[N, D=4]\n    out y: f32[N, D]\n"
    return f"{head}{NAMES.get(place, '    y = relu(x)').format(text)}\n}}\n"


# What is made, as skeletons: everything but the content of strings


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *(name for name, _ in attrs)))


def html_skeleton(data: bytes) -> object:
    parser = _Tags()
    parser.feed(data.decode())
    parser.close()
    return parser.found


def svg_skeleton(data: bytes) -> object:
    return [(element.tag, *sorted(element.attrib)) for element in ElementTree.fromstring(data).iter()]


def dot_skeleton(data: bytes) -> object:
    return re.sub(r'"(?:[^"\\]|\\.)*"', '""', data.decode())


def mermaid_skeleton(data: bytes) -> object:
    return re.sub(r'"[^"\n]*"', '""', data.decode())


def json_skeleton(data: bytes) -> object:
    assert canonical_json(json.loads(data)) == data
    return _shape(json.loads(data))


def _shape(value: object) -> object:
    """JSON with all texts alike."""
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in value.items()}
    return [_shape(inner) for inner in value] if isinstance(value, list) else "" if isinstance(value, str) else value


SKELETONS: dict[str, Callable[[bytes], object]] = {
    "html": html_skeleton,
    "svg": svg_skeleton,
    "dot": dot_skeleton,
    "mmd": mermaid_skeleton,
    "json": json_skeleton,
}


def python_skeleton(path: Path) -> str:
    """A generated file; what it is made of must be on the list."""
    text = path.read_text(encoding="ascii")
    for node in ast.walk(ast.parse(text)):
        assert isinstance(node, ALLOWED), type(node).__name__
    return text


def onnx_skeleton(path: Path) -> bytes:
    model = onnx.load_from_string(path.read_bytes())
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def readable(text: str) -> bool:
    """Whether a text can do nothing to a terminal."""
    return all(c == "\n" or c == " " or unicodedata.category(c)[0] not in "CZ" for c in text)


def taken(text: str, name: str = "net.seed") -> Program | None:
    """The program; None when it is refused, with diagnostics that a terminal may show."""
    try:
        return load(Source(name, text), Settings())
    except UserError as error:
        found = error.diagnostics
    assert found
    assert readable(render(found)), f"a terminal is told {render(found)!r}"
    return None


def skeletons(program: Program) -> dict[str, object]:
    return {kind: make(draw(program, kind)) for kind, make in SKELETONS.items()}


def models(text: str, folder: Path) -> dict[str, object]:
    """Compiles for both backends."""
    folder.mkdir(parents=True)
    source = folder / "net.seed"
    source.write_text(text, encoding="utf-8", newline="")
    found: dict[str, object] = {}
    for target, name, skeleton in (
        ("torch-cpu", "model.py", python_skeleton),
        ("onnx-cpu", "model.onnx", onnx_skeleton),
    ):
        (path,) = cogseedc.compile(source, target, folder / target, rng=0).rglob(name)
        found[name] = skeleton(path)  # type: ignore[operator]
    return found


def injection(count: int, seed: int) -> str:
    """About `count` payloads in every place: comments, docs and strings, every kind of name, and names of files."""
    built = refused = 0
    artifacts: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        whole = taken(documented(HARMLESS))
        assert whole is not None
        wanted, wanted_models = skeletons(whole), models(documented(HARMLESS), place / "harmless")
        chosen = PAYLOADS[:: -(-len(PAYLOADS) // count)]
        for number, payload in enumerate(chosen):
            program = taken(documented(payload))
            if program is None:
                refused += 1
            else:
                built += 1
                assert skeletons(program) == wanted, f"{payload!r} changes a picture"
                found = models(documented(payload), place / str(number))
                assert found == wanted_models, f"{payload!r} changes a model"
                artifacts.append(str(place / str(number) / "torch-cpu"))
            for kind in (*NAMES, "seed"):
                program = taken(named(kind, payload))
                if program is None:
                    refused += 1
                    continue
                built += 1
                plain = taken(named(kind, HARMLESS if kind != "axis" else "Harmless"))
                if plain is not None:  # an operation is none by any name
                    assert skeletons(program).keys() == skeletons(plain).keys()
                models(named(kind, payload), place / f"{number}-{kind}")
                artifacts.append(str(place / f"{number}-{kind}" / "torch-cpu"))
            _file_name(place / f"file{number}", payload)
        _run_watched(artifacts, place)
        assert not list(place.rglob("hacked"))
    assert not Path("hacked").exists()
    return (
        f"{len(chosen)} payloads in {len(NAMES) + 2} kinds of places and file names: {refused} programs refused, "
        f"{built} built, {len(artifacts)} modules imported and run without an event"
    )


def _file_name(folder: Path, payload: str) -> None:
    """A file with a hostile name: its diagnostics are readable, and its artifact is that of any other name."""
    name = payload.replace("/", "_").replace("\0", "_")[:60] + ".seed"
    try:
        folder.mkdir()
        (folder / name).write_text(documented(HARMLESS).replace("tanh", "tanhh"), encoding="utf-8")
    except (OSError, UnicodeEncodeError):
        return  # this file system does not have such names
    with pytest.raises(UserError) as caught:
        load(folder / name)
    assert readable(render(caught.value.diagnostics))
    (folder / name).write_text(documented(HARMLESS), encoding="utf-8")
    for kind, make in SKELETONS.items():
        make(draw(load(folder / name), kind))
    (path,) = cogseedc.compile(folder / name, "torch-cpu", folder / "art", rng=0).rglob("model.py")
    python_skeleton(path)
    with redirect_stdout(io.StringIO()) as said:
        assert run(("inspect", str(folder / "art"))) == 0
    assert readable(said.getvalue())


def _run_watched(artifacts: list[str], place: Path) -> None:
    """Imports and runs modules in a process that ends at the first event that a network has no need of."""
    call = [sys.executable, "-c", "from tests.trust.injection import watched; watched()"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        call, input=json.dumps(artifacts), cwd=place, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


FORBIDDEN = (
    "open",
    "os.",
    "subprocess.",
    "socket.",
    "shutil.",
    "ctypes.",
    "import",
    "compile",
    "pickle.",
    "marshal.",
    "code.",
    "sys._getframe",
    "glob.",
)


def watched() -> None:
    """What that process does."""
    import torch

    from cogseedc.driver.inspect import stored_weights
    from cogseedc.runtime import read
    from cogseedc.runtime.artifact import record, text

    prepared = []
    for artifact in map(read, json.load(sys.stdin)):
        code = compile(artifact.payload("model.py"), "module.py", "exec")
        prepared.append((code, text(record(artifact.manifest, "model"), "class"), stored_weights(artifact)))
    armed = False

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if armed and event.startswith(FORBIDDEN) and not _harmless(event, arguments):
            sys.stderr.write(f"{event} {arguments!r}"[:500] + "\n")
            os._exit(9)

    sys.addaudithook(hook)
    x = torch.zeros(2, 4)
    torch.nn.functional.linear(x, x)
    for code, name, weights in prepared:
        tensors = {key: torch.from_numpy(array) for key, array in weights.items()}
        armed = True
        namespace: dict[str, Any] = {"__name__": "module"}
        exec(code, namespace)
        net = namespace[name]()
        net.load_state_dict(tensors)
        net.train()(x)
        net.eval()(x, trace=True)
        net(x[:0])
        armed = False


_NAMES = re.compile(rb"[A-Za-z_.]+|lambda _cls, [a-z, ]*: _tuple_new\(_cls, \([a-z, ]*\)\)")


def _harmless(event: str, arguments: tuple[object, ...]) -> bool:
    """Modules that are loaded already, and what Python makes named tuples of."""
    if event == "compile":
        return isinstance(arguments[0], bytes) and _NAMES.fullmatch(arguments[0]) is not None
    return event == "import" and str(arguments[0]) in sys.modules
