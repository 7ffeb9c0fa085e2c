"""English forced alignment with PocketSphinx, whose wheel includes its model."""

import math
import sys
from typing import Any, NamedTuple

import numpy as np
import torch

from speechbrain_can.alignment.aligners.phonemes import Pronouncer
from speechbrain_can.alignment.text import english_words
from speechbrain_can.alignment.tokens import spoken_words
from speechbrain_can.alignment.words import AlignmentError, Word, clean_words

FRAME_RATE = 100  # frames per second
FRAMES_PER_PHONE = 3  # states per phone model

# PocketSphinx's default beams first, then wide beams, which find more paths
BEAMS = ({}, {"beam": 1e-250, "pbeam": 1e-250, "wbeam": 1e-250})

# Added words fill the dictionary; replace the decoder when it has this many.
MAX_WORDS = 30_000

# Fewest unknown words, and their share, of transcripts that may not be English. The
# sentences of EmoDB exceed both.
FEWEST_UNKNOWN, UNKNOWN_SHARE = 2, 0.25

SCALE = 1000  # of PocketSphinx's log-likelihoods, for readable thresholds
LONG_WORD = 3  # phones; shorter words are too short to be judged


class Segment(NamedTuple):
    """A decoded word or phone with its first frame, its end and its log-likelihood."""

    word: str
    start: int
    end: int
    score: float


