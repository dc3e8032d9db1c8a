"""The generated module in an ordinary PyTorch loop: no trainer, and nothing of cogseedc after it is built.

python examples/plain_loop.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

import cogseedc

SOURCE = Path(__file__).with_name("01_digits.seed")


def main(epochs: int = 3, output: str = "digits.safetensors") -> None:
    """Trains all exits, then writes weights for `cogseedc build --weights`."""
    torch.manual_seed(0)
    module = cogseedc.build(SOURCE)

    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 16
    digits = torch.tensor(bunch.target)

    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    module.train()  # computes every exit, for every image
    for epoch in range(epochs):
        for rows in torch.randperm(len(digits)).split(64):
            result = module(images[rows], tau=1.0)  # at threshold 1 nobody leaves: `logits` are those of the end
            heads = [*(exit.logits for exit in result.exits.values()), result.logits]
            loss = torch.stack([cross_entropy(head, digits[rows]) for head in heads]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")

    module.eval()  # computes only what is needed
    with torch.no_grad():
        result = module(images, trace=True)
    left = {name: f"{(taken == 1).float().mean():.0%}" for name, taken in result.trace.items()}
    print(f"right: {(result.logits.argmax(-1) == digits).float().mean():.1%}, left early: {left}")
    save_file(module.state_dict(), output)


if __name__ == "__main__":
    main()
