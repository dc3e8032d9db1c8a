"""Calls that no file of the package makes: what runs text, what unpickles, what writes files other than `publish`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "cogseedc"
FILES = sorted(PACKAGE.rglob("*.py"))

NAMES = {"eval", "exec", "compile", "__import__", "breakpoint", "globals", "locals", "vars", "input"}
"""Builtins; a method or a function of ours may be called so."""
MODULES = {
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "joblib",
    "yaml",
    "ctypes",
    "code",
    "pty",
    "telnetlib",
    "ftplib",
    "smtplib",
    "xmlrpc",
}
NETWORK = {"socket", "urllib.request", "http.client", "http.server", "requests", "httpx", "ssl"}
ATTRIBUTES = {
    "os.system", "os.popen", "os.execv", "os.execve", "os.spawnv", "sys.setrecursionlimit", "sys.settrace", "tempfile.mktemp",
    "torch.load", "torch.save", "torch.hub", "onnx.save", "onnx.save_model", "numpy.save", "np.save", "np.savetxt", "shutil.rmtree",
    "shutil.unpack_archive", "importlib.reload", "builtins.eval", "builtins.exec",
}  # fmt: skip
WRITING = {
    "write_text",
    "write_bytes",
    "touch",
    "unlink",
    "rmdir",
    "symlink_to",
    "rename",
    "extractall",
    "savefig",
    "tofile",
    "save_file",
}
"""Methods, whatever they are called on."""
OS_WRITING = {
    f"os.{name}"
    for name in (
        "write",
        "replace",
        "rename",
        "remove",
        "unlink",
        "rmdir",
        "makedirs",
        "mkdir",
        "truncate",
        "link",
        "symlink",
        "chmod",
    )
}

ALLOWED = {
    ("backends/pytorch/check.py", "compile"),  # a generated file is compiled, never run, before it is published
    ("driver/reproduce.py", "subprocess"),  # builds once more in another process
    ("driver/reproduce.py", "tempfile"),
    ("driver/probe.py", "tempfile"),  # models that are timed
    ("driver/profiling.py", "tempfile"),  # a model that is run on the inputs of a profile
    ("calibrate/command.py", "tempfile"),
    ("cli/main.py", "formatter.write_text"),  # writes help
    ("evaluate/plots.py", "figure.savefig"),  # into memory
    ("viz/picture.py", "subprocess"),  # asks Graphviz, where it is installed, for a layout
}
"""File and what it alone may use."""


def dotted(node: ast.expr) -> str:
    """`a.b.c`; what is no chain of names has its last part only."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return ".".join(reversed(parts))


def uses(tree: ast.AST, own: set[str]) -> Iterator[tuple[str, int]]:
    """What is banned in a file, with lines. `own` are functions that the file itself defines or imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            for name in names:
                for banned in {*MODULES, *NETWORK, "subprocess", "tempfile"}:
                    if name == banned or name.startswith(f"{banned}."):
                        yield banned, node.lineno
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        last = name.rpartition(".")[2]
        keywords = {k.arg: k.value for k in node.keywords}
        if (isinstance(node.func, ast.Name) and name in NAMES - own) or name in ATTRIBUTES:
            yield name, node.lineno
        if isinstance(node.func, ast.Attribute) and (last in WRITING or name in OS_WRITING):
            yield name, node.lineno
        if last == "open" and "os." not in name and _mode(node) not in ("r", "rb"):
            yield "open", node.lineno
        if name in ("np.load", "numpy.load") and not _is(keywords.get("allow_pickle"), False):
            yield f"{name} of objects", node.lineno
        if "shell" in keywords and not _is(keywords["shell"], False):
            yield "shell", node.lineno
        if last == "Lark" and "cache" in keywords:
            yield "Lark(cache=)", node.lineno


def _mode(node: ast.Call) -> str:
    """The mode of an `open`; a method of a path has it first."""
    where = 0 if isinstance(node.func, ast.Attribute) else 1
    found = next((k.value for k in node.keywords if k.arg == "mode"), None)
    found = found or (node.args[where] if len(node.args) > where else None)
    return found.value if isinstance(found, ast.Constant) and isinstance(found.value, str) else "r"


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def banned(path: Path) -> list[str]:
    name = path.relative_to(PACKAGE).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    own |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    own |= {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    return [
        f"{name}:{line}: {what}"
        for what, line in uses(tree, own)
        if (name, what) not in ALLOWED and not (name == "publish.py" and (what.startswith("os.") or what in WRITING))
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_banned_call(path: Path) -> None:
    assert banned(path) == []


@pytest.mark.parametrize(
    "text",
    ["eval('1')", "exec(text)", "import pickle", "from pickle import loads", "import subprocess", "os.system('ls')", "open('x', 'w')",
     "path.open('wb')", "path.write_text('x')", "np.load(file)", "run(call, shell=True)", "torch.load(f)", "import urllib.request",
     "os.replace(a, b)", "Lark(text, cache=True)", "sys.setrecursionlimit(10**6)"],
)  # fmt: skip
def test_the_test_sees_them(text: str) -> None:
    assert list(uses(ast.parse(text), set()))
