"""The generated module in DistributedDataParallel, on two processes of one machine, and a check of its gradients.

    torchrun --nproc-per-node 2 examples/distributed.py

Every process computes its share of the batch; after `backward` all hold the gradient of the whole batch. The program
has no batch norm, whose statistics would be those of a share.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import cogseedc

SOURCE = """\
export seed Net {
    in  x: f32[N, D=8]
    out logits: f32[N, K=3]
    knob tau = 0.9 in 0 .. 1
    a = x |> linear[16] |> relu
    exit early { logits = a |> linear[K] } when confidence(logits) >= tau
    logits = a |> linear[64] |> relu |> linear[K]
}
"""


def loss_of(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    result = module(x, tau=1.0)
    return cross_entropy(result.logits, y) + cross_entropy(result.exits["early"].logits, y)


def gradients(module: torch.nn.Module) -> list[torch.Tensor]:
    return [weight.grad for weight in module.parameters() if weight.grad is not None]


def work(steps: int, batch: int) -> str:
    """Trains a share of the batch; what there is to say of it."""
    rank, world = dist.get_rank(), dist.get_world_size()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, 8, generator=generator)
    y = (x[:, :3] + 0.1 * torch.randn(batch, 3, generator=generator)).argmax(-1)

    alone, module = cogseedc.build(SOURCE), DistributedDataParallel(cogseedc.build(SOURCE))
    loss_of(alone, x, y).backward()
    loss_of(module, x[rank::world], y[rank::world]).backward()
    pairs = zip(gradients(alone), gradients(module), strict=True)
    difference = max(float((a - b).abs().max()) for a, b in pairs)

    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(module, x[rank::world], y[rank::world])
        loss.backward()
        optimizer.step()
    return f"{world} processes; gradients differ from those of one by {difference:.1e}; loss {loss.item():.3f}"


def main(steps: int = 20, batch: int = 32) -> None:
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    told = work(steps, batch)  # what holds the processes together ends with it: module, gradients, graph
    if dist.get_rank() == 0:
        print(told)
    dist.barrier()  # nobody leaves while another one still talks
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
