"""The server as an editor sees it, over pipes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from lsprotocol import types
from pygls.lsp.client import LanguageClient

TEXT = """export seed Net {
  in  x: f32[N, D=4]
  in  length: i64[N]
  out y: f32[N, D]
    # ünïcødé 𝛼
    y = "𝛼" == "𝛼" and relu(x)
    z = linear[D](w)
}
"""


async def talk(folder: Path) -> None:
    client = LanguageClient("test", "1")
    published: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()

    @client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def told(_: LanguageClient, found: types.PublishDiagnosticsParams) -> None:
        published.put_nowait(found)

    await client.start_io(sys.executable, "-m", "cogseedc", "lsp")
    await client.initialize_async(types.InitializeParams(types.ClientCapabilities(), root_uri=folder.as_uri()))
    client.initialized(types.InitializedParams())
    uri = (folder / "net.seed").as_uri()
    document = types.TextDocumentIdentifier(uri)
    client.text_document_did_open(types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, "seed", 1, TEXT)))
    first = await published.get()
    codes = {found.code: found for found in first.diagnostics}
    assert codes["CS0201"].range.start == types.Position(6, 18)
    assert codes["CS0201"].severity is types.DiagnosticSeverity.Error

    fine = TEXT.replace('    y = "𝛼" == "𝛼" and relu(x)\n    z = linear[D](w)\n', "    y = linear[D](x)\n")
    change = types.TextDocumentContentChangeWholeDocument(fine)
    client.text_document_did_change(
        types.DidChangeTextDocumentParams(types.VersionedTextDocumentIdentifier(version=2, uri=uri), [change])
    )
    (note,) = (await published.get()).diagnostics
    assert (note.code, list(note.tags or ())) == ("CS0248", [types.DiagnosticTag.Unnecessary])
    assert note.message.startswith("nothing reads `length`\nhelp: ")

    place = types.Position(5, 10)
    hovered = await client.text_document_hover_async(types.HoverParams(document, place))
    assert hovered is not None
    assert isinstance(hovered.contents, types.MarkupContent)
    assert "linear" in hovered.contents.value
    defined = await client.text_document_definition_async(types.DefinitionParams(document, types.Position(5, 18)))
    assert isinstance(defined, types.Location)
    assert defined.range == types.Range(types.Position(1, 6), types.Position(1, 7))
    (outline,) = await client.text_document_document_symbol_async(types.DocumentSymbolParams(document)) or ()
    assert isinstance(outline, types.DocumentSymbol)
    assert (outline.name, [child.name for child in outline.children or ()]) == ("Net", ["x", "length", "y"])
    completed = await client.text_document_completion_async(types.CompletionParams(document, place))
    assert isinstance(completed, list)
    assert {"conv2d", "length", "when"} <= {item.label for item in completed}
    options = types.FormattingOptions(4, True)
    (edit,) = await client.text_document_formatting_async(types.DocumentFormattingParams(document, options)) or ()
    assert edit.new_text.splitlines()[1] == "    in  x: f32[N, D=4]"
    client.text_document_did_close(types.DidCloseTextDocumentParams(document))
    assert not (await published.get()).diagnostics
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()


def test_an_editor_is_answered(tmp_path: Path) -> None:
    asyncio.run(asyncio.wait_for(talk(tmp_path), 120))
