"""The server: what editors ask, by what `lookup` and the commands on text say. Texts are read as they are on screen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path
from pygls.workspace import TextDocument

import cogseedc
from cogseedc.diagnostics import Diagnostic, Diagnostics, Label, Severity, UserError
from cogseedc.driver.program import Examined, Settings, examine
from cogseedc.frontend import ast
from cogseedc.frontend.format import format_source
from cogseedc.limits import Limits
from cogseedc.lsp import lookup
from cogseedc.ops import OPS
from cogseedc.source import Source, Span

_SEVERITY = {
    Severity.ERROR: types.DiagnosticSeverity.Error,
    Severity.WARNING: types.DiagnosticSeverity.Warning,
    Severity.NOTE: types.DiagnosticSeverity.Information,
}
_UNREAD = "CS0248"
_PAUSE = 0.2
"""Seconds without a further change after which a text is examined."""


def server() -> LanguageServer:
    """A server that is not started yet."""
    made = LanguageServer("cogseedc", cogseedc.__version__)

    pages: dict[str, Examined] = {}

    def shown(ls: LanguageServer, uri: str) -> None:
        document = ls.workspace.get_text_document(uri)
        pages[uri] = examined(source_of(document))
        found = [_diagnostic(document, diagnostic) for diagnostic in pages[uri].found]
        ls.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, found, document.version))

    @made.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(ls: LanguageServer, asked: types.DidOpenTextDocumentParams) -> None:
        shown(ls, asked.text_document.uri)

    @made.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def changed(ls: LanguageServer, asked: types.DidChangeTextDocumentParams) -> None:
        await asyncio.sleep(_PAUSE)
        if ls.workspace.get_text_document(asked.text_document.uri).version == asked.text_document.version:
            shown(ls, asked.text_document.uri)

    @made.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(ls: LanguageServer, asked: types.DidCloseTextDocumentParams) -> None:
        pages.pop(asked.text_document.uri, None)
        ls.text_document_publish_diagnostics(types.PublishDiagnosticsParams(asked.text_document.uri, []))

    @made.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatted(ls: LanguageServer, asked: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        document = ls.workspace.get_text_document(asked.text_document.uri)
        try:
            text = format_source(source_of(document), Limits())
        except UserError:  # its mistakes are shown already
            return None
        return [types.TextEdit(_range(document, 0, len(document.source)), text)]

    @made.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(ls: LanguageServer, asked: types.HoverParams) -> types.Hover | None:
        text = lookup.hover(pages[asked.text_document.uri], _offset(ls, asked))
        return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, text)) if text else None

    @made.feature(types.TEXT_DOCUMENT_DEFINITION)
    def defined(ls: LanguageServer, asked: types.DefinitionParams) -> types.Location | None:
        place = lookup.declaration(pages[asked.text_document.uri], _offset(ls, asked))
        if place is None:
            return None
        document = ls.workspace.get_text_document(asked.text_document.uri)
        return types.Location(document.uri, _range(document, place.name.span.start, place.name.span.end))

    @made.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def outlined(ls: LanguageServer, asked: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        document = ls.workspace.get_text_document(asked.text_document.uri)
        file = pages[asked.text_document.uri].file
        return list(_symbols(document, file)) if file is not None else []

    @made.feature(types.TEXT_DOCUMENT_COMPLETION)
    def completed(ls: LanguageServer, asked: types.CompletionParams) -> list[types.CompletionItem]:
        found = lookup.completions(pages[asked.text_document.uri], _offset(ls, asked))
        return [types.CompletionItem(word, kind=_completed_as(word, what), detail=what) for word, what in found.items()]

    return made


def examined(source: Source) -> Examined:
    """What is known of a text, whatever is wrong with it or with what it imports."""
    try:
        return examine(source, Settings())
    except UserError as error:
        found = Diagnostics()
        for diagnostic in error.diagnostics:
            found.add(diagnostic)
        return Examined(source, None, {}, found)


def source_of(document: TextDocument) -> Source:
    """A document as it is on screen; imports are found beside its file."""
    return Source(to_fs_path(document.uri) or "<untitled>", document.source)


def _offset(ls: LanguageServer, asked: types.HoverParams | types.DefinitionParams | types.CompletionParams) -> int:
    return ls.workspace.get_text_document(asked.text_document.uri).offset_at_position(asked.position)


def _range(document: TextDocument, start: int, end: int) -> types.Range:
    return types.Range(document.client_position_at_offset(start), document.client_position_at_offset(end))


def _diagnostic(document: TextDocument, found: Diagnostic) -> types.Diagnostic:
    """A diagnostic at its first label in the document; what lies in other files, or beside it, is related."""
    own = source_of(document).name
    here = [label.span for label in found.labels if label.span.source.name == own][:1]
    others = [label for label in found.labels if label.span not in here]
    return types.Diagnostic(
        _range(document, here[0].start, here[0].end) if here else _range(document, 0, 0),
        found.message + (f"\nhelp: {found.help}" if found.help else ""),
        severity=_SEVERITY[found.severity],
        code=found.code,
        source="cogseedc",
        tags=[types.DiagnosticTag.Unnecessary] if found.code == _UNREAD else None,
        related_information=[_related(label) for label in others],
    )


def _related(label: Label) -> types.DiagnosticRelatedInformation:
    span = label.span
    location = types.Location(from_fs_path(str(Path(span.source.name).absolute())) or "", _plain(span))
    return types.DiagnosticRelatedInformation(location, label.text or "here, too")


def _plain(span: Span) -> types.Range:
    """A range in a text that is not open."""
    start, end = (span.source.position(offset) for offset in (span.start, span.end))
    return types.Range(*(types.Position(line - 1, column - 1) for line, column in (start, end)))


def _symbols(document: TextDocument, file: ast.File) -> Iterable[types.DocumentSymbol]:
    places = list(lookup.declared(file))
    for place in places:
        if not isinstance(place.by, ast.SeedDeclaration | ast.Const):
            continue
        seed = place.by if isinstance(place.by, ast.SeedDeclaration) else None
        inner = [p for p in places if seed is not None and p.seed is seed and not isinstance(p.by, ast.Bind)]
        kind = types.SymbolKind.Class if seed is not None else types.SymbolKind.Constant
        yield _symbol(document, place, kind, [_symbol(document, p, types.SymbolKind.Property) for p in inner])


def _symbol(
    document: TextDocument,
    place: lookup.Place,
    kind: types.SymbolKind,
    children: list[types.DocumentSymbol] | None = None,
) -> types.DocumentSymbol:
    span, name = place.span, place.name.span
    around, own = _range(document, span.start, span.end), _range(document, name.start, name.end)
    return types.DocumentSymbol(place.name.text, kind, around, own, children=children)


def _completed_as(word: str, what: str) -> types.CompletionItemKind:
    if word in OPS:
        return types.CompletionItemKind.Function
    kinds = {"word": types.CompletionItemKind.Keyword, "seed": types.CompletionItemKind.Class}
    return kinds.get(what, types.CompletionItemKind.Variable)