class PocketsphinxAligner:
    """Word-level forced aligner for English based on PocketSphinx, offline.

    eSpeak NG pronounces words that are not in the CMU dictionary. The aligner also
    decodes the audio as a free sequence of phones. If the transcript is spoken, its
    likelihood is similar; a word that is not spoken is far less likely than the free
    phones. The thresholds are scaled log-likelihood ratios per frame; the benchmark
    page states the error rates.

    Needs pocketsphinx, espeakng-loader and inflect (extra ``align``), which are
    loaded on first use.

    Arguments
    ---------
    transcript_threshold : float
        Minimum mean ratio of the words. Lower values accept more transcripts.
    word_threshold : float
        Minimum ratio of a word.
    mismatched_share : float
        Share of the phones in words below ``word_threshold`` from which the
        transcript is refused.

    Example
    -------
    >>> from speechbrain_can.io.audio import read_waveform
    >>> align = PocketsphinxAligner()
    >>> waveform = read_waveform("apple.wav", 16000)  # doctest: +SKIP
    >>> align(waveform, "An apple!")  # doctest: +SKIP
    [Word(text='an', start=0.12, end=0.25), Word(text='apple', start=0.25, end=0.7)]
    """

    name = "pocketsphinx"
    language = "en"
    sample_rate = 16000

    def __init__(
        self,
        transcript_threshold: float = -4.5,
        word_threshold: float = -5.5,
        mismatched_share: float = 0.25,
    ):
        self.transcript_threshold = transcript_threshold
        self.word_threshold = word_threshold
        self.mismatched_share = mismatched_share
        self._forget()

    def _forget(self):
        self._decoders = {}
        self._phone_decoder = None
        self._pronounce = None

    def __repr__(self):
        thresholds = (
            self.transcript_threshold,
            self.word_threshold,
            self.mismatched_share,
        )
        return f"PocketsphinxAligner{thresholds}"

    def __getstate__(self):
        return {
            name: value
            for name, value in self.__dict__.items()
            if not name.startswith("_")
        }

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._forget()

    def __call__(self, waveform: torch.Tensor, transcript: str) -> list[Word]:
        """Align a transcript.

        Arguments
        ---------
        waveform : torch.Tensor
            Samples at ``sample_rate`` Hz, ``[samples]``.
        transcript : str
            Written English; see ``english_words``.

        Returns
        -------
        list of Word
            The spoken words with timings; pauses are the gaps between them.

        Raises
        ------
        AlignmentError
            If the transcript contains no words or non-English ones, is too long
            for the audio, or does not match it.
        ImportError
            If a package is missing.
        """
        words = english_words(transcript)
        phones = self._pronunciations(words)
        n_frames = len(waveform) * FRAME_RATE // self.sample_rate
        shortest = sum(FRAMES_PER_PHONE * len(p) for p in phones)
        if shortest > n_frames:
            raise AlignmentError(
                f"the transcript does not fit the audio: its {len(words)} words "
                f"need at least {shortest / FRAME_RATE:.1f} s, the audio has "
                f"{n_frames / FRAME_RATE:.1f} s"
            )
        for number in range(len(BEAMS)):
            segments = self._search(number, waveform, words, phones)
            if len(segments) == len(words):
                self._check_spoken(waveform, words, phones, segments)
                return as_words(segments)
        raise AlignmentError(
            "the transcript does not match the audio: found no path through "
            + _quote(words)
        )

    def doubts(self, transcript: str) -> list[str]:
        """Return a note if the transcript is probably not English, or no notes.

        ``transcript`` is one that was aligned.
        """
        words = english_words(transcript)
        decoder, _ = self._decoder(0)
        unknown = [w for w in words if decoder.lookup_word(w) is None]
        if len(unknown) < FEWEST_UNKNOWN or (
            len(unknown) < UNKNOWN_SHARE * len(words)
        ):
            return []
        return [
            f"{len(unknown)} of {len(words)} words are not in the English dictionary "
            f"({', '.join(unknown[:3])}, ...). If the language is not English, the "
            "word timings are unreliable; pass the language."
        ]

    def _decoder(self, number: int) -> tuple[Any, set[str]]:
        """Return the decoder with some beams, and the words added to it."""
        decoder, known = self._decoders.get(number, (None, None))
        if decoder is None or len(known) > MAX_WORDS:
            decoder = import_decoder()(
                lm=None,
                bestpath=False,  # it would drop words of the alignment
                compallsen=True,  # likelihoods are relative to all senones
                loglevel="FATAL",
                **BEAMS[number],
            )
            known = set()
            self._decoders[number] = decoder, known
        return decoder, known

    def _pronunciations(self, words: list[str]) -> list[list[str]]:
        """Return the phones of each word."""
        decoder, _ = self._decoder(0)
        phones, silent = {}, []
        for word in words:
            pronounced = decoder.lookup_word(word)
            if pronounced is None:
                self._pronounce = self._pronounce or Pronouncer()
                pronounced = self._pronounce(word)
            phones[word] = pronounced.split()
            if not pronounced:
                silent.append(word)
        if silent:
            raise AlignmentError(
                f"cannot pronounce as English: {', '.join(silent)}"
            )
        return [phones[word] for word in words]

    def _search(
        self,
        number: int,
        waveform: torch.Tensor,
        words: list[str],
        phones: list[list[str]],
    ) -> list[Segment]:
        """Return the words of the best path through the transcript."""
        decoder, known = self._decoder(number)
        for word, own in zip(words, phones):
            if word not in known and decoder.lookup_word(word) is None:
                decoder.add_word(word, " ".join(own), False)
            known.add(word)
        arcs = [(i, i + 1, 1.0, word) for i, word in enumerate(words)]
        decoder.add_fsg(
            "words", decoder.create_fsg("words", 0, len(words), arcs)
        )
        decoder.activate_search("words")
        return [s for s in decode(decoder, waveform) if spoken_words(s.word)]

    def _check_spoken(
        self,
        waveform: torch.Tensor,
        words: list[str],
        phones: list[list[str]],
        segments: list[Segment],
    ) -> None:
        """Raise an ``AlignmentError`` if free phones are far more likely."""
        ratios, frames = self._ratios(waveform, segments)
        lengths = np.array([len(own) for own in phones])
        bad = (ratios < self.word_threshold) & (lengths >= LONG_WORD)
        share = lengths[bad].sum() / lengths.sum()
        mean = np.average(ratios, weights=frames)
        if share < self.mismatched_share and mean >= self.transcript_threshold:
            return
        worst = [word for word, is_bad in zip(words, bad) if is_bad] or words
        raise AlignmentError(
            "the transcript does not match the audio: other phones are more likely "
            f"than {_quote(worst)}"
        )

    def _ratios(
        self, waveform: torch.Tensor, segments: list[Segment]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return scaled log-likelihood ratios per frame and frames of each word."""
        if self._phone_decoder is None:
            import pocketsphinx

            self._phone_decoder = import_decoder()(
                lm=None,
                allphone=pocketsphinx.get_model_path(
                    "en-us/en-us-phone.lm.bin"
                ),
                lw=2.0,
                compallsen=True,
                loglevel="FATAL",
            )
        # Cumulative likelihood of the free phones at the start of each frame
        steps = np.zeros(1 + max(segment.end for segment in segments))
        for phone in decode(self._phone_decoder, waveform):
            per_frame = phone.score / (phone.end - phone.start)
            steps[1 + phone.start : 1 + phone.end] = per_frame
        free = np.cumsum(steps)
        starts = np.array([segment.start for segment in segments])
        ends = np.array([segment.end for segment in segments])
        scores = np.array([segment.score for segment in segments])
        ratios = (scores - (free[ends] - free[starts])) / (ends - starts)
        return SCALE * ratios, ends - starts


def decode(decoder: Any, waveform: torch.Tensor) -> list[Segment]:
    """Decode a waveform ``[samples]`` with PocketSphinx; empty if decoding fails."""
    samples = (waveform.clamp(-1, 1) * 32767).short().numpy().tobytes()
    # Reset the feature statistics, so that earlier audio has no influence.
    decoder.reinit_feat()
    decoder.start_utt()
    try:
        decoder.process_raw(samples, full_utt=True)
    finally:
        decoder.end_utt()
    if decoder.hyp() is None:
        return []
    return [
        Segment(
            segment.word,
            segment.start_frame,
            segment.end_frame + 1,
            math.log(max(segment.ascore, sys.float_info.min)),
        )
        for segment in decoder.seg()
        if segment.word != "(NULL)"  # arcs without a word
    ]


def as_words(segments: list[Segment]) -> list[Word]:
    """Return the spoken words of segments."""
    return clean_words(
        Word(segment.word, segment.start / FRAME_RATE, segment.end / FRAME_RATE)
        for segment in segments
    )


def _quote(words, most=8):
    text = " ".join(words[:most])
    return repr(text + " ..." if len(words) > most else text)


def import_decoder() -> type:
    """Return PocketSphinx's ``Decoder``; raise ``ImportError`` with advice."""
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise ImportError(
            "PocketSphinx is not installed. Run pip install "
            "'speechbrain_can[align]'."
        ) from error
    return Decoder
