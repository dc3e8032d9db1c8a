"""Writes programs of any size, in the shapes that stress different parts of the compiler. Same arguments, same text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping


def chain(statements: int) -> str:
    """One trunk of convolutions and activations that an exit leaves every 200 statements."""

    def body() -> Iterator[str]:
        value = "image"
        for i in range(statements - 1):
            if i % 200 == 199:
                yield f"exit e{i} {{ logits = {value} |> Head[4] }} when confidence({value} |> Head[4]) >= tau"
            else:
                call = "relu" if i % 2 else "conv2d[4, kernel=3, padding=1]"
                yield f"v{i} = {call}({value})"
                value = f"v{i}"
        yield f"logits = {value} |> Head[4]"

    head = (
        "seed Head[classes: int] {\n    in  x: f32[N, C, H, W]\n    out logits: f32[N, classes]\n"
        "    logits = x |> mean[over=(H, W)] |> linear[classes]\n}\n"
    )
    ports = ("in  image: f32[N, C=4, H=8, W=8]", "out logits: f32[N, K=4]", "knob tau = 0.9 in 0 .. 1")
    return _program(ports, body(), head)


def mixed(statements: int) -> str:
    """Short arithmetic over values far and near, with a gate and a choice every ten statements."""

    def body() -> Iterator[str]:
        names = ["x"]
        for i in range(statements - 1):
            last, far = names[-1], names[i * 7919 % len(names)]
            match i % 10:
                case 0 | 5:
                    yield f"v{i} = linear[8]({last})"
                case 3:
                    yield f"gate g{i} over N = linear[1]({last}) > 0"
                    continue
                case 4:
                    yield f"v{i} = when g{i - 1} {{ relu(linear[8]({last})) }} else {{ {far} }}"
                case 1 | 6:
                    yield f"v{i} = {last} + {far}"
                case 2 | 7:
                    yield f"v{i} = {last} * sigmoid({far})"
                case 8:
                    yield f"v{i} = relu({last})"
                case _:
                    yield f"v{i} = ({last} - {far}) / 2"
            names.append(f"v{i}")
        yield f"y = {names[-1]}"

    return _program(("in  x: f32[N, D=8]", "out y: f32[N, D]"), body())


def seeds(statements: int) -> str:
    """Calls of small seeds: three statements elaborated for each one that is written."""

    def body() -> Iterator[str]:
        value = "x"
        for i in range(statements - 1):
            yield f"v{i} = {value} |> {'Mix' if i % 3 else 'Norm'}[{4 + i % 2 * 4}]"
            value = f"v{i}"
        yield f"y = {value} |> linear[8]"

    library = (
        "seed Mix[width: int] {\n    in  x: f32[N, D]\n    out y: f32[N, width]\n"
        "    h = x |> linear[width]\n    y = h * sigmoid(h)\n}\n"
        "seed Norm[width: int] {\n    in  x: f32[N, D]\n    out y: f32[N, width]\n"
        "    h = layer_norm(x)\n    y = h |> linear[width] |> relu\n}\n"
    )
    return _program(("in  x: f32[N, D=8]", "out y: f32[N, K=8]"), body(), library)


def exits(count: int) -> str:
    """`count` exits in a row, a layer before each."""

    def body() -> Iterator[str]:
        value = "x"
        for i in range(count):
            yield f"v{i} = relu(linear[8]({value}))"
            value = f"v{i}"
            yield f"exit e{i} {{ y = linear[4]({value}) }} when confidence(y) >= tau"
        yield f"y = linear[4]({value})"

    return _program(("in  x: f32[N, D=8]", "out y: f32[N, K=4]", "knob tau = 0.9 in 0 .. 1"), body())


def nested(depth: int) -> str:
    """`depth` choices, each inside the arm of the one before."""
    lines = [f"gate g{i} over N = linear[1](x) > 0" for i in range(depth)]
    lines += [f"v{i} = when g{i} {{ h{i} = relu(linear[8]({f'h{i - 1}' if i else 'x'}))" for i in range(depth)]
    lines += [f"yield h{depth - 1}"]
    for i in reversed(range(depth)):
        lines += [f"}} else {{ linear[8](x) * {i + 1}.0 }}", f"yield relu(v{i})" if i else "y = v0"]
    return _program(("in  x: f32[N, D=8]", "out y: f32[N, D]"), iter(lines))


SHAPES: Mapping[str, Callable[[int], str]] = {"chain": chain, "mixed": mixed, "seeds": seeds}
"""The programs that grow with their number of statements."""


def _program(ports: tuple[str, ...], body: Iterator[str], before: str = "") -> str:
    lines = "".join(f"    {line}\n" for line in (*ports, *body))
    return f"{before}export seed Generated {{\n{lines}}}\n"
