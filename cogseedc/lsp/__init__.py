"""A language server: what `check`, `fmt`, `ops` and `seeds` know, while a program is written.

`lookup` finds what stands at a place of a text, `server` answers editors, `command` is `cogseedc lsp`.
"""
