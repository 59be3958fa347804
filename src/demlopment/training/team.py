"""The processes that fit one network together, as torchrun starts them; one alone is a team too. Knows nothing of the fit.

    torchrun --standalone --nproc-per-node 2 -m demlopment train

The first process leads: it reads the rows, tells them to the others, measures and keeps what came of it. All of them hold the
same network. Of each batch everyone takes a part, and the gradients and the statistics of the normalisation are those of all.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from demlopment.errors import NotReadyError
from demlopment.training.network import Network
from demlopment.training.norm import WholeBatchNorm

# Gloo's threads outlive their group where a network was distributed, and let go of the last tensors a moment after they are
# told. While the interpreter ends that aborts the process, with all of its work done (pytorch/pytorch#179291).
SETTLE_SECONDS = 0.2


@dataclass(frozen=True)
class Team:
    """How many processes there are, and which of them this is."""

    size: int = 1
    rank: int = 0

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def part(self, batch: Tensor) -> Tensor:
        """The rows of a batch that are this process's; together the parts are the batch, in its order."""
        return batch if self.size == 1 else batch.tensor_split(self.size)[self.rank]

    def weight(self, part: int, batch: int) -> float:
        """What the mean loss of a part counts, so that the mean over the processes is the mean over the batch."""
        return part * self.size / batch

    def joined(self, network: Network) -> nn.Module:
        """The network as this process learns with it: the same weights, with gradients and statistics of all parts."""
        if self.size == 1:
            return network
        for place, layer in enumerate(network.body):
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                network.body[place] = WholeBatchNorm(layer)
        # The statistics are equal everywhere as they are.
        return DistributedDataParallel(network, forward_sync_buffers=False)

    def mean(self, values: Sequence[float]) -> float:
        """Of all values of all processes, each of which has as many."""
        whole = np.array(values)
        if self.size > 1:
            dist.all_reduce(torch.from_numpy(whole))
        return float(np.mean(whole)) / self.size

    def tell(self, said: object) -> None:
        """Say something to all others, who wait for it."""
        if self.size > 1:
            dist.broadcast_object_list([said])

    def hear(self) -> Any:
        """What the leading process says next."""
        heard: list[Any] = [None]
        dist.broadcast_object_list(heard)
        return heard[0]


ALONE = Team()


@contextmanager
def gathered() -> Iterator[Team]:
    """This process and those that torchrun started with it; this one alone if it was started by itself.

    Raises NotReadyError in each process that is left when one of them ends in the middle.
    """
    if not dist.is_torchelastic_launched():
        yield ALONE
        return
    accelerated = torch.cuda.is_available()
    if accelerated:
        torch.cuda.set_device(dist.get_node_local_rank())  # what "cuda" means from here on
    dist.init_process_group("cpu:gloo,cuda:nccl" if accelerated else "gloo")
    team = Team(dist.get_world_size(), dist.get_rank())
    try:
        yield team
        if team.leads:
            team.tell(None)
    finally:
        time.sleep(SETTLE_SECONDS)
        dist.destroy_process_group()


@contextmanager
def together(team: Team) -> Iterator[None]:
    """Raise NotReadyError where a process of the team is gone: the libraries below have no error of their own for it."""
    try:
        yield
    except RuntimeError as error:
        if team.size == 1:
            raise
        # Gloo's begins with a file of its own and goes on with advice.
        reason = re.sub(r"^\[\S+\] ", "", str(error)).split(". ")[0].strip(".\n") or type(error).__name__
        raise NotReadyError(
            f"The fit of {team.size} processes came to an end in process {team.rank}: {reason}.",
            "See what the others say, and run the same command again: it goes on from the last epoch that was kept.",
        ) from error
