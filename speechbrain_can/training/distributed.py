"""Data-parallel training in which each process gets a share of every batch.

SpeechBrain 1.1.2 distributes other utterances to several processes than to one,
repeats some to equalize their number, and averages the means of the processes,
which gives the utterances of a short last batch more weight. Here, processes
share the batches of a single process and all utterances have equal weight. The
loss equals that of one process with ``batch_size`` times the number of processes.
"""

from typing import Any

import torch
from torch.utils.data import BatchSampler, Sampler


class SharedBatches(Sampler):
    """Batch sampler that yields one process's share of each batch.

    Arguments
    ---------
    sampler : torch.utils.data.Sampler
        Sampler of utterances; all processes use the order of the first process.
    batch_size : int
        Utterances per process.
    rank : int
        Index of this process.
    processes : int
        Number of processes.

    Example
    -------
    >>> for rank in (0, 1):
    ...     print(list(SharedBatches(range(5), 2, rank, processes=2)))
    [[0, 2], [4]]
    [[1, 3], [4]]
    >>> SharedBatches(range(5), 2, rank=1, processes=2).counts(1)
    (0, 1)
    """

    def __init__(
        self, sampler: Sampler, batch_size: int, rank: int, processes: int
    ):
        self.sampler = sampler
        self.together = batch_size * processes
        self.rank, self.processes = rank, processes

    def __iter__(self):
        order = from_first_process(list(self.sampler))
        for batch in BatchSampler(order, self.together, drop_last=False):
            # All processes take the same number of steps. One without a share
            # computes an utterance of another process, with weight 0.
            yield batch[self.rank :: self.processes] or batch[:1]

    def __len__(self):
        return -(-len(self.sampler) // self.together)

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on to the sampler, if it has such a method."""
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def counts(self, step: int) -> tuple[int, int]:
        """Return the number of utterances of this process and of all in a step."""
        total = min(self.together, len(self.sampler) - step * self.together)
        return len(range(self.rank, total, self.processes)), total


def from_first_process(value: Any) -> Any:
    """Return the value of the first process in all processes."""
    if torch.distributed.is_initialized():
        values = [value]
        torch.distributed.broadcast_object_list(values)
        return values[0]
    return value


def mean_over_processes(total: torch.Tensor, count: int) -> float:
    """Return a mean over all processes, from the sum and the number of summands of each."""
    found = torch.stack([total.float(), torch.tensor(count).to(total)])
    torch.distributed.all_reduce(found)
    return (found[0] / found[1]).item()
