"""Operations that draw random numbers: in training only, so at inference each is a plain function."""

from __future__ import annotations

from cogseedc.ir.nodes import Attrs
from cogseedc.ir.opspec import Example, Kind, Operand, OpSpec, Parameter, Resolution, Site
from cogseedc.ir.types import Dtype
from cogseedc.ops.neural import NARROW, array, floating
from cogseedc.ops.rules import flow_aligned, number, text
from cogseedc.ops.spelling import onnx_arg, ref_arg, torch_arg

GROUP = "stochastic"


def _rule(site: Site) -> Resolution:
    return Resolution(Attrs.of(p=number(site, "p", 0.0, 1.0)), (floating(site, 0),))


def _noisy(site: Site) -> Resolution:
    noise = text(site, "noise", ("gumbel", "logistic", "normal"))
    return Resolution(Attrs.of(noise=noise), (floating(site, 0).with_dtype(Dtype.F32),))


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
    OpSpec(
        name="perturb",
        summary="in training x with standard noise, `gumbel`, `logistic` or `normal`, drawn for each element; else x",
        operands=(Operand("x"),),
        parameters=(Parameter("noise", Kind.STR, "gumbel"),),
        rule=_noisy,
        flow=flow_aligned,
        reference=lambda c: ref_arg(c, 0, Dtype.F32),
        torch=lambda c: (
            f'{c.support("perturb")}({torch_arg(c, 0, Dtype.F32)}, "{c.attrs.text("noise")}", self.training)'
        ),
        onnx=lambda c: c.node("Identity", [onnx_arg(c, 0, Dtype.F32)]),
        examples=(Example("x: f32[N, E=6]", "perturb(x)"), Example("x: f32[N]", 'perturb[noise="logistic"](x)')),
        training=True,
        source="arXiv:1611.01144",
        group=GROUP,
    ),
)
