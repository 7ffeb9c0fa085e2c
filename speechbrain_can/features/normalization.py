"""Feature normalization with statistics of the training data."""

import torch


def standardize(
    frames: torch.Tensor, mean: torch.Tensor, std: torch.Tensor
) -> torch.Tensor:
    """Scale frames ``[frames, features]`` to mean 0 and standard deviation 1."""
    return (frames - mean) / usable(std)


def usable(std: torch.Tensor) -> torch.Tensor:
    """Replace standard deviations of constant features by 1."""
    return torch.where(std > 1e-5, std, torch.ones_like(std))


class GlobalNormalization(torch.nn.Module):
    """Mean and variance normalization with statistics of the training data.

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

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def set_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Set the mean and standard deviation, ``[features]`` each."""
        self.mean.copy_(mean)
        self.std.copy_(usable(std))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Normalize frames ``[frames, features]``."""
        return (frames - self.mean) / self.std


class NoNormalization(torch.nn.Module):
    """Identity, for encoders that normalize their input.

    Example
    -------
    >>> NoNormalization()(torch.tensor([[3.0]]))
    tensor([[3.]])
    """

    def set_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Ignore the statistics."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the frames unchanged."""
        return frames
