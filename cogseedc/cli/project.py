"""`cogseedc new`: a project folder with a program that builds."""

from __future__ import annotations

import re
from pathlib import Path

import click

from cogseedc.cli import options
from cogseedc.diagnostics import Diagnostic, UserError
from cogseedc.publish import make_folder, write_file

HELLO = """\
## Classifies vectors; those that are easy leave after one layer.
export seed Hello[hidden: int = 256] {
    level tissue
    version 0.1.0

    in  x: f32[N, D=16]
    out logits: f32[N, K=4]
    knob tau = 0.5 in 0 .. 1  # how sure is sure enough; may change at run time

    a = x |> linear[hidden] |> relu
    exit easy { logits = a |> linear[K=4] } when confidence(logits) >= tau

    b = a |> linear[4 * hidden] |> relu |> linear[hidden] |> relu
    logits = b |> linear[K=4]
}
"""

README = """\
# {name}

```
cogseedc check hello.seed
cogseedc build hello.seed --target onnx-cpu --output build/hello
cogseedc verify build/hello
cogseedc graph hello.seed --output build/hello.html
```

The same program as a PyTorch module, to train:

```python
import cogseedc

module = cogseedc.build("hello.seed")
logits = module(x).logits
```
"""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


@click.command(epilog=options.examples("cogseedc new hello"))
@click.argument("name", metavar="NAME")
def new(name: str) -> int:
    """Start a project: makes the folder NAME with a program that builds."""
    path = Path(name)
    if not _NAME.fullmatch(path.name):
        raise UserError(
            Diagnostic("CS0907", f"{path.name!r} cannot be a project's name", help="use letters, digits, `-` and `_`")
        )
    try:
        make_folder(path)
        write_file(path / "hello.seed", HELLO.encode())
        write_file(path / "README.md", README.format(name=path.name).encode())
        write_file(path / ".gitignore", b"build/\n")
    except FileExistsError:
        raise UserError(Diagnostic("CS0904", f"{name!r} is there already", help="choose another name")) from None
    except OSError as error:
        raise UserError(Diagnostic("CS0905", f"cannot write {name!r}: {error.strerror or error}")) from None
    click.echo(f"{name}/hello.seed")
    click.echo(f"next: cd {name} && cogseedc build hello.seed --target onnx-cpu --output build/hello", err=True)
    return 0
