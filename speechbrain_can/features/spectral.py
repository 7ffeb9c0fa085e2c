"""Spectral features of all words of an utterance, computed in one batch.

Frames are flat: the frames of all words are concatenated, ``[frames, features]``,
with the number of frames of each word, ``[words]``. In the paper's tensor ``L x (T' x
D_f)``, nine tenths would be padding.
"""

from itertools import repeat
from typing import Sequence

import numpy as np
import torch
import torchaudio

from speechbrain_can.features.segments import segment_samples


class SegmentFbank(torch.nn.Module):
    """Log mel filterbank energies of segments, computed for all segments at once.

    Each segment is framed independently, as if it were cut out: windows do not
    extend beyond the segment, and segments shorter than a window are zero-padded.

    Arguments
    ---------
    sample_rate : int
        Sample rate in Hz.
    n_mels : int
        Number of mel filters.
    win_length : float
        Length of the Hamming window in milliseconds.
    hop_length : float
        Hop in milliseconds.

    Example
    -------
    >>> compute_features = SegmentFbank(n_mels=80)
    >>> segments = torch.tensor([[0.0, 0.5], [0.45, 0.46], [0.46, 1.0]])
    >>> frames, frame_counts = compute_features(torch.randn(16000), segments)
    >>> frames.shape, frame_counts
    (torch.Size([101, 80]), tensor([48,  1, 52]))
    """

    # utterances per call of batch
    batch_size = 32
    # frames per transform, which fit into the cache of a core
    CHUNK = 256

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mels: int = 40,
        win_length: float = 25,
        hop_length: float = 10,
    ):
        super().__init__()
        self.sample_rate = sample_rate
        self.n_mels = n_mels
        self.output_size = n_mels
        self.window_samples = round(win_length * sample_rate / 1000)
        self.hop_samples = round(hop_length * sample_rate / 1000)
        window = torch.hamming_window(self.window_samples)
        self.register_buffer("window", window, False)
        bins = self.window_samples // 2 + 1
        filters = torchaudio.functional.melscale_fbanks(
            bins, 0.0, sample_rate / 2, n_mels, sample_rate
        ).repeat_interleave(2, dim=0)
        self.register_buffer("mel_filters", filters, False)

    def extra_repr(self):
        """Return the settings."""
        return (
            f"sample_rate={self.sample_rate}, n_mels={self.n_mels}, "
            f"win_length={self.window_samples}, hop_length={self.hop_samples}"
        )

    def forward(
        self, waveform: torch.Tensor, segments: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the features of one utterance.

        ``waveform`` ``[samples]`` is divided into ``segments`` ``[words, 2]`` in seconds.
        Returns frames ``[frames, output_size]`` and the frames of each segment, at least
        one, ``[words]``.
        """
        return self.batch([waveform], [segments])[0]

    @torch.no_grad()
    def batch(
        self,
        waveforms: Sequence[torch.Tensor],
        segments: Sequence[torch.Tensor],
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Compute the features of several utterances; see ``forward``."""
        if any(waveform.dim() != 1 for waveform in waveforms):
            raise ValueError("waveforms must have the shape [samples]")
        words, samples = ([*map(len, own)] for own in (segments, waveforms))
        padded = [*waveforms, torch.zeros(self.window_samples)]
        windows = torch.cat(padded).unfold(0, self.window_samples, 1)
        rates = repeat(self.sample_rate)
        found = map(segment_samples, segments, rates, samples)
        starts, lengths = map(np.concatenate, zip(*found))
        starts += np.repeat(np.cumsum(samples) - samples, words)
        surplus = np.maximum(lengths - self.window_samples, 0)
        counts = 1 + surplus // self.hop_samples
        first = np.cumsum(counts) - counts
        frame_starts = np.arange(counts.sum()) * self.hop_samples
        frame_starts += np.repeat(starts - first * self.hop_samples, counts)
        # Only segments shorter than a window contain padding.
        real_samples = np.repeat(lengths - surplus, counts)
        energies = torch.empty(len(frame_starts), self.n_mels)
        buffer = torch.empty(self.CHUNK, self.window_samples)
        tables = map(torch.from_numpy, (frame_starts, real_samples))
        chunks = (table.split(self.CHUNK) for table in (*tables, energies))
        for chunk_starts, real, found in zip(*chunks):
            frames = buffer[: len(found)]
            torch.index_select(windows, 0, chunk_starts, out=frames)
            if (real < self.window_samples).any():
                outside = torch.arange(self.window_samples) >= real[:, None]
                frames.masked_fill_(outside, 0.0)
            spectrum = torch.fft.rfft(frames.mul_(self.window))
            squares = torch.view_as_real(spectrum).square_().flatten(1)
            torch.mm(squares, self.mel_filters, out=found)
        counts = torch.from_numpy(counts).split(words)
        sizes = [int(own.sum()) for own in counts]
        return list(zip(self._transform(energies).split(sizes), counts))

    def _transform(self, energies: torch.Tensor) -> torch.Tensor:
        """Convert mel energies ``[frames, n_mels]`` to features."""
        # the floor of torchaudio, close to one bit of 16-bit audio
        return energies.add_(1e-6).log_()


class SegmentMFCC(SegmentFbank):
    """MFCC of segments, computed for all segments at once.

    Section 4.2 of the paper: 40 coefficients, 25 ms Hamming window, 10 ms hop.
    Equivalent to ``torchaudio.transforms.MFCC`` with ``center=False`` and
    ``log_mels=True``, applied to each segment.

    Arguments
    ---------
    sample_rate : int
        Sample rate in Hz.
    n_mfcc : int
        Number of coefficients.
    n_mels : int
        Number of mel filters, at least ``n_mfcc``.
    win_length : float
        Length of the window in milliseconds.
    hop_length : float
        Hop in milliseconds.

    Raises
    ------
    ValueError
        If there are fewer filters than coefficients.

    Example
    -------
    >>> compute_features = SegmentMFCC()
    >>> waveform = torch.randn(16000)
    >>> segments = torch.tensor([[0.0, 0.5], [0.45, 0.46], [0.46, 1.0]])
    >>> frames, frame_counts = compute_features(waveform, segments)
    >>> frames.shape, frame_counts
    (torch.Size([101, 40]), tensor([48,  1, 52]))
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mfcc: int = 40,
        n_mels: int = 40,
        win_length: float = 25,
        hop_length: float = 10,
    ):
        super().__init__(sample_rate, n_mels, win_length, hop_length)
        if n_mfcc > n_mels:
            raise ValueError(
                f"n_mfcc={n_mfcc} must not be larger than n_mels={n_mels}"
            )
        self.n_mfcc = n_mfcc
        self.output_size = n_mfcc
        self.register_buffer(
            "dct",
            torchaudio.functional.create_dct(n_mfcc, n_mels, norm="ortho"),
            False,
        )

    def extra_repr(self):
        """Return the settings."""
        return f"n_mfcc={self.n_mfcc}, {super().extra_repr()}"

    def _transform(self, energies):
        return super()._transform(energies) @ self.dct
