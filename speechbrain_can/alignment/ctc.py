"""Words aligned by a CTC model: any language that there is a model of."""

import torch
import torchaudio

from speechbrain_can.alignment.text import split_words
from speechbrain_can.alignment.words import AlignmentError, Word


class CTCAligner:
    """Aligns transcripts by the best path through a CTC model's emissions.

    Numbers and signs must be spelled out, since how is a matter of language.

    Arguments
    ---------
    model : callable
        From a waveform ``[samples]`` to log-probabilities ``[frames, tokens]``, with
        ``name``, ``sample_rate``, the number of the ``blank``, that of the
        ``separator`` between words or None, and ``encode``, from a word to token
        numbers, empty for one that it cannot spell. See ``integrations.ctc``.

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
    def name(self):
        """The model's."""
        return self.model.name

    def __call__(self, waveform, transcript):
        """Aligns a transcript.

        Arguments
        ---------
        waveform : torch.Tensor
            Samples at ``sample_rate`` Hz, shape ``[samples]``.
        transcript : str
            What is said: see ``split_words``.

        Returns
        -------
        list of Word
            With the mean probability of each word's tokens as its score.

        Raises
        ------
        AlignmentError
            If the transcript has no words, words that the model cannot spell, or
            more than the audio can hold.
        """
        words = split_words(transcript)
        tokens = [self.model.encode(word) for word in words]
        unknown = [word for word, own in zip(words, tokens) if not own]
        if unknown:
            raise AlignmentError(
                f"{self.name} cannot spell {', '.join(unknown)}; write numbers "
                "as words, or take a model of that language"
            )
        targets, owners = self._joined(tokens)
        with torch.no_grad():
            emissions = self.model(waveform).float().cpu()
        # between two equal tokens a blank is needed
        needed = len(targets) + sum(map(int.__eq__, targets, targets[1:]))
        if needed > len(emissions):
            raise AlignmentError(
                f"the transcript does not fit the audio: its {len(words)} words "
                f"need {needed} frames or more, the audio has {len(emissions)}"
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

    def _joined(self, tokens):
        """Tokens in a row, and the number of the word that each is of."""
        targets, owners = [], []
        for number, own in enumerate(tokens):
            if targets and self.model.separator is not None:
                targets.append(self.model.separator)
                owners.append(None)
            targets += own
            owners += [number] * len(own)
        return targets, owners
