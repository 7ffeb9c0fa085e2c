"""Accuracy, speed and error rates of alignment, compared with known word timings.

    python tests/benchmarks/alignment.py CORPUS [UTTERANCES]

CORPUS has the layout of IEMOCAP, with one ``.wdseg`` file per utterance, such as the
output of ``speechbrain-can make-corpus``, whose times come from the synthesizer. eSpeak NG
speaks some pairs, such as "in the", as one word. The corpus estimates the start of the
second word, so such words are skipped.
"""

import random
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torchaudio

from speechbrain_can.alignment.aligners.sphinx import PocketsphinxAligner
from speechbrain_can.alignment.readers.sphinx import read_wdseg
from speechbrain_can.alignment.words import AlignmentError, clean_words
from speechbrain_can.controlled.speech import Synthesizer
from speechbrain_can.io.audio import read_waveform

RATE = PocketsphinxAligner.sample_rate
TOLERANCES = (0.02, 0.05, 0.1)  # seconds


def load(corpus, n_utterances):
    """Return waveform and words of some utterances, the same in every call."""
    paths = sorted(Path(corpus).glob("Session*/sentences/ForcedAlignment/*/*"))
    paths = [path for path in paths if path.suffix == ".wdseg"]
    if n_utterances < len(paths):
        paths = random.Random(0).sample(paths, n_utterances)
    return [
        (
            read_waveform(
                str(path)
                .replace("ForcedAlignment", "wav")
                .replace(".wdseg", ".wav"),
                RATE,
            ),
            clean_words(read_wdseg(path)),
        )
        for path in paths
    ]


def noisy(waveform, decibels=5):
    """Add white noise at a signal-to-noise ratio."""
    noise = torch.randn(len(waveform), generator=torch.manual_seed(0))
    power = waveform.square().mean() / 10 ** (decibels / 10)
    return waveform + noise * power.sqrt()


def telephone(waveform):
    """Filter audio to 300 to 3,400 Hz at 8 kHz."""
    narrow = torchaudio.functional.resample(waveform, RATE, 8000)
    narrow = torchaudio.functional.highpass_biquad(narrow, 8000, 300)
    narrow = torchaudio.functional.lowpass_biquad(narrow, 8000, 3400)
    return torchaudio.functional.resample(narrow, 8000, RATE)


CHANGES = {
    "unchanged": lambda waveform: waveform,
    "white noise at 10 dB": partial(noisy, decibels=10),
    "white noise at 5 dB": noisy,
    "telephone band": telephone,
}


class Merged:
    """Words of a sentence that eSpeak NG speaks together with the previous word."""

    def __init__(self):
        self.synthesizer = Synthesizer()

    def __call__(self, words):
        self.synthesizer.speak(words, "en-us", 50, 300, np.zeros(len(words)))
        marks = [*self.synthesizer._marks, np.inf]
        # such words are marked at the start of the next one
        return [i > 0 and marks[i] == marks[i + 1] for i in range(len(words))]


def evaluate(name, align, utterances, estimated):
    """Print one line: number of aligned utterances, accuracy, speed."""
    errors, aligned = [], 0
    started = time.process_time()
    found = []
    for waveform, words in utterances:
        try:
            found.append(align(waveform, " ".join(w.text for w in words)))
        except AlignmentError:
            found.append(None)
    seconds = time.process_time() - started
    for words, own, no_reference in zip(utterances, found, estimated):
        if own is not None:
            aligned += 1
            errors += [
                abs(f.start - w.start)
                for f, w, left_out in zip(own, words[1], no_reference)
                if not left_out
            ]
    speech = sum(len(waveform) for waveform, _ in utterances) / RATE
    within = " / ".join(
        f"{np.mean(np.array(errors) <= limit + 1e-6):.1%}"
        for limit in TOLERANCES
    )
    print(
        f"| {name} | {aligned} of {len(utterances)} | {within} | "
        f"{speech / seconds:.0f} |",
        flush=True,
    )


def wrong_transcripts(align, utterances, seed=0):
    """Return transcripts with 0, 1, 2 replaced words, and those of other utterances.

    A replaced word has at least three phones. Its replacement is another word of the
    corpus with a similar number of phones, at most half of which are the same.
    """
    draw = random.Random(seed)
    phones = {}
    for _, words in utterances:
        for word in words:
            phones[word.text] = align._pronunciations([word.text])[0]
    long = sorted(word for word, own in phones.items() if len(own) >= 3)

    def replacement(word):
        own = phones[word]
        return draw.choice(
            [
                other
                for other in long
                if abs(len(phones[other]) - len(own)) <= 1
                and len(set(phones[other]) & set(own)) <= len(own) // 2
            ]
            or [other for other in long if other != word]
        )

    transcripts = {"right": [], "one word": [], "two words": [], "other": []}
    for i, (_, words) in enumerate(utterances):
        texts = [word.text for word in words]
        places = [j for j, text in enumerate(texts) if len(phones[text]) >= 3]
        chosen = draw.sample(places, 2) if len(places) >= 2 else []
        transcripts["right"].append(list(texts))
        for j, kind in zip(chosen, ("one word", "two words")):
            texts[j] = replacement(texts[j])
            transcripts[kind].append(list(texts))
        if not chosen:
            transcripts["one word"].append(None)
            transcripts["two words"].append(None)
        other = utterances[(i + 1) % len(utterances)][1]
        transcripts["other"].append([word.text for word in other])
    return transcripts


def share_refused(align, waveforms, transcripts):
    """Return the share of transcripts that are refused."""
    refused = []
    for waveform, words in zip(waveforms, transcripts):
        if words is not None:
            try:
                align(waveform, " ".join(words))
                refused.append(False)
            except AlignmentError:
                refused.append(True)
    return np.mean(refused)


def main(corpus, n_utterances=100):
    """Print the table of a corpus."""
    align = PocketsphinxAligner()
    utterances = load(corpus, int(n_utterances))
    merged = Merged()
    estimated = [[False] * len(words) for _, words in utterances]
    if (Path(corpus) / "generator.json").exists():
        estimated = [merged([w.text for w in words]) for _, words in utterances]
        n_words, n_out = sum(map(len, estimated)), sum(map(sum, estimated))
        print(f"{n_out} of {n_words} words have no exact start: left out\n")
    limits = " / ".join(f"{limit * 1000:.0f}" for limit in TOLERANCES)
    print(
        f"| audio | aligned | starts within {limits} ms | seconds of audio per second |"
    )
    print("|---|---|---|---|")
    for name, change in CHANGES.items():
        changed = [(change(waveform), words) for waveform, words in utterances]
        evaluate(name, align, changed, estimated)
    transcripts = wrong_transcripts(align, utterances)
    print(f"\n| refused, by transcript | {' | '.join(transcripts)} |")
    print(f"|---|{'---|' * len(transcripts)}")
    for name, change in CHANGES.items():
        waveforms = [change(waveform) for waveform, _ in utterances]
        shares = (
            f"{share_refused(align, waveforms, texts):.1%}"
            for texts in transcripts.values()
        )
        print(f"| {name} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
