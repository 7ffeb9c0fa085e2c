"""English words aligned by PocketSphinx, whose model comes with its wheel."""

import math

from speechbrain_can.alignment.phonemes import Pronouncer
from speechbrain_can.alignment.text import english_words
from speechbrain_can.alignment.words import AlignmentError, Word, clean_words

FRAME_RATE = 100  # frames a second
FRAMES_PER_PHONE = 3  # the states of a phone's model
# Beams, and by how much a frame (nats) the transcript must be better than its
# decoys: PocketSphinx's own beams, then wide ones, in which more fits by chance.
SEARCHES = (
    ({}, 0.1),
    ({"beam": 1e-250, "pbeam": 1e-250, "wbeam": 1e-250}, 0.45),
)
# Decoys fill the dictionary: beyond so many words a new decoder is made.
MOST_WORDS = 30_000


class PocketsphinxAligner:
    """Aligns English transcripts word by word, offline.

    Words that the CMU dictionary lacks are pronounced by eSpeak NG. The search
    offers decoys beside the transcript, the same phones in other orders: where
    one of them fits the audio better, the transcript is not of this audio and
    is refused. Before that, beams are widened once.

    Needs pocketsphinx, espeakng-loader and inflect (extra ``align``), loaded when
    the first transcript is aligned.

    Example
    -------
    >>> from speechbrain_can.audio import read_waveform
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

    def __call__(self, waveform, transcript):
        """Aligns a transcript.

        Arguments
        ---------
        waveform : torch.Tensor
            Samples at ``sample_rate`` Hz, shape ``[samples]``.
        transcript : str
            What is said, as people write it: see ``english_words``.

        Returns
        -------
        list of Word
            The words as they are spoken, with their times; pauses are left
            between them.

        Raises
        ------
        AlignmentError
            If the transcript has no words or foreign ones, is longer than the
            audio can hold, or is not what is said.
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
                f"need {shortest / FRAME_RATE:.1f} s or more, the audio has "
                f"{n_frames / FRAME_RATE:.1f} s"
            )
        for number in range(len(SEARCHES)):
            found = self._search(number, waveform, n_frames, words, phones)
            if [word.text for word in found] == words:
                return found
        reason = "no path through {} was found"
        if found:
            reason = "other sounds than {} explain it better"
        raise AlignmentError(
            f"the transcript does not fit the audio: {reason.format(_quote(words))}"
        )

    def _decoder(self, number):
        """The decoder with beams of this number and all words of its own."""
        decoder, known = self._decoders.get(number, (None, None))
        if decoder is None or len(known) > MOST_WORDS:
            # The best path through the lattice drops words of an alignment.
            beams, _ = SEARCHES[number]
            decoder = import_decoder()(
                lm=None, bestpath=False, loglevel="FATAL", **beams
            )
            known = set()
            self._decoders[number] = decoder, known
        return decoder, known

    def _pronunciations(self, words):
        """Phones of each word, a list of lists."""
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
                f"not pronounceable in English: {', '.join(silent)}"
            )
        return [phones[word] for word in words]

    def _search(self, number, waveform, n_frames, words, phones):
        """What is found on the way through the words or one of the decoys."""
        decoder, known = self._decoder(number)
        last = len(words)
        _, margin = SEARCHES[number]
        # Word by word, in step with what each gains: all at once it would leave
        # the beam of a long transcript.
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


def decode(decoder, waveform):
    """Words that a PocketSphinx decoder finds in ``[samples]``, none if it fails."""
    samples = (waveform.clamp(-1, 1) * 32767).short().numpy().tobytes()
    # What it has heard before would change what it finds.
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
        if segment.word != "(NULL)"  # an arc without a word
    )


def _chain(words, states, probabilities):
    """Arcs from each state to the next, a word each."""
    return list(zip(states, states[1:], probabilities, words))


def _decoys(phones):
    """The same phones in five other orders, cut into words like the given ones.

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
        # a word that reads the same would compete with itself
        if order != forward
    ]


def _quote(words, most=8):
    text = " ".join(words[:most])
    return repr(text + " ..." if len(words) > most else text)


def import_decoder():
    """PocketSphinx's ``Decoder``, or what to install."""
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise ImportError(
            "this needs PocketSphinx (pip install 'speechbrain_can[align]')"
        ) from error
    return Decoder
