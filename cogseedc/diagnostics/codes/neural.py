"""CS034 to CS037: shapes, weights and options of the neural operations."""

from __future__ import annotations

from cogseedc.diagnostics.codes.model import Code

_IMAGE = "in  x: f32[N, C=3, H=8, W=8]"
_VECTOR = "in  x: f32[N, C=4]"
_TOKENS = "in  x: f32[N, T, D=4]"

_ROWS: tuple[tuple[str, str, str, str, str, str], ...] = (
    # code, title, why, ports, wrong, right
    ("CS0340", "a value has too few axes",
     "A convolution needs an axis of channels left of its spatial axes; pooling and resizing need spatial axes.",
     _VECTOR, "conv2d[8, kernel=3](x)", "linear[8](x)"),
    ("CS0341", "a weight does not fit the value",
     "A weight is (output, input / groups, kernel) in a convolution, (output, input) in a linear layer.",
     f"{_IMAGE}\n    in  w: f32[4, 5, 3, 3]", "conv2d(x, weight=w)", "conv2d(x, weight=w)  # with w: f32[4, 3, 3, 3]"),
    ("CS0342", "groups do not divide the channels",
     "A grouped operation splits its channels into equal parts, the input's and the output's.",
     _IMAGE, "conv2d[4, kernel=1, groups=2](x)", "conv2d[6, kernel=1, groups=3](x)"),
    ("CS0343", "a window does not fit its axis",
     "The result would have no element: the kernel, spread by its dilation, is longer than the padded axis.",
     _IMAGE, "conv2d[4, kernel=9](x)", "conv2d[4, kernel=9, padding=4](x)"),
    ("CS0344", "a weight has another shape than is needed",
     "What is written in `[...]` and the weight that is given say different things.",
     f"{_VECTOR}\n    in  w: f32[6, 4]", "linear[5](x, weight=w)", "linear[6](x, weight=w)"),
    ("CS0345", "a size is missing",
     "An operation that makes its own weight needs its sizes; with `weight=` they come from there.",
     _IMAGE, "conv2d[kernel=3](x)", "conv2d[16, kernel=3](x)"),
    ("CS0346", "operands of different dtypes",
     "Products and recurrent steps work in one dtype; nothing is converted silently.",
     f"{_VECTOR}\n    in  z: f16[C=4, D=2]", "matmul(x, z)", "matmul(x, cast[f32](z))"),
    ("CS0347", "axes of operands do not go together",
     "Axes that both operands have left of those of the operation are read index by index, so they must be the same.",
     f"{_TOKENS}\n    in  k: f32[N, S=3, D=4]\n    in  v: f32[N, Q=5, D=4]",
     "attend(x, k, v)", "attend(x, v, v)"),
    ("CS0348", "an axis of a per-index operand goes with nothing",
     "Axes left of a weight's own (or of a mask's, or a centre's) match the value's axes by name and have their size.",
     f"{_VECTOR}\n    in  w: f32[K=3, 5, 4]", "linear(x, weight=w)", "linear(x, weight=w)  # with w: f32[N, 5, 4]"),
    ("CS0349", "options that exclude each other",
     "`causal` needs a query with positions; bilinear resizing is over one or two axes.",
     f"{_VECTOR}\n    in  k: f32[N, S=3, C=4]", "attend[causal=true](x, k, k)", "attend(x, k, k)"),
    ("CS0350", "an einsum equation is wrong",
     "One letter for each axis, operands with commas, `->`, then the letters that stay, each once.",
     f"{_VECTOR}\n    in  z: f32[N, C=4]", 'einsum["nc,nc"](x, z)', 'einsum["nc,nc->n"](x, z)'),
    ("CS0351", "a letter of an einsum has two sizes",
     "Axes with the same letter run together, so their sizes are equal.",
     f"{_VECTOR}\n    in  z: f32[N, D=5]", 'einsum["nc,nc->n"](x, z)', 'einsum["nc,nd->ncd"](x, z)'),
    ("CS0352", "inner sizes of a product differ",
     "The last axis of the first operand is summed with the last but one of the second (in attention: the features).",
     f"{_VECTOR}\n    in  z: f32[D=5, E=2]", "matmul(x, z)", "matmul(x, z)  # with z: f32[C=4, E=2]"),
    ("CS0353", "heads do not divide the features", "Each head gets an equal part of the last axis.",
     f"{_TOKENS}\n    in  k: f32[N, S, D=4]", "attend[3](x, k, k)", "attend[2](x, k, k)"),
    ("CS0354", "a size has to be known here",
     "The shape of a weight, or of a kernel, cannot depend on an input.",
     _TOKENS, "lstm[T](x)", "lstm[16](x)"),
    ("CS0355", "a number is out of range", "Kernels, strides and sizes are at least 1, padding is not negative.",
     _IMAGE, "max_pool2d[0](x)", "max_pool2d[2](x)"),
    ("CS0356", "a bias is given and refused", "`bias=false` says that there is none.",
     f"{_VECTOR}\n    in  w: f32[6, 4]\n    in  b: f32[6]",
     "linear[bias=false](x, weight=w, bias=b)", "linear(x, weight=w, bias=b)"),
    ("CS0357", "coordinates do not go with the axes",
     "The last axis of a centre or a grid has one coordinate for each axis that is read at it.",
     f"{_IMAGE}\n    in  at: f32[N, P=3]",
     "crop[over=(H, W), size=4](x, at)", "crop[over=(C, H, W), size=(1, 4, 4)](x, at)"),
    ("CS0358", "too many or too few numbers",
     "A tuple has one number for each spatial axis; a single number counts for all.",
     _IMAGE, "conv2d[4, kernel=(3, 3, 3)](x)", "conv2d[4, kernel=(3, 3)](x)"),
    ("CS0359", "a recurrent state has another size", "The state's last axis has the hidden units.",
     f"{_VECTOR}\n    in  h: f32[N, Q=4]", "gru_cell[8](x, h)", "gru_cell[4](x, h)"),
    ("CS0360", "a mirror image is longer than its axis",
     "`reflect` repeats the axis without its edge, so it gives at most one element less than the axis has.",
     _IMAGE, 'pad[9, mode="reflect"](x)', 'pad[9, mode="edge"](x)'),
    ("CS0361", "a recurrent layer runs over another axis than the last but one",
     "Its value is [.., steps, features].",
     _TOKENS, "gru[8, over=D](x)", "gru[8, over=T](x)"),
)  # fmt: skip


def _code(code: str, title: str, why: str, ports: str, wrong: str, right: str) -> Code:
    program = f"export seed Net {{\n    {ports}\n    out y: f32[N]\n    y = {wrong}\n}}\n"
    return Code(code, title, why, program, f"y = {right}")


TABLE: tuple[Code, ...] = tuple(_code(*row) for row in _ROWS)
