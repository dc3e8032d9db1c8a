"""Arguments of calls: what each kind of parameter takes, how they find their parameters, and what is said of those that do not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from cogseedc.ir import Attrs, AxisArg, Dtype, Kind, Operand, OpSpec, Parameter, Resolution, Site, Size, Static
from cogseedc.ops import bind, resolve, signature
from cogseedc.ops.signature import show
from tests.laws.asking import Refused, T, refused, typed

K, K3 = AxisArg("K"), AxisArg("K", Size.of(3))
X = Operand("x")


def spec(*parameters: Parameter, operands: tuple[Operand, ...] = (X,)) -> OpSpec:
    """An operation with such arguments; its rule answers what it was asked."""

    def rule(site: Site) -> Resolution:
        return Resolution(Attrs.of(**site.axes), tuple(o for o in site.operands if o is not None))

    unused = lambda *_: ()  # noqa: E731
    return OpSpec("toy", "", operands, parameters, rule, unused, unused, unused, unused, ())  # type: ignore[arg-type]


WRONG = "wrong"
KINDS: dict[Kind, list[tuple[Static, object]]] = {
    Kind.SIZE: [
        (5, Size.of(5)), (T, T), (K, K), (("K", 3), K3), (("K", T), AxisArg("K", T)), (True, WRONG), (1.5, WRONG), ("K", WRONG),
        ((3, 3), WRONG), (("K", True), WRONG), (("K", 3, 4), WRONG), (None, WRONG),
    ],
    Kind.INT: [(3, 3), (-1, -1), (Size.of(4), 4), (K3, 3), (K, WRONG), (T, WRONG), (False, WRONG), (1.0, WRONG), ("1", WRONG)],
    Kind.FLOAT: [(1.5, 1.5), (2, 2.0), (K3, 3.0), (T, WRONG), (True, WRONG), ("1", WRONG)],
    Kind.BOOL: [(True, True), (False, False), (1, WRONG), ("true", WRONG)],
    Kind.STR: [("sum", "sum"), (K, WRONG), (1, WRONG)],
    Kind.DTYPE: [(Dtype.I8, Dtype.I8), ("i8", WRONG)],
    Kind.AXIS: [(K, K), (-1, -1), (Size.of(2), 2), (1.5, WRONG), ((K,), WRONG)],
    Kind.AXES: [(K, (K,)), (1, (1,)), ((K, -1), (K, -1)), ((), ()), ((K, "K"), WRONG)],
    Kind.NEW_AXES: [
        (K, (K,)), ("K", (K,)), (("K", 3), (K3,)), (("K", "L"), (K, AxisArg("L"))), ((("K", 3), "L"), (K3, AxisArg("L"))), (3, WRONG),
        ((3,), WRONG),
    ],
    Kind.SIZES: [
        (5, (Size.of(5),)), (("K", 3), (K3,)), ((2, K), (Size.of(2), K)), ((("K", 3), 2), (K3, Size.of(2))), (("K", 3, 4), WRONG),
        ("K", WRONG),
    ],
    Kind.INTS: [(3, 3), ((1, Size.of(2)), (1, 2)), ((1, 1.5), WRONG), (T, WRONG)],
    Kind.NAMED: [(K3, (K3,)), (("K", "L"), (K, AxisArg("L"))), (1, WRONG)],
}  # fmt: skip


@pytest.mark.parametrize("kind", Kind)
def test_kinds(kind: Kind) -> None:
    toy = spec(Parameter("p", kind))
    for value, wanted in KINDS[kind]:
        if wanted is WRONG:
            code, message, *_, static = refused(lambda value=value: bind(toy, (), {"p": value}))
            assert (code, static) == ("CS0309", "p")
            assert message.startswith("`p` of `toy` takes ")
            assert message.endswith(f", not {show(value)}")
        else:
            found = bind(toy, (), {"p": value})["p"]
            assert (found, type(found)) == (wanted, type(wanted))


SIZE, OVER, KEEP = Parameter("size", Kind.SIZE), Parameter("over", Kind.AXIS, None), Parameter("keep", Kind.BOOL, False)
ALL, SIZES = Parameter("all", Kind.SIZES), Parameter("sizes", Kind.NAMED, ())
PLAIN, COLLECTING, NAMING = spec(SIZE, OVER, KEEP), spec(OVER, ALL), spec(OVER, SIZES, KEEP)
FIVE = Size.of(5)


@pytest.mark.parametrize(
    ("toy", "positional", "keywords", "named", "wanted"),
    [
        (PLAIN, (5,), {}, (), (FIVE, None, False)), (PLAIN, (5, K, True), {}, (), (FIVE, K, True)),
        (PLAIN, (K, True), {"size": 5}, (), (FIVE, K, True)), (PLAIN, (5, True), {"over": 1}, (), (FIVE, 1, True)),
        (PLAIN, (), {}, (K3,), (K3, None, False)), (PLAIN, (5,), {}, (K3,), (FIVE, K3, False)), (PLAIN, (5, None), {}, (), (FIVE, None, False)),
        (COLLECTING, (1, 2, K), {}, (K3,), (1, (Size.of(2), K, K3))), (COLLECTING, (1, (2, K)), {}, (), (1, (Size.of(2), K))),
        (COLLECTING, (1, ("K", 3)), {}, (), (1, (K3,))), (COLLECTING, (1, (2, K)), {"over": 0, "all": 5}, (), "CS0308"),
        (COLLECTING, (1, (2, 3), 4), {}, (), "CS0309"), (COLLECTING, (5,), {"over": 0}, (), (0, (FIVE,))),
        (NAMING, (), {}, (), (None, (), False)), (NAMING, (1,), {}, (K3,), (1, (K3,), False)), (NAMING, (1, True), {}, (), (1, (), True)),
        (NAMING, (), {"sizes": K3}, (), (None, (K3,), False)), (NAMING, (), {"sizes": K3}, (K,), (None, (K,), False)),
    ],
)  # fmt: skip
def test_arguments_find_their_parameters(
    toy: OpSpec,
    positional: tuple[Static, ...],
    keywords: Mapping[str, Static],
    named: tuple[AxisArg, ...],
    wanted: object,
) -> None:
    if isinstance(wanted, str):
        assert refused(lambda: bind(toy, positional, keywords, named))[0] == wanted
    else:
        assert tuple(bind(toy, positional, keywords, named).values()) == wanted


LISTED, NUMBERS = spec(Parameter("axes", Kind.AXES)), spec(Parameter("axes", Kind.INTS))
NONE = spec()
TAKES = "it takes at most 3: toy[size, over?, keep=false](x)"


@pytest.mark.parametrize(
    ("toy", "positional", "keywords", "wanted"),
    [
        (PLAIN, (), {"ovr": 1}, ("CS0306", "`toy` has no static parameter `ovr`", "did you mean `over`?", "ovr")),
        (PLAIN, (), {"x": 1}, ("CS0306", "`toy` has no static parameter `x`",
                               "`x` is a value, so it is given in parentheses: toy[size, over?, keep=false](x)", "x")),
        (PLAIN, (), {"q": 1}, ("CS0306", "`toy` has no static parameter `q`", "it takes `size`, `over`, `keep`", "q")),
        (PLAIN, (), {"dim": 1}, ("CS0306", "`toy` has no static parameter `dim`", "it is `over` here", "dim")),
        (PLAIN, (), {"perm": 1}, ("CS0306", "`toy` has no static parameter `perm`", "it takes `size`, `over`, `keep`", "perm")),
        (NONE, (), {"q": 1}, ("CS0306", "`toy` has no static parameter `q`", "it takes no static arguments", "q")),
        (PLAIN, (), {}, ("CS0307", "`toy` needs `size`", "write toy[size, over?, keep=false](x)", "size")),
        (PLAIN, (1, 2, True, 3), {}, ("CS0308", "`toy` has 1 static argument too many, or one is given twice", TAKES, None)),
        (PLAIN, (1, 2, 3), {"size": 1, "over": 0},
         ("CS0308", "`toy` has 2 static arguments too many, or one is given twice", TAKES, None)),
        (LISTED, (K, 1), {}, ("CS0308", "`toy` has 1 static argument too many, or one is given twice",
                              "a list stands in parentheses: `toy[(K, 1)]`", None)),
        (NUMBERS, (1, 2, 3), {}, ("CS0308", "`toy` has 2 static arguments too many, or one is given twice",
                                  "a list stands in parentheses: `toy[(1, 2, 3)]`", None)),
        (spec(SIZE), (1, 2), {}, ("CS0308", "`toy` has 1 static argument too many, or one is given twice",
                                  "it takes at most 1: toy[size](x)", None)),
        (spec(SIZES, KEEP), (True, 2), {}, ("CS0308", "`toy` has 1 static argument too many, or one is given twice",
                                            "it takes at most 1: toy[sizes?, keep=false](x)", None)),
        (spec(Parameter("axes", Kind.AXES), KEEP), (K, True, 1), {},
         ("CS0308", "`toy` has 1 static argument too many, or one is given twice", "it takes at most 2: toy[axes, keep=false](x)", None)),
        (PLAIN, ("K",), {}, ("CS0309", '`size` of `toy` takes a size: an integer, an axis, or `Name=size`, not "K"',
                             "write toy[size, over?, keep=false](x)", "size")),
        (PLAIN, (None,), {}, ("CS0309", "`size` of `toy` takes a size: an integer, an axis, or `Name=size`, not none",
                              "write toy[size, over?, keep=false](x)", "size")),
        (spec(SIZES), (), {"sizes": 1}, ("CS0309", "`sizes` of `toy` takes axes with sizes, not 1",
                                         "write each in the brackets, without `sizes`: `toy[..., A=2]`", "sizes")),
    ],
)  # fmt: skip
def test_arguments_are_refused(
    toy: OpSpec,
    positional: tuple[Static, ...],
    keywords: Mapping[str, Static],
    wanted: tuple[str, str, str, str | None],
) -> None:
    code, message, help, operand, static = refused(lambda: bind(toy, positional, keywords))
    assert (code, message, help, static) == wanted
    assert operand is None


def test_signatures() -> None:
    many = (
        SIZE, Parameter("over", Kind.AXIS, None), Parameter("sizes", Kind.NAMED, ()), Parameter("to", Kind.DTYPE, Dtype.I8),
        KEEP, Parameter("eps", Kind.FLOAT, 0.5), Parameter("places", Kind.INTS, (1, 2)), Parameter("zero", Kind.INT, 0),
    )  # fmt: skip
    operands = X, Operand("y", optional=True), Operand("more", variadic=True)
    wanted = "toy[size, over?, sizes?, to=i8, keep=false, eps=0.5, places=(1, 2), zero=0](x, y?, ...more)"
    assert signature(spec(*many, operands=operands)) == wanted
    assert signature(NONE) == "toy(x)"


def test_values_are_shown() -> None:
    values = True, "a", Dtype.BF16, K, K3, (1,), (1, K), (), None, 1.5, T
    assert " ".join(map(show, values)) == 'true "a" bf16 K K=3 (1,) (1, K) () none 1.5 T'


WEIGHT, MAYBE, MANY = Operand("w", weight=True), Operand("m", optional=True), Operand("more", variadic=True)
F, G = typed("f32[N]"), typed("bool[N]")


def test_operands_are_there() -> None:
    several = spec(operands=(X, WEIGHT, MAYBE))
    for given in ((F,), (F, None, G), (F, G, F)):
        assert resolve(several, given, {}).types == tuple(o for o in given if o is not None)
    assert resolve(spec(operands=(X, MANY)), (F, G, F, G), {}).types == (F, G, F, G)
    assert resolve(spec(operands=()), (), {}, {"K": T}).attrs == Attrs.of(K=T)


@pytest.mark.parametrize(
    ("operands", "given", "wanted"),
    [
        ((X,), (F, F), ("CS0319", "`toy` takes 1 operand, not 2", "write toy(x)", 1, None)),
        ((), (F,), ("CS0319", "`toy` takes 0 operands, not 1", "write toy()", 0, None)),
        ((X, MAYBE), (F, F, F), ("CS0319", "`toy` takes 2 operands, not 3", "write toy(x, m?)", 2, None)),
        ((X, MAYBE, Operand("z")), (F, F), ("CS0301", "`toy` needs the operand `z`", "write toy(x, m?, z)", 2, None)),
        ((X, Operand("z")), (None, F), ("CS0301", "`toy` needs the operand `x`", "write toy(x, z)", 0, None)),
    ],
)
def test_operands_are_refused(operands: tuple[Operand, ...], given: tuple[object, ...], wanted: Refused) -> None:
    assert refused(lambda: resolve(spec(operands=operands), given, {})) == wanted  # type: ignore[arg-type]
