"""One training over several processes, each with its part of every batch.

SpeechBrain 1.1.2 deals other utterances to several processes than to one, repeats
some so that all have as many, and takes the mean of their means, in which
utterances of a short last batch count for more. Here the batches are those of one
process, cut up, and every utterance counts the same: the loss is that of one
process with as many times the ``batch_size``."""

import torch
from torch.utils.data import BatchSampler, Sampler


class SharedBatches(Sampler):
    """The part of one process of the batches of a sampler: a ``batch_sampler``.

    Arguments
    ---------
    sampler : torch.utils.data.Sampler
        What it draws in the first process is what all read.
    batch_size : int
        Utterances of one process.
    rank : int
        The number of this process.
    processes : int
        How many there are.

    Example
    -------
    >>> for rank in (0, 1):
    ...     print(list(SharedBatches(range(5), 2, rank, processes=2)))
    [[0, 2], [4]]
    [[1, 3], [4]]
    >>> SharedBatches(range(5), 2, rank=1, processes=2).counts(1)
    (0, 1)
    """

    def __init__(self, sampler, batch_size, rank, processes):
        self.sampler = sampler
        self.together = batch_size * processes
        self.rank, self.processes = rank, processes

    def __iter__(self):
        order = from_first_process(list(self.sampler))
        for batch in BatchSampler(order, self.together, drop_last=False):
            # Every process takes as many steps: one for which nothing is left
            # reads an utterance of another, which counts for nothing.
            yield batch[self.rank :: self.processes] or batch[:1]

    def __len__(self):
        return -(-len(self.sampler) // self.together)

    def set_epoch(self, epoch):
        """Tells the sampler, where it wants to know."""
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def counts(self, step):
        """Utterances of this process, and of all, in a step from 0 on."""
        total = min(self.together, len(self.sampler) - step * self.together)
        return len(range(self.rank, total, self.processes)), total


def from_first_process(value):
    """What the first process has: processes that differ wait for each other."""
    if torch.distributed.is_initialized():
        values = [value]
        torch.distributed.broadcast_object_list(values)
        return values[0]
    return value


def mean_over_processes(total, count):
    """The mean over what all processes have seen.

    Arguments
    ---------
    total : torch.Tensor
        The sum in this process, a scalar.
    count : int
        Of how many.

    Returns
    -------
    float
        The same in every process.
    """
    found = torch.stack([total.float(), torch.tensor(count).to(total)])
    torch.distributed.all_reduce(found)
    return (found[0] / found[1]).item()
