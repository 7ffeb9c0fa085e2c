"""English forced alignment with PocketSphinx, whose wheel includes its model."""

import math
from typing import Any

import torch

from speechbrain_can.alignment.aligners.phonemes import Pronouncer
from speechbrain_can.alignment.text import english_words
from speechbrain_can.alignment.words import AlignmentError, Word, clean_words

FRAME_RATE = 100  # frames per second
FRAMES_PER_PHONE = 3  # states per phone model

# Beams, and the margin in nats per frame by which the transcript must score
# better than its decoys: PocketSphinx's default beams first, then wide beams,
# which need a larger margin because more sequences fit by chance.
SEARCHES = (
    ({}, 0.1),
    ({"beam": 1e-250, "pbeam": 1e-250, "wbeam": 1e-250}, 0.45),
)

# Decoys fill the dictionary; replace the decoder when it has this many words.
MAX_WORDS = 30_000


class PocketsphinxAligner:
    """Word-level forced aligner for English based on PocketSphinx, offline.

    eSpeak NG pronounces words that are not in the CMU dictionary. The search
    network contains the transcript and decoys, which are the same phones in
    different orders. If a decoy scores better, the transcript does not match the
    audio. The aligner then retries with wider beams before it refuses the
    transcript.

    Needs pocketsphinx, espeakng-loader and inflect (extra ``align``), which are
    loaded on first use.

    Example
    -------
    >>> from speechbrain_can.io.audio import read_waveform
    >>> align = PocketsphinxAligner()
    >>> waveform = read_waveform("apple.wav", 16000)  # doctest: +SKIP
    >>> align(waveform, "An apple!")  # doctest: +SKIP
    [Word(text='an', start=0.12, end=0.25), Word(text='apple', start=0.25, end=0.7)]
    """

    name = "pocketsphinx"
    sample_rate = 16000

    def __init__(self):
        self._decoders = {}
        self._pronounce = None

    def __repr__(self):
        return "PocketsphinxAligner()"

    def __getstate__(self):
        return {"_decoders": {}, "_pronounce": None}

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
        for number in range(len(SEARCHES)):
            found = self._search(number, waveform, n_frames, words, phones)
            if [word.text for word in found] == words:
                return found
        reason = "found no path through {}"
        if found:
            reason = "other phone sequences score better than {}"
        raise AlignmentError(
            "the transcript does not match the audio: "
            + reason.format(_quote(words))
        )

    def _decoder(self, number: int) -> tuple[Any, set[str]]:
        """Return the decoder of a search and the words added to it."""
        decoder, known = self._decoders.get(number, (None, None))
        if decoder is None or len(known) > MAX_WORDS:
            # bestpath would drop words of the alignment.
            beams, _ = SEARCHES[number]
            decoder = import_decoder()(
                lm=None, bestpath=False, loglevel="FATAL", **beams
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
        n_frames: int,
        words: list[str],
        phones: list[list[str]],
    ) -> list[Word]:
        """Return the best path through the transcript or one of the decoys."""
        decoder, known = self._decoder(number)
        last = len(words)
        _, margin = SEARCHES[number]
        # Distribute the margin over the words: applied at once, it would push a
        # long transcript out of the beam.
        n_phones = sum(map(len, phones))
        handicaps = [
            math.exp(max(-700, -margin * n_frames * len(own) / n_phones))
            for own in phones
        ]
        arcs = _chain(words, range(last + 1), handicaps)
        entries = dict(zip(words, phones))
        for decoy in _decoys(phones):
            names = ["decoy-" + "-".join(part).lower() for part in decoy]
            entries.update(zip(names, decoy))
            first = 1 + max(max(arc[:2]) for arc in arcs)
            states = [0, *range(first, first + last - 1), last]
            arcs += _chain(names, states, [1.0] * last)
        for name in entries.keys() - known:
            if decoder.lookup_word(name) is None:
                decoder.add_word(name, " ".join(entries[name]), False)
            known.add(name)
        decoder.add_fsg("words", decoder.create_fsg("words", 0, last, arcs))
        decoder.activate_search("words")
        return decode(decoder, waveform)


def decode(decoder: Any, waveform: torch.Tensor) -> list[Word]:
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
    return clean_words(
        Word(
            segment.word,
            segment.start_frame / FRAME_RATE,
            (segment.end_frame + 1) / FRAME_RATE,
        )
        for segment in decoder.seg()
        if segment.word != "(NULL)"  # arcs without a word
    )


def _chain(words, states, probabilities):
    """Return arcs from each state to the next, one word per arc."""
    return list(zip(states, states[1:], probabilities, words))


def _decoys(phones: list[list[str]]) -> list[list[list[str]]]:
    """Return the phones in five other orders, split into words of the same lengths.

    Example
    -------
    >>> _decoys([["N", "OW"], ["W", "EY"]])[0]
    [['EY', 'W'], ['OW', 'N']]
    """
    forward = [phone for word in phones for phone in word]
    backward = forward[::-1]
    half = len(forward) // 2
    orders = [
        backward,
        forward[half:] + forward[:half],
        backward[half:] + backward[:half],
        forward[::2] + forward[1::2],
        backward[::2] + backward[1::2],
    ]
    bounds = [0]
    for word in phones:
        bounds.append(bounds[-1] + len(word))
    return [
        [order[start:end] for start, end in zip(bounds[:-1], bounds[1:])]
        for order in orders
        # exclude palindromes, which would compete with themselves
        if order != forward
    ]


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
