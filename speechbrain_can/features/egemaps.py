"""eGeMAPS features of each word, computed by openSMILE (extra ``egemaps``)."""

import warnings

import torch

from speechbrain_can.features.segments import segment_samples


class SegmentEgemaps(torch.nn.Module):
    """The 88 functionals of eGeMAPS for each segment, one frame per word.

    Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set", 2016, in
    openSMILE's version ``eGeMAPSv02``. Segments shorter than ``shortest`` are
    zero-padded, because openSMILE returns nothing below its longest window.
    Undefined values, such as the jitter of a voiceless word, are 0.

    Arguments
    ---------
    sample_rate : int
        Sample rate in Hz.
    shortest : float
        Minimum length of a segment in seconds.

    Example
    -------
    >>> compute_features = SegmentEgemaps()
    >>> segments = torch.tensor([[0.0, 0.4], [0.4, 1.0]])
    >>> frames, counts = compute_features(0.1 * torch.randn(16000), segments)
    >>> frames.shape, counts
    (torch.Size([2, 88]), tensor([1, 1]))
    """

    def __init__(self, sample_rate: int = 16000, shortest: float = 0.1):
        super().__init__()
        self.sample_rate = sample_rate
        self.shortest = shortest
        self.output_size = 88
        # loaded on first use in each process
        self._smile = ()

    def __getstate__(self):
        return {**self.__dict__, "_smile": ()}

    def extra_repr(self):
        """Return the settings, which identify cached features."""
        return f"sample_rate={self.sample_rate}, shortest={self.shortest}"

    def forward(
        self, waveform: torch.Tensor, segments: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the features of one utterance; see ``extract_features``.

        Returns features ``[words, 88]`` and ones ``[words]``. Raises ``ImportError`` if
        openSMILE is not installed.
        """
        if not self._smile:
            self._smile = (_load_smile(),)
        (smile,) = self._smile
        starts, lengths = segment_samples(
            segments, self.sample_rate, len(waveform)
        )
        shortest = round(self.shortest * self.sample_rate)
        frames = []
        for start, length in zip(starts.tolist(), lengths.tolist()):
            word = waveform[start : start + length]
            word = torch.nn.functional.pad(word, (0, max(0, shortest - length)))
            with warnings.catch_warnings():
                # openSMILE warns about words too short for some functionals.
                warnings.simplefilter("ignore")
                found = smile.process_signal(word.numpy(), self.sample_rate)
            frames.append(torch.tensor(found.to_numpy(dtype="float32")[0]))
        counts = torch.ones(len(lengths), dtype=torch.long)
        return torch.stack(frames).nan_to_num(0.0, 0.0, 0.0), counts


def _load_smile():
    try:
        import opensmile
    except ImportError as error:
        raise ImportError(
            "eGeMAPS needs openSMILE. Run pip install 'speechbrain_can[egemaps]'."
        ) from error
    return opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.Functionals,
    )
