"""Normalisation of features by what the training data has."""

import torch


def standardize(frames, mean, std):
    """Frames ``[frames, features]`` with mean 0 and deviation 1."""
    return (frames - mean) / usable(std)


def usable(std):
    """Deviations to divide by: what never changes must not be blown up."""
    return torch.where(std > 1e-5, std, torch.ones_like(std))


class GlobalNormalization(torch.nn.Module):
    """Mean and variance normalisation with the statistics of training data.

    Arguments
    ---------
    size : int
        Number of features.

    Example
    -------
    >>> normalize = GlobalNormalization(2)
    >>> normalize.set_statistics(
    ...     torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0])
    ... )
    >>> normalize(torch.tensor([[3.0, 2.0]]))
    tensor([[1., 0.]])
    """

    def __init__(self, size):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def set_statistics(self, mean, std):
        """Sets what is known of the training data.

        Arguments
        ---------
        mean, std : torch.Tensor
            Mean and standard deviation, each of shape ``[features]``.
        """
        self.mean.copy_(mean)
        self.std.copy_(usable(std))

    def forward(self, frames):
        """Normalises frames.

        Arguments
        ---------
        frames : torch.Tensor
            Shape ``[frames, features]``.

        Returns
        -------
        torch.Tensor
            The same shape.
        """
        return (frames - self.mean) / self.std


class NoNormalization(torch.nn.Module):
    """Frames as they are, for a front end that normalises them itself.

    Example
    -------
    >>> NoNormalization()(torch.tensor([[3.0]]))
    tensor([[3.]])
    """

    def set_statistics(self, mean, std):
        """Nothing depends on the training data.

        Arguments
        ---------
        mean, std : torch.Tensor
            Not used.
        """

    def forward(self, frames):
        """Returns what it is given.

        Arguments
        ---------
        frames : torch.Tensor
            Shape ``[frames, features]``.

        Returns
        -------
        torch.Tensor
            The same frames.
        """
        return frames
