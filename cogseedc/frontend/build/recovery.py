"""Goes on behind a statement that is wrong, so that a run tells of several mistakes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from cogseedc.frontend import ast
from cogseedc.frontend.build.core import Builder
from cogseedc.frontend.build.marks import marked
from cogseedc.frontend.build.model import BROKEN, BrokenUse, BuildError, Frame

S = TypeVar("S", bound=ast.Statement)
NamesOf = Callable[[Any], tuple[ast.Name, ...]]


def recovering(names: NamesOf) -> Callable[[Callable[[Builder, Frame, S], None]], Callable[[Builder, Frame, S], None]]:
    """A statement with a mistake is reported and leaves its names broken, so that what follows is still checked."""

    def wrap(run: Callable[[Builder, Frame, S], None]) -> Callable[[Builder, Frame, S], None]:
        @wraps(run)
        def guarded(b: Builder, frame: Frame, statement: S) -> None:
            try:
                run(b, marked(b, frame, statement), statement)
            except BuildError as error:
                b.report(error)
            except BrokenUse:
                pass
            else:
                return
            following = frame.carries if isinstance(statement, ast.Next) else None
            for name in names(statement):
                (frame.scope.names if following is None else following).setdefault(name.text, BROKEN)

        return guarded

    return wrap
