"""Operations that regroup and move elements, at the edges of what they take: types, attributes, demand and ONNX nodes in words."""

from __future__ import annotations

import onnx
import pytest

from cogseedc.ir import Attr, Example, Mixing, Pointwise, Size
from cogseedc.ops import OPS
from tests.laws import harness
from tests.laws.agreeing import agree
from tests.laws.asking import refused
from tests.laws.harness import Case


def case(inputs: str, call: str) -> Case:
    return harness.case_of(OPS[call.split("(")[0].split("[")[0]], Example(inputs, call))


def spelled(attr: Attr) -> str:
    if isinstance(attr, tuple):
        return f"({' '.join(map(spelled, attr))})"
    return f"<{attr}>" if isinstance(attr, Size) else str(attr)


def told(c: Case) -> str:
    """Type and attributes of the last call, the axis of the result that each axis of it is read for, and ONNX nodes."""
    last = c.steps[-1]
    [flow] = last.spec.flow(last.resolution.attrs, last.inputs, c.types)
    assert all(isinstance(kind, Pointwise | Mixing) for kind in flow)
    axes = " ".join(str(kind.to) if isinstance(kind, Pointwise) else "." for kind in flow)
    attrs = " ".join(f"{name}={spelled(value)}" for name, value in last.resolution.attrs.items)
    graph = onnx.load_from_string(harness.onnx_model(c)).graph
    constant = {value.name for value in graph.initializer}
    nodes = [node for node in graph.node[:-1] if node.op_type in MAKING]
    made = " ".join(node.op_type + "~" * (not constant.issuperset(node.input[1:])) for node in nodes)
    return f"{c.types[0]}; {attrs}; {axes}; {made}"


MAKING = {"Reshape", "Identity", "Squeeze", "Transpose", "Expand", "Tile", "Slice"}
"""What no size is made with. Behind one that asks for sizes at run time stands `~`."""

