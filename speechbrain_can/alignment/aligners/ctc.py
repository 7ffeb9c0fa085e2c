"""Forced alignment with CTC models, for any language with such a model."""

import torch
import torchaudio

from speechbrain_can.alignment.text import split_words
from speechbrain_can.alignment.words import AlignmentError, Word


class CTCAligner:
    """Word-level forced aligner based on a CTC model.

    The transcript must spell out numbers and symbols, which depends on the
    language.

    Arguments
    ---------
    model : callable
        Maps a waveform ``[samples]`` to log-probabilities ``[frames, tokens]``.
        Attributes: ``name``; ``sample_rate`` in Hz; ``blank``, the index of the
        blank token; ``separator``, the index of the token between words or
        None; and ``encode``, which maps a word to token indices and returns an
        empty list for words that it cannot spell. See ``encoders.ctc``.

    Example
    -------
    >>> class Model:
    ...     name, sample_rate, blank, separator = "toy", 4, 0, None
    ...
    ...     def __call__(self, waveform):  # blank, a, a, blank, b, blank
    ...         return torch.eye(3)[[0, 1, 1, 0, 2, 0]].mul(9).log_softmax(1)
    ...
    ...     def encode(self, word):
    ...         return [" ab".index(letter) for letter in word]
    >>> CTCAligner(Model())(torch.zeros(12), "A b.")
    [Word(text='a', start=0.5, end=1.5), Word(text='b', start=2.0, end=2.5)]
    """

    def __init__(self, model):
        self.model = model
        self.sample_rate = model.sample_rate

    def __repr__(self):
        return f"CTCAligner({self.model!r})"

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model.name

    def __call__(self, waveform: torch.Tensor, transcript: str) -> list[Word]:
        """Align a transcript.

        Arguments
        ---------
        waveform : torch.Tensor
            Samples at ``sample_rate`` Hz, ``[samples]``.
        transcript : str
            The spoken words; see ``split_words``.

        Returns
        -------
        list of Word
            The score of a word is the mean probability of its tokens.

        Raises
        ------
        AlignmentError
            If the transcript contains no words, words that the model cannot
            spell, or more words than fit the audio.
        """
        words = split_words(transcript)
        tokens = [self.model.encode(word) for word in words]
        unknown = [word for word, own in zip(words, tokens) if not own]
        if unknown:
            raise AlignmentError(
                f"{self.name} cannot spell {', '.join(unknown)}. Write numbers "
                "as words, or use a model of the language."
            )
        targets, owners = self._joined(tokens)
        with torch.no_grad():
            emissions = self.model(waveform).float().cpu()
        # CTC needs a blank between two equal tokens.
        needed = len(targets) + sum(map(int.__eq__, targets, targets[1:]))
        if needed > len(emissions):
            raise AlignmentError(
                f"the transcript does not fit the audio: its {len(words)} words "
                f"need at least {needed} frames, the audio has {len(emissions)}"
            )
        path, scores = torchaudio.functional.forced_align(
            emissions[None], torch.tensor([targets]), blank=self.model.blank
        )
        spans = torchaudio.functional.merge_tokens(
            path[0], scores[0].exp(), blank=self.model.blank
        )
        seconds = len(waveform) / self.sample_rate / len(emissions)
        found = []
        for number, word in enumerate(words):
            own = [s for s, owner in zip(spans, owners) if owner == number]
            frames = sum(len(span) for span in own)
            score = sum(span.score * len(span) for span in own) / frames
            found.append(
                Word(
                    word,
                    round(own[0].start * seconds, 6),
                    round(own[-1].end * seconds, 6),
                    score,
                )
            )
        return found

    def _joined(
        self, tokens: list[list[int]]
    ) -> tuple[list[int], list[int | None]]:
        """Return the token sequence and, for each token, the index of its word."""
        targets, owners = [], []
        for number, own in enumerate(tokens):
            if targets and self.model.separator is not None:
                targets.append(self.model.separator)
                owners.append(None)
            targets += own
            owners += [number] * len(own)
        return targets, owners
