import numpy as np

from speechbrain_can.alignment.words import Word
from speechbrain_can.features.segments import (
    aligned_segments,
    equal_segments,
    whole_utterance,
)


def tiled(*bounds):
    return [Word("so", *pair) for pair in zip(bounds[:-1], bounds[1:])]


def test_overlap_is_relative_to_segment_length():
    bounds = aligned_segments(tiled(0.0, 1.0, 3.0, 4.0), overlap=0.1)
    np.testing.assert_allclose(
        bounds, [[0.0, 1.05], [0.9, 3.1], [2.95, 4.0]], atol=1e-12
    )


def test_without_overlap_segments_are_the_words():
    bounds = aligned_segments(tiled(0.0, 1.0, 3.0), overlap=0)
    np.testing.assert_array_equal(bounds, [[0, 1], [1, 3]])


def test_equal_segments_keep_number_and_end():
    bounds = equal_segments(tiled(0.0, 0.1, 0.3, 3.0), overlap=0.1)
    assert bounds.shape == (3, 2)
    np.testing.assert_allclose(bounds.mean(axis=1)[1], 1.5)
    np.testing.assert_allclose(bounds[1], [0.95, 2.05])
    assert bounds[0, 0] == 0 and bounds[-1, 1] == 3.0


def test_one_word_is_one_segment():
    for segment in (aligned_segments, equal_segments, whole_utterance):
        assert segment(tiled(0.0, 0.7)).tolist() == [[0.0, 0.7]]
