"""`cogseedc lsp`. Neither torch nor onnx is imported."""

from __future__ import annotations

import click

from cogseedc.diagnostics import Diagnostic, UserError


@click.command()
def lsp() -> int:
    """Answer an editor on stdin and stdout, by the Language Server Protocol; needs the extra `lsp`."""
    try:
        from cogseedc.lsp.server import server
    except ModuleNotFoundError as error:
        if error.name not in ("pygls", "lsprotocol"):
            raise
        message = "the language server needs the package pygls"
        raise UserError(Diagnostic("CS1005", message, help="pip install 'cogseedc[lsp]'")) from None
    server().start_io()
    return 0
