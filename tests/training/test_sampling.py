from collections import Counter

import pytest
from helpers.corpora import utterance

from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain_can.io.files import InputError
from speechbrain_can.training.sampling import weighted_sampler


@pytest.fixture
def dataset():
    return DynamicItemDataset(
        {
            f"u{i}": {
                "utterance": utterance(
                    f"u{i}", extra={"corpus": "small" if i < 10 else "large"}
                )
            }
            for i in range(1000)
        }
    )


def test_groups_have_their_shares(dataset):
    sampler = weighted_sampler(dataset, "corpus", {"small": 3, "large": 1})
    drawn = Counter(i < 10 for i in sampler)
    assert sum(drawn.values()) == 1000
    assert 0.65 < drawn[True] / 1000 < 0.85  # six standard errors
    first = list(sampler)
    assert first == list(sampler)
    sampler.set_epoch(1)
    assert first != list(sampler)


def test_without_weights_every_utterance_is_drawn_once(dataset):
    assert sorted(weighted_sampler(dataset, "corpus")) == list(range(1000))


@pytest.mark.parametrize(
    "weights, expected",
    [
        ({"large": 1}, "lack 'small'"),
        ({"large": 1, "small": 0}, "'small' is 0. Use a number above 0"),
        ("large", "Pass one per group"),
    ],
)
def test_invalid_weights(dataset, weights, expected):
    with pytest.raises(InputError, match=expected):
        weighted_sampler(dataset, "corpus", weights)
