"""A controlled corpus in IEMOCAP's layout, made on the spot.

IEMOCAP is licensed; this corpus lets the recipes run, and be tested, without it.
eSpeak NG speaks real sentences in ten voices, two a session. Every utterance is
*acted* in one emotion, its label; in a share ``agree`` of cases that is the
emotion of its text. The acting is a cue on the one word that carries the
emotion in the text, with decoy cues of other emotions on other words, so that
text tells where to listen and audio what is felt there. ``plan.json`` records
it all. Scores on it are scores on it: they say nothing of IEMOCAP.

Needs espeakng-loader (extra ``demo``). To make one by hand:

> python -m speechbrain_can make-corpus results/corpus --utterances=4000"""

import csv
import hashlib
import json
import multiprocessing
import os
import shutil
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Dict, List

import numpy as np
import soundfile
import torch
import torchaudio
from filelock import FileLock
from tqdm import tqdm

from speechbrain_can.controlled.speech import Synthesizer, colour
from speechbrain_can.corpus.prepare import CorpusError
from speechbrain_can.files import read_json, write_json

SENTENCES = Path(__file__).parent / "sentences.tsv"


SAMPLE_RATE = 16000
# Of what is spoken: a corpus of another is not taken for this one.
VERSION = 2


N_SESSIONS = 5


TURNS_A_DIALOG = 30


SCRIPTED_SHARE = 0.5  # as in IEMOCAP


# Cue of each emotion: pitch in semitones, level in dB, tilt in dB an octave
# about 1 kHz; then the spread of each.
CUES = {
    "ang": (3.0, 8.0, 3.0),
    "exc": (7.0, 4.0, 1.0),
    "hap": (4.0, -1.0, 2.5),
    "sad": (-4.0, -7.0, -3.0),
    "fru": (-3.0, 5.0, -1.5),
    "sur": (9.0, -4.0, -1.0),
    "neu": (0.0, 0.0, 0.0),
}


CUE_SPREAD = (1.0, 1.2, 0.5)


GLOBAL_SHARE = 0.1  # of the cue, on the whole utterance


RATER_NAMES = {
    "ang": "Anger",
    "exc": "Excited",
    "hap": "Happiness",
    "sad": "Sadness",
    "fru": "Frustration",
    "sur": "Surprise",
    "neu": "Neutral state",
}


# Voice, pitch (0-99) and rate (words a minute) of the talkers.
VOICES = {
    "1F": ("en-us+f1", 60, 165),
    "1M": ("en-us+m1", 40, 160),
    "2F": ("en-us+f2", 50, 175),
    "2M": ("en-us+m2", 35, 170),
    "3F": ("en-us+f3", 55, 160),
    "3M": ("en-us+m3", 45, 180),
    "4F": ("en-us+f4", 45, 170),
    "4M": ("en-us+m4", 50, 165),
    "5F": ("en-us+f5", 50, 180),
    "5M": ("en-us+m7", 40, 175),
}


@dataclass(frozen=True)
class Sentence:
    """A sentence and the emotion that its readers saw in it.

    Arguments
    ---------
    id : str
        Its name.
    emotion : str
        One of ``CUES``.
    key : int
        Position of the word that carries the emotion.
    words : list of str
        In lower case, as an aligner writes them.
    text : str
        As it is written.
    """

    id: str
    emotion: str
    key: int
    words: List[str]
    text: str


@dataclass(frozen=True)
class Turn:
    """The plan of one utterance, a record of ``plan.json``.

    Arguments
    ---------
    utterance_id, dialog : str
        IDs as in IEMOCAP.
    session : int
        From 1.
    voice : str
        eSpeak NG's name of the voice.
    emo, text_emotion : str
        What is acted, which is the label, and what the text says.
    key : int
        Position of the word that carries the cue.
    plan : dict of int: str
        Emotion of every cue by the position of its word, decoys included.
    uid, text : str
        The sentence.
    words : list of str
        Its words.
    """

    utterance_id: str
    dialog: str
    session: int
    voice: str
    emo: str
    text_emotion: str
    key: int
    plan: Dict[int, str]
    uid: str
    text: str
    words: List[str]


