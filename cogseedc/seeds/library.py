"""Resolution of imports to parsed files, inside one package root; a file is read once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from cogseedc.diagnostics import Diagnostic, Label, UserError
from cogseedc.seeds.versions import allows, parse_version
from cogseedc.source import Span

STD_VERSION = "1.0.0"
_STD = files("cogseedc") / "seeds" / "std"

Tree = TypeVar("Tree")


class ImportLike(Protocol):
    """What is read of an import statement."""

    @property
    def path(self) -> str: ...
    @property
    def is_file(self) -> bool: ...
    @property
    def version(self) -> str | None: ...
    @property
    def span(self) -> Span: ...


@dataclass(eq=False)
class Library(Generic[Tree]):
    """Packages and files. `parse` turns (name, bytes) into a syntax tree and raises UserError."""

    parse: Callable[[str, bytes], Tree]
    root: Path | None
    """No import reaches outside; None (stdin): no file imports at all."""
    sources: dict[str, bytes] = field(default_factory=dict)
    """Every imported file by key, for the artifact. Also where an artifact's own sources are found."""
    sealed: bool = False
    """Files come from `sources` only."""
    _trees: dict[str, Tree] = field(default_factory=dict)
    _errors: dict[str, UserError] = field(default_factory=dict)
    """Of files that could not be parsed, which many imports may name."""

    def module(self, item: ImportLike, importer: str) -> tuple[str, Tree]:
        """Key and tree of what an import names. Raises UserError."""
        key = self._file(item, importer) if item.is_file else self._package(item)
        if key in self._errors:
            raise self._errors[key]
        if key not in self._trees:
            text = self._read(key, item.span)
            try:
                self._trees[key] = self.parse(key, text)
            except UserError as error:
                self._errors[key] = error
                raise
        return key, self._trees[key]

    def _package(self, item: ImportLike) -> str:
        top, _, rest = item.path.partition(".")
        known = sorted(p.name.removesuffix(".seed") for p in _STD.iterdir() if p.name.endswith(".seed"))
        if top != "std" or rest not in known:
            near = get_close_matches(rest if top == "std" else item.path, known, n=1)
            packages = ", ".join(f"std.{name}" for name in known)
            help = f"did you mean `std.{near[0]}`?" if near else f"the packages are {packages}"
            raise _refused("CS0506", f"there is no package `{item.path}`", item.span, help)
        if item.version is not None and not allows(item.version, parse_version(STD_VERSION)):
            message = f"`{item.path}` is there in version {STD_VERSION}, not {item.version}"
            raise _refused("CS0507", message, item.span, f"ask for `@^{STD_VERSION}`")
        return f"std/{rest}.seed"

    def _file(self, item: ImportLike, importer: str) -> str:
        """Key of a file: its path below the root, with `/`."""
        if importer.startswith("std/"):
            raise _refused("CS0508", "a package imports no files", item.span, "import a package")
        if "\\" in item.path or "\0" in item.path or item.path.startswith("/") or not item.path.endswith(".seed"):
            message = f"{item.path!a} is no relative path of a `.seed` file"
            raise _refused("CS0508", message, item.span, 'write `"./blocks.seed"`')
        folder = os.path.dirname(importer) if importer in self.sources else ""
        if self.sealed:
            return os.path.normpath(os.path.join(folder, item.path))
        if self.root is None:
            raise _refused("CS0508", "a program from standard input imports no files", item.span, "save it as a file")
        root = self.root.resolve()
        path = Path(os.path.normpath(root / folder / item.path))
        resolved = path.parent.resolve() / path.name
        if not resolved.is_relative_to(root):
            help = "import files below the program's own folder"
            raise _refused("CS0508", f"`{item.path}` lies outside the package", item.span, help)
        return resolved.relative_to(root).as_posix()

    def _read(self, key: str, span: Span) -> bytes:
        if key in self.sources:
            return self.sources[key]
        if key.startswith("std/"):
            data = (_STD / key.removeprefix("std/")).read_bytes()
        elif self.sealed or self.root is None:
            raise _refused("CS0509", f"the file `{key}` is missing", span, "")
        else:
            data = _regular(self.root.resolve() / key, key, span)
        self.sources[key] = data
        return data


def _regular(path: Path, key: str, span: Span) -> bytes:
    """The bytes of a regular file; links and special files are refused."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = "it is a link" if path.is_symlink() else (error.strerror or "cannot be read").lower()
        message = f"the file `{key}` cannot be imported: {reason}"
        raise _refused("CS0509", message, span, "the path is relative to the importing file") from None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _refused("CS0509", f"`{key}` is no regular file", span, "")
        return file.read(1 << 26)


def _refused(code: str, message: str, span: Span, help: str) -> UserError:
    return UserError(Diagnostic(code, message, (Label(span),), help))
