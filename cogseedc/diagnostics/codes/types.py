"""CS03, first part: operands, axes, sizes and dtypes of operations in general.

Codes of the neural families are in `neural`.
"""

from __future__ import annotations

from collections.abc import Iterator

from cogseedc.diagnostics.codes.model import Code

_IMAGE = "in  x: f32[N, C=3, H=8, W=8]"
_VECTOR = "in  x: f32[N, C=4]"


def _program(statement: str, port: str) -> str:
    """A seed with one statement."""
    return f"export seed Net {{\n    {port}\n    out y: f32[N]\n    {statement}\n}}\n"


_ROWS: tuple[tuple[str, str, str, str, str, str], ...] = (
    # code, title, why, port, wrong, right
    ("CS0301", "an operation lacks an operand",
     "Every operand that is not optional has to be given, in `(...)` or by `|>`.",
     _VECTOR, "y = add(x)", "y = add(x, x)"),
    ("CS0302", "an axis is not there",
     "An axis is named by its label in the value's type. Another name means the one unnamed axis of that name's size.",
     _IMAGE, "y = mean[over=(H, V)](x)", "y = mean[over=(H, W)](x)"),
    ("CS0303", "an axis position is out of range", "Positions count from 0, or from the end with -1.",
     _VECTOR, "y = mean[over=2](x)", "y = mean[over=1](x)"),
    ("CS0304", "sizes do not fit",
     "Axes that go together must have equal sizes, or (elementwise) one of them size 1. Nothing is repeated silently.",
     "in  x: f32[N, C=4, H=2]\n    in  z: f32[N, D=4, V=3]", "y = concat[over=C](x, z)", "y = concat[over=H](x, z)"),
    ("CS0305", "a dtype is not accepted", "The operation has no meaning for this dtype; a cast says what is meant.",
     _VECTOR, "y = all(x)", "y = all(x > 0)"),
    ("CS0306", "an operation has no such static parameter",
     "Static parameters, in `[...]`, go by the names of the signature.",
     _IMAGE, "y = mean[axis=H](x)", "y = mean[over=H](x)"),
    ("CS0307", "a static parameter is missing", "It has no default, and nothing says what it should be.",
     _VECTOR, "y = split[over=C](x)", "y = split[over=C, into=(A, B), A=2](x)"),
    ("CS0308", "too many static arguments",
     "Static arguments fill the parameters in the order of the signature, each once.",
     _VECTOR, "y = argmax[C, true, 3](x)", "y = argmax[C, true](x)"),
    ("CS0309", "a static argument is of the wrong kind",
     "A size is an integer or an axis, a flag is true or false, and so on.",
     _VECTOR, 'y = sort[descending="yes"](x)', "y = sort[descending=true](x)"),
    ("CS0310", "a static argument is out of range", "The operation is defined for some values only.",
     _VECTOR, "y = tile[0, over=C](x)", "y = tile[2, over=C](x)"),
    ("CS0311", "an axis name could mean several axes",
     "A name that the value lacks stands for its one unnamed axis of that size; here more than one would fit.",
     "in  k: f32[K=3]\n    in  x: f32[N, 3, 3]", "y = mean[over=K](x)", "y = mean[over=-1](x)"),
    ("CS0312", "an axis is named twice, or not all are named", "Each axis takes one part in an operation.",
     _IMAGE, "y = mean[over=(H, H)](x)", "y = mean[over=(H, W)](x)"),
    ("CS0313", "axes do not stand side by side", "Only neighbours, in the order of the value, can be made one axis.",
     _IMAGE, "y = join[over=(C, W), into=K](x)", "y = join[over=(C, W), into=K](permute[(N, H, C, W)](x))"),
    ("CS0314", "the number of elements differs",
     "Splitting, reshaping and shuffling keep every element, for every size of the input.",
     _VECTOR, "y = reshape[N, 3](x)", "y = reshape[N, 2, 2](x)"),
    ("CS0315", "a size is not known",
     "A new axis has a size: given with it, that of an axis in scope, or what is left over.",
     _VECTOR, "y = split[over=C, into=(A, B)](x)", "y = split[over=C, into=(A, B), A=2](x)"),
    ("CS0316", "shapes do not fit", "The operands must have as many axes, and of such sizes, as the operation says.",
     "in  x: f32[N, C=4]\n    in  z: f32[N]", "y = concat(x, z)", "y = concat(x, unsqueeze[-1](z))"),
    ("CS0317", "an axis that is to be dropped has more than one index",
     "`squeeze` forgets an axis, it does not choose from it.",
     _VECTOR, "y = squeeze[over=C](x)", "y = select[C, 0](x)"),
    ("CS0318", "an index is out of range", "A static index or slice lies within its axis.",
     _VECTOR, "y = slice[C, 1, 9](x)", "y = slice[C, 1, 3](x)"),
    ("CS0319", "too many operands", "The operation takes fewer values.",
     _VECTOR, "y = exp(x, x)", "y = exp(x)"),
    ("CS0322", "a size is negative, or no integer", "Sizes are 0, 1, 2, ...",
     _VECTOR, "y = zeros[N, -2]()", "y = zeros[N, 2]()"),
    ("CS0323", "more is chosen than there is",
     "From an axis of n, 1 to n elements can be taken; `margin` compares two.",
     _VECTOR, "y = top_values[5](x)", "y = top_values[2](x)"),
)  # fmt: skip


def _codes() -> Iterator[Code]:
    for code, title, why, port, wrong, right in _ROWS:
        yield Code(code, title, why, _program(wrong, port), right)


TABLE: tuple[Code, ...] = tuple(_codes())
