"""Operations that draw random numbers: in training only, so at inference each is a plain function."""

from __future__ import annotations

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import Example, Kind, Operand, OpSpec, Parameter, Resolution, Site
from cogseedc.ops.neural import NARROW, array, floating
from cogseedc.ops.rules import flow_aligned, number

GROUP = "stochastic"


def _rule(site: Site) -> Resolution:
    return Resolution(Attrs.of(p=number(site, "p", 0.0, 1.0)), (floating(site, 0),))


OPS: tuple[OpSpec, ...] = (
    OpSpec(
        name="dropout",
        summary="in training sets elements to zero with probability p and scales the others by 1 / (1 - p); else x",
        operands=(Operand("x"),),
        parameters=(Parameter("p", Kind.FLOAT, 0.5),),
        rule=_rule,
        flow=flow_aligned,
        reference=lambda c: array(c, 0),
        torch=lambda c: f"F.dropout({c.args[0]}, {float(c.attrs.number('p'))!r}, self.training)",
        onnx=lambda c: c.node("Identity", [c.args[0]]),
        examples=(Example("x: f32[N, D=6]", "dropout[0.2](x)"), Example("x: f32[N, C=3, H, W]", "dropout(x)")),
        widths=NARROW,
        training=True,
        source="arXiv:1207.0580",
        group=GROUP,
    ),
)
