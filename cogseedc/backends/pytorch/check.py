"""Checks a generated file before anyone sees it: it must parse, and be made of harmless kinds of nodes only."""

from __future__ import annotations

import ast

from cogseedc.diagnostics import InternalError

ALLOWED: tuple[type[ast.AST], ...] = (
    ast.Module, ast.Import, ast.ImportFrom, ast.alias, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg,
    ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Return, ast.If, ast.For, ast.Break, ast.Continue,
    ast.Raise, ast.IfExp, ast.Name,
    ast.Attribute, ast.Subscript, ast.Slice, ast.Starred, ast.Call, ast.keyword, ast.Constant, ast.Tuple, ast.List,
    ast.Dict, ast.ListComp, ast.GeneratorExp, ast.comprehension, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp,
    ast.Lambda, ast.JoinedStr, ast.FormattedValue, ast.expr_context, ast.operator, ast.unaryop, ast.boolop,
    ast.cmpop, ast.Assert, ast.Pass, ast.With, ast.withitem,
)  # fmt: skip
"""Kinds of syntax that a generated file may have."""

NAMING = frozenset({ast.Name, ast.Attribute, ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom})
"""Those that name something."""
IMPORTS = frozenset({"torch", "torch.nn.functional", "typing", "collections", "math"})
DUNDERS = frozenset({"__init__", "__getitem__"})
FORBIDDEN = frozenset({"eval", "exec", "open", "compile", "globals", "locals", "vars", "__import__", "breakpoint"})


def check(text: str) -> None:
    """Raises InternalError when a file is not what an emitter may write."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise InternalError(f"a generated file does not parse: line {error.lineno}: {error.msg}") from error
    known: dict[type[ast.AST], bool] = {}
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        kind = type(node)
        if kind not in known:
            known[kind] = issubclass(kind, ALLOWED)
        if not known[kind]:
            raise InternalError(f"a generated file has a {kind.__name__}")
        if kind in NAMING:
            _check_names(node)
        for name in kind._fields:
            part = getattr(node, name)
            if isinstance(part, ast.AST):
                todo.append(part)
            elif isinstance(part, list):
                todo += [item for item in part if isinstance(item, ast.AST)]
    compile(tree, "generated", "exec")


def _check_names(node: ast.AST) -> None:
    for name in _names(node):
        own = isinstance(node, ast.Attribute) and _root(node) == "self"  # a part of an instance path
        if (name in FORBIDDEN and not own) or (name.startswith("__") and name not in DUNDERS):
            raise InternalError(f"a generated file names {name}")
    if isinstance(node, ast.Import) and any(a.name not in IMPORTS for a in node.names):
        raise InternalError("a generated file imports more than torch")
    if isinstance(node, ast.ImportFrom) and node.module not in IMPORTS:
        raise InternalError("a generated file imports more than torch")


def _root(node: ast.expr) -> str:
    """The name at which a chain of attributes and subscripts begins; empty when it is another expression."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _names(node: ast.AST) -> tuple[str, ...]:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return (name,)
    return ()