CASES = [
    ("x: f32[N, E=8], y: f32[G=4]", "split[into=(G, I)](x)", "f32[N, G=4, I=2]; into=((G 4) (I 2)) over=1; 0 .; Reshape"),
    ("x: f32[N, E=8], y: f32[I=3]", "split[into=(G, I), G=4](x)", "f32[N, G=4, I=2]; into=((G 4) (I 2)) over=1; 0 .; Reshape"),
    ("x: f32[N, E=8], y: f32[G=2]", "split[into=(G=4, I)](x)", "f32[N, G=4, I=2]; into=((G 4) (I 2)) over=1; 0 .; Reshape"),
    ("x: f32[N, E=8], y: f32[G=2, I=3]", "split[into=(G, I), G=4, I=2](x)",
     "f32[N, G=4, I=2]; into=((G 4) (I 2)) over=1; 0 .; Reshape"),
    ("x: f32[N, E=8, H]", "split[over=E, into=(A, B, C), A=2, C=2](x)",
     "f32[N, A=2, B=2, C=2, H]; into=((A 2) (B 2) (C 2)) over=1; 0 . 4; Reshape~"),
    ("x: f32[N, T]", "split[into=(A, T2), A=1](x)", "f32[N, A=1, T2=T]; into=((A 1) (T2 <T>)) over=1; 0 2; Reshape~"),
    ("x: f32[N, T]", "split[into=(A, B), B=6](tile[6](x))", "f32[N, A=T, B=6]; into=((A <T>) (B 6)) over=1; 0 .; Tile Reshape~"),
    ("x: f32[T, N]", "split[over=0, into=(A, T), A=1](x)", "f32[A=1, T, N]; into=((A 1) (T <T>)) over=0; 1 2; Reshape~"),
    ("x: f32[N, G=4, I=2, H=3]", "join[over=(I, H), into=E](x)", "f32[N, G=4, E=6]; into=(E) over=(2 3); 0 1 . .; Reshape"),
    ("x: f32[N, G=4, T, H=3]", "join[over=(G, T)](x)", "f32[N, 4 * T, H=3]; into=None over=(1 2); 0 . . 2; Reshape~"),
    ("x: f32[N, G=4]", "join[over=G, into=E](x)", "f32[N, E=4]; into=(E) over=(1); 0 1; Identity"),
    ("x: f32[N, G=4]", "flatten(x)", "f32[N, 4]; over=(1); 0 1; Identity"),
    ("x: f32[G=4, T]", "flatten(x)", "f32[4 * T]; over=(0 1); . .; Reshape"),
    ("x: f32[]", "flatten(x)", "f32[]; over=(); ; Identity"),
    ("x: f32[N, G=4]", "flatten[over=()](x)", "f32[N, G=4]; over=(); 0 1; Identity"),
    ("x: f32[N, G=4, T, 5]", "flatten[over=(1, T)](x)", "f32[N, 4 * T, 5]; over=(1 2); 0 . . 2; Reshape~"),
    ("x: f32[N, G=2, 3]", "flatten[over=(N, G)](x)", "f32[2 * N, 3]; over=(0 1); . . 1; Reshape"),
    ("x: f32[N, C=6]", "reshape[N, 2, -1](x)", "f32[N, 2, 3]; sizes=((N <N>) 2 3); 0 .; Reshape"),
    ("x: f32[N, C=6]", "reshape[N, C](x)", "f32[N, C=6]; sizes=((N <N>) (C 6)); 0 1; Identity"),
    ("x: f32[N, C=6]", "reshape[-1](x)", "f32[6 * N]; sizes=(<6 * N>); . .; Reshape"),
    ("x: f32[6]", "reshape[A=2, B=3](x)", "f32[A=2, B=3]; sizes=((A 2) (B 3)); .; Reshape"),
    ("x: f32[]", "reshape[-1](x)", "f32[1]; sizes=(1); ; Reshape"),
    ("x: f32[C=0]", "reshape[0, 2](x)", "f32[0, 2]; sizes=(0 2); 0; Reshape"),
    ("x: f32[N, T, 4]", "reshape[N, -1, T](x)", "f32[N, 4, T]; sizes=((N <N>) 4 (T <T>)); 0 . .; Reshape~"),
    ("x: f32[N, 1, C=1, 3]", "squeeze(x)", "f32[N, 3]; over=(1 2); 0 . . 1; Squeeze"),
    ("x: f32[N, 1, C=1, 3]", "squeeze[over=(C, 1)](x)", "f32[N, 3]; over=(1 2); 0 . . 1; Squeeze"),
    ("x: f32[N, 1, C=1, 3]", "squeeze[over=()](x)", "f32[N, 1, C=1, 3]; over=(); 0 1 2 3; Identity"),
    ("x: f32[N, 1, C=1, 3]", "squeeze[over=2](x)", "f32[N, 1, 3]; over=(2); 0 1 . 2; Squeeze"),
    ("x: f32[N, C=3]", "unsqueeze[-3](x)", "f32[1, N, C=3]; axes=(0); 1 2; "),
    ("x: f32[N, C=3]", "unsqueeze[2](x)", "f32[N, C=3, 1]; axes=(2); 0 1; "),
    ("x: f32[N, C=3]", "unsqueeze[(3, 1)](x)", "f32[N, 1, C=3, 1]; axes=(1 3); 0 2; "),
    ("x: f32[N, C=3]", "unsqueeze[(-4, 1)](x)", "f32[1, 1, N, C=3]; axes=(0 1); 2 3; "),
    ("x: f32[]", "unsqueeze[0](x)", "f32[1]; axes=(0); ; "),
    ("x: f32[N, C=2, H=3]", "permute[(H, N, C)](x)", "f32[H=3, N, C=2]; axes=(2 0 1); 1 2 0; Transpose"),
    ("x: f32[N]", "permute[0](x)", "f32[N]; axes=(0); 0; Transpose"),
    ("x: f32[N, C=2]", "permute[(0, -1)](x)", "f32[N, C=2]; axes=(0 1); 0 1; Transpose"),
    ("x: f32[N]", "expand[K=2, 3](x)", "f32[3, K=2, N]; sizes=(3 (K 2)); 2; Expand~"),
    ("x: f32[K=3], y: f32[N, T]", "expand[N, T](x)", "f32[N, T, K=3]; sizes=((N <N>) (T <T>)); 2; Expand~"),
    ("x: f32[]", "expand[0](x)", "f32[0]; sizes=(0); ; Expand"),
    ("x: f32[N, C=3, H=2]", "tile[3, over=C](x)", "f32[N, C=9, H=2]; count=3 over=1; 0 . 2; Tile"),
    ("x: f32[N, T]", "tile[1](x)", "f32[N, T]; count=1 over=1; 0 .; Tile"),
    ("x: f32[N, C=3, H=2]", "repeat_interleave[3, over=C](x)", "f32[N, C=9, H=2]; count=3 over=1; 0 . 2; Tile Reshape"),
    ("x: f32[N, T]", "repeat_interleave[2](x)", "f32[N, T=2 * T]; count=2 over=1; 0 .; Tile Reshape~"),
    ("x: f32[N, T, C=3]", "repeat_interleave[2](x)", "f32[N, T, C=6]; count=2 over=2; 0 1 .; Tile Reshape"),
    ("x: f32[N, C=3]", "repeat_interleave[2, over=N](x)", "f32[N=2 * N, C=3]; count=2 over=0; . 1; Tile Reshape"),
    ("x: f32[N, C=3]", "flip(x)", "f32[N, C=3]; over=(1); 0 .; Slice"),
    ("x: f32[N, C=3, H=2]", "flip[over=(H, N)](x)", "f32[N, C=3, H=2]; over=(0 2); . 1 .; Slice"),
    ("x: f32[N, C=5, H=2]", "roll[-7, over=C](x)", "f32[N, C=5, H=2]; over=1 shift=-7; 0 . 2; "),
    ("x: f32[N, T]", "roll[3](x)", "f32[N, T]; over=1 shift=3; 0 .; "),
    ("x: f32[N, 1]", "roll[1](x)", "f32[N, 1]; over=1 shift=1; 0 .; "),
    ("x: f32[N, 0]", "roll[1](x)", "f32[N, 0]; over=1 shift=1; 0 .; "),
    ("x: f32[N, C=18, H=2, W=3]", "pixel_shuffle[3](x)", "f32[N, C=2, H=6, W=9]; factor=3; 0 . . .; Reshape Transpose Reshape"),
    ("x: f32[N, C=2, H=6, W=3]", "space_to_depth[3](x)", "f32[N, C=18, H=2, W=1]; factor=3; 0 . . .; Reshape Transpose Reshape"),
    ("x: f32[C=8, H, W]", "pixel_shuffle[2](x)", "f32[C=2, H=2 * H, W=2 * W]; factor=2; . . .; Reshape~ Transpose Reshape~"),
    ("x: f32[N, 2, C=4, H=2, W=1]", "pixel_shuffle[2](x)", "f32[N, 2, C=1, H=4, W=2]; factor=2; 0 1 . . .; Reshape Transpose Reshape"),
    ("x: f32[N, 2, C=1, H=2, W=2]", "space_to_depth[2](x)",
     "f32[N, 2, C=4, H=1, W=1]; factor=2; 0 1 . . .; Reshape Transpose Reshape"),
    ("x: f32[N, C=2, H=3, W]", "pixel_shuffle[1](x)", "f32[N, C=2, H=3, W]; factor=1; 0 . . .; Reshape~ Transpose Reshape~"),
    ("x: f32[N, C=2, H=3, W]", "space_to_depth[1](x)", "f32[N, C=2, H=3, W]; factor=1; 0 . . .; Reshape~ Transpose Reshape~"),
]  # fmt: skip


