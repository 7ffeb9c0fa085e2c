"""Extraction of features from utterances."""

from typing import Callable, Sequence

import torch

from speechbrain_can.alignment.words import Word


def extract_features(
    compute_features: Callable,
    waveforms: Sequence[torch.Tensor],
    words: Sequence[Sequence[Word]],
    segment: Callable,
    conditioning: Callable | None = None,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Compute the features of utterances.

    Arguments
    ---------
    compute_features, segment : callable
        See ``FeatureCache.build``. ``compute_features`` receives the waveform
        ``[samples]`` and the segments of an utterance in seconds, ``[words, 2]``. If ``compute_features`` has a method ``batch``,
        it receives all utterances at once. If its attribute ``needs_words`` is
        true, it also receives the words of each utterance.
    waveforms : list of torch.Tensor
        Samples of each utterance, ``[samples]``.
    words : list of list of Word
        Words that tile each utterance.
    conditioning : callable or None
        Maps a waveform and its words to those that features are computed from,
        such as ``SpeechConditioning``.

    Returns
    -------
    list of (torch.Tensor, torch.Tensor)
        Frames ``[frames, features]`` and frame counts ``[segments]``.
    """
    if conditioning is not None:
        waveforms, words = zip(*map(conditioning, waveforms, words))
    inputs = [waveforms, [torch.from_numpy(segment(own)) for own in words]]
    if getattr(compute_features, "needs_words", False):
        inputs.append([[word.text for word in own] for own in words])
    if hasattr(compute_features, "batch"):
        return compute_features.batch(*inputs)
    return [compute_features(*own) for own in zip(*inputs)]
