"""Be one rank of a distributed test: `python ranks.py RANK WORLD DIRECTORY JOB...` writes DIRECTORY/RANK.npz."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[2]))

N_ROWS = {"even": (4, 4), "uneven": (5, 3), "one_empty": (8, 0), "all_empty": (0, 0)}


def vectors(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(n, 6, generator=generator, dtype=torch.float64), dim=1)


def rows(values: torch.Tensor, case: str, rank: int) -> torch.Tensor:
    start = sum(N_ROWS[case][:rank])
    return values[start : start + N_ROWS[case][rank]]


def loss(case: str, rank: int) -> dict[str, np.ndarray]:
    """Compute gradients of a shared linear map through the loss of this rank's rows."""
    from matbind.training import distributed
    from matbind.training.loss import info_nce

    linear = torch.nn.Linear(6, 6, bias=False, dtype=torch.float64)
    linear.weight.data = vectors(6, 3)
    n = sum(N_ROWS[case])
    value = info_nce(linear(rows(vectors(n, 1), case, rank)), rows(vectors(n, 2), case, rank), torch.tensor(3.0))
    value.backward()
    distributed.average_gradients(linear.parameters())
    return {"loss": value.detach().numpy(), "grad": linear.weight.grad.numpy()}


def gather(case: str, rank: int) -> dict[str, np.ndarray]:
    """Gather all rows, and compute the gradient of their weighted sum, which differs from rank to rank."""
    from matbind.training.distributed import gather_rows

    local = rows(torch.arange(2.0 * sum(N_ROWS[case])).view(-1, 2), case, rank).clone().requires_grad_()
    gathered, offset = gather_rows(local)
    (gathered * (rank + 1) * torch.arange(1.0, len(gathered) + 1)[:, None]).sum().backward()
    return {"rows": gathered.detach().numpy(), "offset": np.array(offset), "grad": local.grad.numpy()}


def broadcast(_: str, rank: int) -> dict[str, np.ndarray]:
    """Broadcast the parameters of rank 0."""
    from matbind.training.distributed import broadcast_parameters, world_size

    linear = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(linear.weight, rank + 5.0)
    broadcast_parameters(linear)
    return {"weight": linear.weight.detach().numpy(), "world": np.array(world_size())}


def train(features: str, rank: int) -> dict[str, np.ndarray]:
    """Compute gradients of this rank's share of the first batch, and weights after an epoch."""
    from tests.factories import first_gradients, quiet_trainer

    trainer = quiet_trainer("crystal+dos+text", {"training.batch_size": 8}, features=Path(features))
    gradients = {f"grad.{name}": value for name, value in first_gradients(trainer).items()}
    trainer._train_epoch()
    return gradients | {name: value.numpy() for name, value in trainer.model.state_dict().items()}


def main() -> None:
    rank, world, directory = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{directory.resolve()}/rendezvous", rank=rank, world_size=world)
    jobs = {"loss": loss, "gather": gather, "broadcast": broadcast, "train": train}
    results = {}
    for job in sys.argv[4:]:
        name, argument = job.split(":", maxsplit=1)
        results |= {f"{job}/{key}": value for key, value in jobs[name](argument, rank).items()}
    np.savez(directory / f"{rank}.npz", **results)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