@pytest.mark.parametrize(("inputs", "call", "wanted"), CASES, ids=[f"{call}-{inputs}" for inputs, call, _ in CASES])
def test_elements_are_regrouped(inputs: str, call: str, wanted: str) -> None:
    c = case(inputs, call)
    agree(c)
    assert told(c) == wanted


@pytest.mark.parametrize(("inputs", "call"), [("x: f32[N, G=4]", "flatten(x)"), ("x: f32[N, G=4]", "squeeze(x)")])
def test_what_changes_nothing_is_not_spelled(inputs: str, call: str) -> None:
    assert harness.torch_source(case(inputs, call)) == "v0 = x"


WRONG = [
    ("x: f32[N, E=8]", "split[into=A](x)",
     "CS0312 `split` makes two or more axes with different names; write `into=(G, I)`; None into"),
    ("x: f32[N, E=8]", "split[into=(A, A)](x)",
     "CS0312 `split` makes two or more axes with different names; write `into=(G, I)`; None into"),
    ("x: f32[N, E=8]", "split[into=(A, B), C=4](x)",
     "CS0302 `split` has a size for C, which is not in `into`; ; None into"),
    ("x: f32[N, E=8]", "split[into=(A, B)](x)",
     "CS0315 `split` needs the size of A or B; write `A=2`; None sizes"),
    ("x: f32[N, E=8]", "split[into=(A, B), A=3](x)",
     "CS0314 `split` of an axis of 8 into a multiple of 3; the sizes must multiply to the axis; 0 None"),
    ("x: f32[N, E=8]", "split[into=(A, B), A=3, B=2](x)",
     "CS0314 `split` of an axis of 8 into 6 elements; the sizes must multiply to the axis; 0 None"),
    ("x: f32[N, E=8]", "split[into=(A, B), A=2, B=2](x)",
     "CS0314 `split` of an axis of 8 into 4 elements; the sizes must multiply to the axis; 0 None"),
    ("x: f32[N, E=8]", "split[into=(A, N), A=2](x)",
     "CS0312 the result of `split` would have two axes N; use another name for the new axis; None into"),
    ("x: f32[N, G=4, I=2]", "join[over=(I, G)](x)",
     ("CS0313 the axes that `join` merges must stand side by side in f32[N, G=4, I=2]; "
     "bring them together, in this order, with `permute`; 0 over")),
    ("x: f32[N, G=4, I=2]", "join[over=(N, I)](x)",
     ("CS0313 the axes that `join` merges must stand side by side in f32[N, G=4, I=2]; "
     "bring them together, in this order, with `permute`; 0 over")),
    ("x: f32[N, G=4, I=2]", "join[over=(G, I), into=(A, B)](x)",
     "CS0312 `join` makes one axis; write `into=E`; None into"),
    ("x: f32[N, G=4, I=2]", "join[over=(G, I), into=N](x)",
     "CS0312 the result of `join` would have two axes N; use another name for the new axis; None into"),
    ("x: f32[T, N, I=2]", "flatten(x)",
     ("CS0313 the axes that `flatten` merges must stand side by side in f32[T, N, I=2]; "
     "bring them together, in this order, with `permute`; 0 over")),
    ("x: f32[N, C=6]", "reshape[N, -1, -1](x)",
     "CS0315 `reshape` can find out one size, not several; write -1 once; None sizes"),
    ("x: f32[N, C=6]", "reshape[N, 4](x)",
     "CS0314 `reshape` of f32[N, C=6], which has 6 * N elements, to 4 * N; sizes must multiply to the number of elements; 0 sizes"),
    ("x: f32[N, C=6]", "reshape[N, 3](x)",
     "CS0314 `reshape` of f32[N, C=6], which has 6 * N elements, to 3 * N; sizes must multiply to the number of elements; 0 sizes"),
    ("x: f32[N, C=6]", "reshape[N, 4, -1](x)",
     "CS0314 `reshape` of f32[N, C=6], which has 6 * N elements, to 4 * N; sizes must multiply to the number of elements; 0 sizes"),
    ("x: f32[N, C=6]", "reshape[N, A=2, A=3](x)",
     "CS0312 the result of `reshape` would have two axes A; use another name for the new axis; None sizes"),
    ("x: f32[N, C=6]", "squeeze[over=C](x)",
     "CS0317 `squeeze` drops axes of size 1, but axis C=6 of f32[N, C=6] is not; reduce it (`mean`, `select`, ...); 0 over"),
    ("x: f32[N, T, 1]", "squeeze[over=(2, T)](x)",
     "CS0317 `squeeze` drops axes of size 1, but axis T of f32[N, T, 1] is not; reduce it (`mean`, `select`, ...); 0 over"),
    ("x: f32[N, C=6]", "unsqueeze[3](x)",
     "CS0303 `unsqueeze` has no place 3 among 3 axes; count axes of the result; None axes"),
    ("x: f32[N, C=6]", "unsqueeze[-4](x)",
     "CS0303 `unsqueeze` has no place -4 among 3 axes; count axes of the result; None axes"),
    ("x: f32[N, C=6]", "unsqueeze[(1, -3)](x)",
     "CS0312 `axes` of `unsqueeze` has an axis twice; ; None axes"),
    ("x: f32[N, C=6]", "permute[1](x)",
     "CS0312 `permute` needs all 2 axes of f32[N, C=6]; give each axis once, in the order wanted; 0 axes"),
    ("x: f32[N, C=6]", "permute[(1, 1)](x)",
     "CS0312 `permute` needs all 2 axes of f32[N, C=6]; give each axis once, in the order wanted; 0 axes"),
    ("x: f32[N, C=6]", "permute[(1, 2)](x)",
     "CS0303 `permute` has no axis 2; the value is f32[N, C=6]; 0 axes"),
    ("x: f32[N, C=6]", "expand[C=2](x)",
     "CS0312 the result of `expand` would have two axes C; use another name for the new axis; None sizes"),
    ("x: f32[N, C=6]", "tile[0](x)",
     "CS0310 `count` of `tile` is 0; it must be at least 1; None count"),
    ("x: f32[N, C=6]", "repeat_interleave[0](x)",
     "CS0310 `count` of `repeat_interleave` is 0; it must be at least 1; None count"),
    ("x: f32[C=9, H=3]", "pixel_shuffle[3](x)",
     "CS0316 `pixel_shuffle` takes [..., C, H, W], not f32[C=9, H=3]; ; 0 None"),
    ("x: f32[C=9, H=3, W=3]", "pixel_shuffle[0](x)",
     "CS0310 `factor` of `pixel_shuffle` is 0; it must be at least 1; None factor"),
    ("x: f32[C=6, H=3, W=3]", "pixel_shuffle[3](x)",
     "CS0314 `pixel_shuffle` needs axis C=6 of f32[C=6, H=3, W=3] to be a multiple of 9; ; 0 None"),
    ("x: f32[C=9, H=4, W=3]", "space_to_depth[3](x)",
     "CS0314 `space_to_depth` needs axis H=4 of f32[C=9, H=4, W=3] to be a multiple of 3; ; 0 None"),
    ("x: f32[C=9, H=3, W=T]", "space_to_depth[3](x)",
     "CS0314 `space_to_depth` needs axis W of f32[C=9, H=3, W] to be a multiple of 3; ; 0 None"),
]  # fmt: skip


@pytest.mark.parametrize(("inputs", "call", "wanted"), WRONG, ids=[f"{call}-{inputs}" for inputs, call, _ in WRONG])
def test_calls_are_refused(inputs: str, call: str, wanted: str) -> None:
    code, message, help, operand, static = refused(lambda: case(inputs, call))
    assert f"{code} {message}; {help}; {operand} {static}" == wanted
