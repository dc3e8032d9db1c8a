"""Lists the seeds of the standard library and of files, for `cogseedc seeds`: what is written, nothing elaborated."""

from __future__ import annotations

from collections.abc import Iterator

from cogseedc.diagnostics import Diagnostics, UserError
from cogseedc.driver.program import parse, read_source
from cogseedc.frontend import ast
from cogseedc.limits import Limits
from cogseedc.resources import folder
from cogseedc.source import Source


def seeds_of(files: tuple[str, ...], limits: Limits) -> list[dict[str, str]]:
    """Each seed's home, name, signature, level, version and first line of documentation.

    Without `files`, those of the standard library. Raises UserError for a file that cannot be read or parsed.
    """
    sources = [(name, read_source(name, limits)) for name in files] or list(_library())
    return [record(home, item) for home, source in sources for item in _seeds(source, limits)]


def _library() -> Iterator[tuple[str, Source]]:
    for file in sorted(folder("seeds/std").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".seed"):
            name = f"std.{file.name.removesuffix('.seed')}"
            yield name, Source(name, file.read_text(encoding="utf-8"))


def _seeds(source: Source, limits: Limits) -> list[ast.SeedDeclaration]:
    found = Diagnostics(limits.diagnostics)
    file = parse(source, limits, found)
    if file is None or found.failed:
        raise UserError(*found)
    return [item for item in file.items if isinstance(item, ast.SeedDeclaration)]


def record(home: str, seed: ast.SeedDeclaration) -> dict[str, str]:
    """What is said of a seed."""
    metas = {m.kind: " | ".join(v.text for v in m.values) for m in seed.members if isinstance(m, ast.Meta)}
    ports = [m for m in seed.members if isinstance(m, ast.Port)]
    static = f"[{', '.join(p.span.text for p in seed.parameters)}]" if seed.parameters else ""
    operands = ", ".join(f"{p.name.text}: {p.type.span.text}" for p in ports if p.direction == "in")
    results = ", ".join(f"{p.name.text}: {p.type.span.text}" for p in ports if p.direction == "out")
    return {
        "from": home,
        "name": seed.name.text,
        "signature": f"{seed.name.text}{static}({operands}) -> {results}",
        "level": metas.get("level", ""),
        "version": metas.get("version", ""),
        "bits": metas.get("bits", ""),
        "doc": seed.doc.strip().split("\n")[0],
    }
