"""Sampling of training utterances by a column, such as the corpus."""

from collections import Counter

from torch.utils.data import Sampler

from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.dataio.sampler import (
    ReproducibleRandomSampler,
    ReproducibleWeightedRandomSampler,
)
from speechbrain_can.corpus.manifest import column_value
from speechbrain_can.io.files import InputError


def weighted_sampler(
    dataset: DynamicItemDataset,
    column: str,
    weights: dict[str, float] | None = None,
    seed: int = 1234,
) -> Sampler:
    """Return a sampler that draws groups of utterances in given shares.

    Groups have the same value in a column of the manifest. An epoch has as many
    utterances as the training set, drawn with replacement.

    Arguments
    ---------
    dataset : DynamicItemDataset
        Training set of ``make_datasets``.
    column : str
        Column of the manifest, such as ``corpus``.
    weights : dict of str: float or None
        Share of each group in an epoch; the sum is arbitrary. None for all utterances
        once per epoch.
    seed : int
        Seed of the order.

    Returns
    -------
    torch.utils.data.Sampler
        Reproducible sampler.

    Raises
    ------
    InputError
        If a group of the training set has no weight, or a weight is not positive.
    """
    if weights is None:
        return ReproducibleRandomSampler(dataset, seed=seed)
    if not isinstance(weights, dict):
        raise InputError(
            f"the weights of {column} are {weights!r}. Pass one per group, such as "
            "{EmoDB: 1, MELD: 2}."
        )
    groups = [
        column_value(dataset.data[name]["utterance"], column)
        for name in dataset.data_ids
    ]
    counts = Counter(groups)
    missing = sorted(set(counts) - set(weights))
    if missing:
        raise InputError(
            f"the weights of {column} ({', '.join(map(str, weights))}) lack "
            f"{missing[0]!r}. The training set contains {', '.join(sorted(counts))}."
        )
    for group, weight in weights.items():
        number = isinstance(weight, (int, float)) and weight > 0
        if not number or isinstance(weight, bool):
            raise InputError(
                f"the weight of {column} {group!r} is {weight!r}. Use a number "
                "above 0."
            )
    return ReproducibleWeightedRandomSampler(
        [weights[group] / counts[group] for group in groups],
        num_samples=len(groups),
        replacement=True,
        seed=seed,
    )
