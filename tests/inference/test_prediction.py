"""Decisions of predictions with a confidence."""

import pytest

from speechbrain_can.inference.prediction import Prediction


@pytest.mark.parametrize(
    "emotions, sure, decision",
    [
        (None, True, "ang"),
        (("ang",), True, "ang"),
        (("ang", "sad"), False, "not sure (ang or sad)"),
        (("sad",), False, "not sure (sad)"),  # the label is excluded
        ((), False, "not sure (unlike the training set)"),
    ],
)
def test_decision(emotions, sure, decision):
    shares = {"ang": 0.6, "sad": 0.4}
    found = Prediction(
        *("a.wav", 0.0, 1.0, "ang", shares, {}, [], "given"), emotions=emotions
    )
    assert (found.is_sure, found.decision) == (sure, decision)
