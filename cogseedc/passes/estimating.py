"""What each estimator makes of one gate: a perturbed decision, a training value, a log-probability.

`gumbel`: Jang et al., arXiv 1611.01144, and Maddison et al., arXiv 1611.00712 (binary: a logistic variable, hard
forward); k of n: Kool et al., arXiv 1903.06059, relaxed as in Xie and Ermon, arXiv 1901.10517. `straight_through`:
Bengio et al., arXiv 1308.3432. `reinforce`: Williams 1992.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cogseedc.ir import Dtype, Estimator, Gate, GateKind, Loss, NodeId, Value
from cogseedc.ops import scores
from cogseedc.ops.scores import Basis, Ranking
from cogseedc.passes.mirroring import Beside, Mirror
from cogseedc.passes.rewrite import feed_port, without_estimator

DRAWS = frozenset(("gumbel", "reinforce"))
"""Estimators that decide by perturbed scores."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """A k-of-n choice as it is made in training: its relaxed value, or the log-probability of each choice."""

    soft: Value | None
    logp: Value | None


def estimate(mirror: Mirror, id: NodeId, gate: Gate, ranked: dict[NodeId, Estimated]) -> bool:
    """Lowers one gate in place; False where it only combines other gates."""
    assert gate.estimator is not None
    operands = mirror.graph.feeds(id)
    decided = operands[0]
    assert decided is not None
    if scores.basis(mirror.graph, decided, gate.kind) is not Basis.SCORES:
        without_estimator(mirror.graph, id, gate)
        return False
    if gate.kind is GateKind.MANY:
        top = scores.top_of(mirror.graph, decided)
        assert top is not None
        _put(mirror, id, gate, Value(id), ranked[top[0]])
    elif gate.kind is GateKind.ONE:
        _one(mirror, id, gate, decided)
    elif (found := scores.in_top_of(mirror.graph, decided)) is not None:
        _in_top(mirror, id, gate, found)
    else:
        _bool(mirror, id, gate, decided)
    without_estimator(mirror.graph, id, gate)
    return True


def rank(mirror: Mirror, id: NodeId, ranked: dict[NodeId, Estimated]) -> None:
    """Has a k-of-n gate choose by perturbed scores, where it is chosen; before anything reads the choice."""
    gate, decided = mirror.graph[id], mirror.graph.feeds(id)[0]
    assert isinstance(gate, Gate)
    assert gate.estimator is not None
    assert decided is not None
    if gate.kind is not GateKind.MANY:
        return
    found = scores.top_of(mirror.graph, decided)
    if found is None or found[0] in ranked:
        return
    top, mask = found
    make = mirror.beside(top, "scores")
    given = scores.ranking(make, top)
    perturbed = _perturbed(make, gate.estimator, given.scores, "gumbel")
    if perturbed != given.scores:
        feed_port(mirror.graph, top, 0, perturbed)
    ranked[top] = _ranked(mirror, make, id, gate.estimator, given, perturbed, Value(top))
    _put(mirror, mask, gate, Value(mask), ranked[top])


def _ranked(
    mirror: Mirror, make: Beside, id: NodeId, via: Estimator, given: Ranking, perturbed: Value, indices: Value
) -> Estimated:
    if via.name == "reinforce":
        return Estimated(None, scores.turns(make, given, indices))
    relaxed = make.call("soft_top", _cooled(mirror, make, id, via, perturbed), k=given.k, over=given.over)
    return Estimated(given.last(make, relaxed), None)


def _put(mirror: Mirror, id: NodeId, gate: Gate, mask: Value, found: Estimated) -> None:
    """The training value of the mask of a k-of-n choice, at the gate or where the choice is made."""
    assert gate.estimator is not None
    make = mirror.beside(id, "value")
    if found.soft is not None:
        _finish(mirror, make, gate.estimator, mask, mask, found.soft)
        return
    assert found.logp is not None
    last = mirror.graph.type(found.logp).rank - 1
    _drawn(mirror, make, mask, mask, make.call("sum", found.logp, over=last, keep=True))
    if isinstance(mirror.graph[id], Gate):
        _log(mirror, make, id, gate, make.call("sum", found.logp, over=last))


# Kinds of decisions


def _bool(mirror: Mirror, id: NodeId, gate: Gate, decided: Value) -> None:
    via = gate.estimator
    assert via is not None
    make, decision = mirror.beside(id, "score"), Value(id)
    score = scores.yes_or_no(make, decided, logits=via.name != "straight_through")
    perturbed = _perturbed(make, via, score.value, "logistic")
    if perturbed != score.value:
        feed_port(mirror.graph, id, 0, make.call("gt" if score.strict else "ge", perturbed, make.number(0.0)))
    make = mirror.beside(id, "value")
    if via.name == "reinforce":
        logp = scores.likelihood(make, gate.kind, score.value, decision)
        _drawn(mirror, make, decision, decision, logp)
        _log(mirror, make, id, gate, logp)
    elif via.name == "straight_through":
        _finish(mirror, make, via, decision, decision, score.value)
    else:
        soft = make.call("sigmoid", _cooled(mirror, make, id, via, perturbed))
        _finish(mirror, make, via, decision, decision, soft)


def _one(mirror: Mirror, id: NodeId, gate: Gate, decided: Value) -> None:
    via = gate.estimator
    assert via is not None
    make, decision = mirror.beside(id, "scores"), Value(id)
    logits = scores.classes(make, decided)
    last = mirror.graph.type(logits).rank - 1
    perturbed = _perturbed(make, via, logits, "gumbel")
    if perturbed != logits:
        feed_port(mirror.graph, id, 0, make.call("argmax", perturbed, over=last))
    make = mirror.beside(id, "value")
    hard = decision if via.name == "soft" else make.call("one_hot", decision, classes=gate.arms)
    if via.name == "reinforce":
        logp = scores.likelihood(make, gate.kind, logits, decision)
        _drawn(mirror, make, decision, hard, make.call("unsqueeze", logp, axes=last))
        _log(mirror, make, id, gate, logp)
    else:
        soft = make.call("softmax", _cooled(mirror, make, id, via, perturbed), over=last)
        _finish(mirror, make, via, decision, hard, soft)


def _in_top(mirror: Mirror, id: NodeId, gate: Gate, found: scores.Source) -> None:
    via = gate.estimator
    assert via is not None
    make, decision = mirror.beside(id, "scores"), Value(id)
    given = scores.ranking(make, found.value.node, found.layout)
    perturbed = _perturbed(make, via, given.scores, "gumbel")
    if perturbed != given.scores:
        chosen = make.call("in_top", perturbed, k=given.k, over=given.over)
        feed_port(mirror.graph, id, 0, given.placed(make, chosen))
    if via.name == "reinforce":
        terms = scores.turns(make, given, make.call("top_indices", perturbed, k=given.k, over=given.over))
        terms = given.back(make, terms)
        none = make.call("mul", make.call("detach", terms), make.number(0.0))
        whole = make.call("add", none, make.call("sum", terms, over=given.over, keep=True))  # for each of the classes
        _drawn(mirror, make, decision, decision, given.placed(make, whole))
        _log(mirror, make, id, gate, given.placed(make, terms))
    else:
        relaxed = make.call("soft_top", _cooled(mirror, make, id, via, perturbed), k=given.k, over=given.over)
        _finish(mirror, mirror.beside(id, "value"), via, decision, decision, given.placed(make, relaxed))


# Their parts


def _perturbed(make: Beside, via: Estimator, score: Value, noise: str) -> Value:
    return make.call("perturb", score, noise=noise) if via.name in DRAWS else score


def _cooled(mirror: Mirror, make: Beside, id: NodeId, via: Estimator, value: Value) -> Value:
    """A value divided by the temperature."""
    given = _argument(mirror, id, via, "temperature")
    if isinstance(given, Value):
        return make.call("div", value, given)
    return value if given in (None, 1.0) else make.call("div", value, make.number(given or 1.0))


def _argument(mirror: Mirror, id: NodeId, via: Estimator, name: str) -> Value | float | None:
    if name in via.inputs:
        return mirror.graph.feeds(id)[via.inputs.index(name) - len(via.inputs)]
    return dict(via.arguments).get(name)


def _finish(mirror: Mirror, make: Beside, via: Estimator, decision: Value, hard: Value, soft: Value) -> None:
    """Forward the decision and backward the soft value, or the soft value both ways."""
    if via.name == "soft":
        mirror.put(decision, soft, soft=True)
    else:
        mirror.put(decision, make.call("straight_through", hard, soft))


def _drawn(mirror: Mirror, make: Beside, decision: Value, hard: Value, logp: Value) -> None:
    """In arithmetic a draw has the gradient of the score function, d * grad log p; joins take it as it is."""
    number = hard if mirror.graph.type(hard).dtype is Dtype.F32 else make.call("cast", hard, dtype=Dtype.F32)
    scored = make.call("mul", make.call("detach", number), logp)
    mirror.put(decision, make.call("straight_through", hard, scored), share=False)


def _log(mirror: Mirror, make: Beside, id: NodeId, gate: Gate, logp: Value) -> None:
    """Gives the log-probability of a gate's draws out, with the baseline of its reward."""
    assert gate.estimator is not None
    given = _argument(mirror, id, gate.estimator, "baseline")
    baseline = given if isinstance(given, Value) else make.number(given or 0.0)
    axes = gate.type.axes[:-1] if gate.kind is GateKind.MANY else gate.type.axes
    type_ = mirror.graph.type(logp).with_axes(axes)
    node = Loss(gate.name, type_, replace(gate.origin, path=f"{gate.origin.path}.logp"), drawn=True)
    made = mirror.graph.add(node, (logp, baseline))
    for edge in mirror.controls[id]:
        mirror.graph.connect(replace(edge, dst=made))