def read_sentences(path):
    """Reads sentences from a TSV with ``id, emotion, key, words, text``.

    Sentences of emotions that have no cue are passed over.

    Example
    -------
    >>> len(read_sentences(SENTENCES))
    154
    """
    columns = ["id", "emotion", "key", "words", "text"]
    sentences = []
    with open(path, newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = [c for c in columns if c not in (reader.fieldnames or ())]
        if missing:
            raise CorpusError(
                f"{path}, line 1: missing column(s) {', '.join(missing)}"
            )
        for row in reader:
            words = (row["words"] or "").split()
            key = row["key"] or ""
            if not (key.isdigit() and int(key) < len(words)):
                raise CorpusError(
                    f"{path}, line {reader.line_num}: key {key!r} is not the "
                    f"position of one of {len(words)} words"
                )
            if row["emotion"] in CUES:
                sentences.append(
                    Sentence(
                        row["id"], row["emotion"], int(key), words, row["text"]
                    )
                )
    if not sentences:
        raise CorpusError(f"{path}: no sentence of {', '.join(CUES)}")
    return sentences


def plan_corpus(sentences, utterances, seed=1234, agree=0.6):
    """Decides who says what, how, and in which dialog.

    Sentences come in shuffled rounds, each once a round. Half of a session is
    scripted, and the scripts are the same in every session.

    Example
    -------
    >>> turns = plan_corpus(read_sentences(SENTENCES), utterances=20)
    >>> turns[0].utterance_id, turns[-1].utterance_id
    ('Ses01F_impro01_F000', 'Ses05F_script01_1_M000')
    """
    if utterances < N_SESSIONS:
        raise CorpusError(
            f"{utterances} utterances are fewer than {N_SESSIONS} sessions"
        )
    generator = np.random.default_rng(seed)

    def endless():
        while True:
            for i in generator.permutation(len(sentences)):
                yield sentences[i]

    source = endless()
    largest = -(-utterances // N_SESSIONS)
    script = [next(source) for _ in range(round(largest * SCRIPTED_SHARE))]
    turns = []
    for session in range(1, N_SESSIONS + 1):
        count = utterances // N_SESSIONS
        count += session <= utterances % N_SESSIONS
        n_scripted = round(count * SCRIPTED_SHARE)
        improvised = [next(source) for _ in range(count - n_scripted)]
        for kind, said in (("impro", improvised), ("script", script)):
            said = said[: n_scripted if kind == "script" else None]
            for first in range(0, len(said), TURNS_A_DIALOG):
                number = first // TURNS_A_DIALOG
                turns += _plan_dialog(
                    session,
                    _dialog_name(session, kind, number),
                    said[first : first + TURNS_A_DIALOG],
                    generator,
                    agree,
                )
    return turns


def _dialog_name(session, kind, number):
    actor = "FM"[number % 2]
    if kind == "impro":
        return f"Ses{session:02d}{actor}_impro{number // 2 + 1:02d}"
    # a script has up to three parts, as IEMOCAP's have
    script, part = divmod(number // 2, 3)
    return f"Ses{session:02d}{actor}_script{script + 1:02d}_{part + 1}"


def _plan_dialog(session, dialog, said, generator, agree):
    emotions = list(CUES)
    spoken = {"F": 0, "M": 0}
    turns = []
    for i, sentence in enumerate(said):
        talker = "FM"[i % 2]
        emotion = sentence.emotion
        if generator.random() >= agree:
            emotion = generator.choice([e for e in emotions if e != emotion])
        others = [i for i in range(len(sentence.words)) if i != sentence.key]
        n_decoys = min(len(others), 1 if len(sentence.words) < 8 else 2)
        plan = {sentence.key: str(emotion)}
        for place in generator.choice(others, n_decoys, replace=False):
            decoy = generator.choice([e for e in emotions if e != emotion])
            plan[int(place)] = str(decoy)
        turns.append(
            Turn(
                utterance_id=f"{dialog}_{talker}{spoken[talker]:03d}",
                dialog=dialog,
                session=session,
                voice=f"{session}{talker}",
                emo=str(emotion),
                text_emotion=sentence.emotion,
                key=sentence.key,
                plan=plan,
                uid=sentence.id,
                text=sentence.text,
                words=sentence.words,
            )
        )
        spoken[talker] += 1
    return turns


def act(turn, synthesizer, seed):
    """Speaks one utterance as planned.

    Returns a waveform ``[samples]`` at ``SAMPLE_RATE``, and the start of each word
    and the end of the last in seconds.
    """
    generator = np.random.default_rng(seed)
    cues = GLOBAL_SHARE * np.tile(CUES[turn.emo], (len(turn.words), 1))
    for place, emotion in turn.plan.items():
        cues[place] += CUES[emotion] + generator.normal(0, CUE_SPREAD)
    voice, pitch, rate = VOICES[turn.voice]
    end = turn.text.strip()[-1]
    samples, starts = synthesizer.speak(
        turn.words, voice, pitch, rate, cues[:, 0], end if end in "?!" else "."
    )
    rate = synthesizer.sample_rate
    bounds = np.append(starts, len(samples))
    samples = _colour_words(samples * 0.25, rate, bounds, cues[:, 1:])

    before, after = generator.uniform(0.1, 0.4, size=2)
    samples = np.pad(samples, (int(before * rate), int(after * rate)))
    samples = samples + generator.normal(0, 1e-4, len(samples))
    waveform = torchaudio.functional.resample(
        torch.from_numpy(samples).float(), rate, SAMPLE_RATE
    ).numpy()
    bounds = (bounds + int(before * rate)) / rate
    # a shout must not clip
    return waveform / max(1.0, np.abs(waveform).max() / 0.95), bounds.tolist()


def _colour_words(samples, rate, bounds, cues):
    """Colours each word, faded over 5 ms into its neighbours."""
    coloured = samples.copy()
    for start, stop, (level, tilt) in zip(bounds[:-1], bounds[1:], cues):
        length = min(round(0.005 * rate), (stop - start) // 2)
        fade = np.ones(stop - start)
        ramp = np.linspace(0, 1, length, endpoint=False)
        fade[:length], fade[len(fade) - length :] = ramp, ramp[::-1]
        word = samples[start:stop]
        coloured[start:stop] += fade * (colour(word, rate, level, tilt) - word)
    return coloured


def make_corpus(
    folder, utterances=600, sentences=None, seed=1234, agree=0.6, workers=None
):
    """Makes the corpus, unless the folder holds it already.

    The same arguments give the same files, whatever the number of workers.
    """
    folder = Path(folder)
    sentences = Path(sentences or SENTENCES)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Of runs that need the same corpus, one makes it and the others wait.
    with FileLock(folder.with_name(folder.name + ".lock")):
        _make_corpus(folder, utterances, sentences, seed, agree, workers)


def _make_corpus(folder, utterances, sentences, seed, agree, workers):
    settings = {
        "version": VERSION,
        "utterances": utterances,
        "sentences": hashlib.sha256(sentences.read_bytes()).hexdigest(),
        "seed": seed,
        "agree": agree,
    }
    if folder.exists():
        written = folder / "generator.json"
        if not (written.exists() and read_json(written) == settings):
            raise CorpusError(
                f"{folder} holds something else than the controlled corpus with "
                f"{settings}; give another folder or delete this one"
            )
        return
    turns = plan_corpus(read_sentences(sentences), utterances, seed, agree)
    dialogs = {}
    for i, turn in enumerate(turns):
        dialogs.setdefault(turn.dialog, []).append((turn, [seed, i]))
    scratch = folder.with_name(folder.name + ".partial")
    shutil.rmtree(scratch, ignore_errors=True)
    write = partial(_write_dialog, scratch)
    # eSpeak NG remembers what it spoke: a new process for every dialog makes
    # the corpus the same however the dialogs are shared out.
    with _processes().Pool(workers, maxtasksperchild=1) as pool:
        for _ in tqdm(
            pool.imap_unordered(write, dialogs.values()),
            total=len(dialogs),
            desc="speaking",
            unit="dialog",
            disable=None,
        ):
            pass
    with open(scratch / "plan.json", "w", encoding="utf-8") as stream:
        json.dump([_record(turn) for turn in turns], stream)
    write_json(scratch / "generator.json", settings)
    os.replace(scratch, folder)


def _record(turn):
    """A turn as ``plan.json`` has it, the ID under ``utt``."""
    record = asdict(turn)
    return {"utt": record.pop("utterance_id"), **record}


def _processes():
    """Processes that start fast: all of them share what is imported here."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["speechbrain_can.corpus.prepare", "speechbrain_can.controlled.speech"]
    )
    return context


def _write_dialog(root, dialog):
    """Speaks and writes one dialog; runs in a process of its own."""
    torch.set_num_threads(1)
    synthesizer = Synthesizer()
    first = dialog[0][0]
    session = root / f"Session{first.session}"
    wavs = session / "sentences" / "wav" / first.dialog
    alignments = session / "sentences" / "ForcedAlignment" / first.dialog
    labels = session / "dialog" / "EmoEvaluation"
    transcriptions = session / "dialog" / "transcriptions"
    for path in (wavs, alignments, labels, transcriptions):
        path.mkdir(parents=True, exist_ok=True)
    label_lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"]
    text_lines = []
    time = 5.0
    for turn, seed in dialog:
        waveform, bounds = act(turn, synthesizer, seed)
        soundfile.write(
            wavs / f"{turn.utterance_id}.wav", waveform, SAMPLE_RATE
        )
        duration = len(waveform) / SAMPLE_RATE
        (alignments / f"{turn.utterance_id}.wdseg").write_text(
            format_wdseg(turn.words, bounds, duration), encoding="utf-8"
        )
        end = time + duration
        label_lines += [
            "",
            f"[{time:.4f} - {end:.4f}]\t{turn.utterance_id}\t{turn.emo}\t"
            "[2.5000, 2.5000, 2.5000]",
            f"C-E1:\t{RATER_NAMES[turn.emo]};\t()",
        ]
        text_lines.append(
            f"{turn.utterance_id} [{time:08.4f}-{end:08.4f}]: {turn.text}"
        )
        time = end + 0.4
    for folder, lines in ((labels, label_lines), (transcriptions, text_lines)):
        (folder / f"{first.dialog}.txt").write_text(
            "\n".join(lines) + "\n", encoding="utf-8"
        )


def format_wdseg(words, bounds, duration):
    """An alignment in the format of the Sphinx-3 aligner.

    Example
    -------
    >>> for line in format_wdseg(["hi"], [0.52, 0.76], 1.0).splitlines():
    ...     print(line.split())
    ['SFrm', 'EFrm', 'SegAScr', 'Word']
    ['0', '51', '0', '<s>']
    ['52', '75', '0', 'hi']
    ['76', '99', '0', '</s>']
    ['Total', 'score:', '0']
    """
    frames = [0, *(round(bound * 100) for bound in bounds)]
    frames.append(int(duration * 100))
    rows = [
        f"\t{first:5d} {after - 1:5d} {0:10d} {word}\n"
        for first, after, word in zip(
            frames[:-1], frames[1:], ["<s>", *words, "</s>"]
        )
        if after > first
    ]
    header = f"\t{'SFrm':>5} {'EFrm':>5} {'SegAScr':>10} Word\n"
    return header + "".join(rows) + f" Total score: {0:11d}\n"
