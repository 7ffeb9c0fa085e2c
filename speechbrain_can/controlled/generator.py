"""Controlled corpus: generated speech in IEMOCAP's layout.

IEMOCAP requires a license. This corpus allows running and testing recipes without it.
eSpeak NG speaks real sentences in ten voices, two per session. Each utterance has an
*acted* emotion, its label, which equals the emotion of its text with probability
``agree``. The acting is an acoustic cue on the key word, which carries the emotion
in the text. Decoy words have cues of other emotions, so a model has to find the key
word in the text and its emotion in the audio. ``plan.json`` records all of this.
Scores on this corpus say nothing about IEMOCAP.

Needs espeakng-loader (extra ``demo``). From the command line:

> speechbrain-can make-corpus results/corpus --utterances=4000
"""

import csv
import hashlib
import json
import multiprocessing
import os
import shutil
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Dict, List, Sequence

import numpy as np
import soundfile
import torch
from filelock import FileLock
from tqdm import tqdm

from speechbrain_can.controlled.speech import Synthesizer, equalize
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.io.audio import resample
from speechbrain_can.io.files import read_json, write_json

SENTENCES = Path(__file__).parent / "sentences.tsv"
SAMPLE_RATE = 16000
# Version of the generated speech; stored with the corpus
VERSION = 3
N_SESSIONS = 5
TURNS_PER_DIALOG = 30
SCRIPTED_SHARE = 0.5  # as in IEMOCAP

# Acoustic cue of each emotion: pitch in semitones, level in dB, spectral tilt in dB
# per octave around 1 kHz; followed by their standard deviations
CUES = {
    "ang": (3.0, 8.0, 3.0),
    "exc": (7.0, 4.0, 1.0),
    "hap": (4.0, -1.0, 2.5),
    "sad": (-4.0, -7.0, -3.0),
    "fru": (-3.0, 5.0, -1.5),
    "sur": (9.0, -4.0, -1.0),
    "neu": (0.0, 0.0, 0.0),
}

# Valence, arousal and dominance of each emotion, from 1 to 5, and the standard
# deviation of their ratings
DIMENSIONS = {
    "ang": (1.9, 3.7, 3.9),
    "exc": (4.0, 3.8, 3.4),
    "hap": (3.9, 3.1, 3.2),
    "sad": (2.1, 2.2, 2.5),
    "fru": (2.3, 3.2, 3.2),
    "sur": (3.2, 3.6, 2.8),
    "neu": (3.0, 2.5, 3.0),
}
RATING_SPREAD = 0.3

CUE_SPREAD = (1.0, 1.2, 0.5)
GLOBAL_SHARE = 0.1  # share of the cue on the whole utterance

RATER_NAMES = {
    "ang": "Anger",
    "exc": "Excited",
    "hap": "Happiness",
    "sad": "Sadness",
    "fru": "Frustration",
    "sur": "Surprise",
    "neu": "Neutral state",
}

# Voice, pitch (0-99) and rate (words per minute) of each speaker
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
    """A sentence with the emotion perceived by its readers.

    Arguments
    ---------
    id : str
        Unique name.
    emotion : str
        One of ``CUES``.
    key : int
        Index of the word that carries the emotion.
    words : list of str
        Lower-case words, as an aligner writes them.
    text : str
        Written text.
    """

    id: str
    emotion: str
    key: int
    words: List[str]
    text: str


@dataclass(frozen=True)
class Turn:
    """Plan of one utterance, a record of ``plan.json``.

    Arguments
    ---------
    utterance_id, dialog : str
        IDs as in IEMOCAP.
    session : int
        Starting at 1.
    voice : str
        Key of ``VOICES``.
    emo, text_emotion : str
        Acted emotion, which is the label, and emotion of the text.
    key : int
        Index of the key word.
    plan : dict of int: str
        Emotion of each cue by index of its word, including decoys.
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


def read_sentences(path: str | Path) -> List[Sentence]:
    """Read sentences from a TSV file with ``id, emotion, key, words, text``.

    Sentences whose emotion has no cue are ignored.

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
                f"{path}, line 1: missing columns: {', '.join(missing)}"
            )
        for row in reader:
            words = (row["words"] or "").split()
            key = row["key"] or ""
            if not (key.isdigit() and int(key) < len(words)):
                raise CorpusError(
                    f"{path}, line {reader.line_num}: key {key!r} is not the index "
                    f"of one of the {len(words)} words"
                )
            if row["emotion"] in CUES:
                sentences.append(
                    Sentence(
                        row["id"], row["emotion"], int(key), words, row["text"]
                    )
                )
    if not sentences:
        raise CorpusError(
            f"{path}: no sentence has one of the emotions {', '.join(CUES)}"
        )
    return sentences


def plan_corpus(
    sentences: List[Sentence],
    utterances: int,
    seed: int = 1234,
    agree: float = 0.6,
) -> List[Turn]:
    """Plan speaker, emotion and dialog of each utterance.

    Sentences are used in shuffled rounds, once per round. Half of each session is
    scripted, and all sessions have the same scripts.

    Example
    -------
    >>> turns = plan_corpus(read_sentences(SENTENCES), utterances=20)
    >>> turns[0].utterance_id, turns[-1].utterance_id
    ('Ses01F_impro01_F000', 'Ses05F_script01_1_M000')
    """
    if utterances < N_SESSIONS:
        raise CorpusError(
            f"{utterances} utterances are too few for {N_SESSIONS} sessions"
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
            for first in range(0, len(said), TURNS_PER_DIALOG):
                number = first // TURNS_PER_DIALOG
                turns += _plan_dialog(
                    session,
                    _dialog_name(session, kind, number),
                    said[first : first + TURNS_PER_DIALOG],
                    generator,
                    agree,
                )
    return turns


def _dialog_name(session, kind, number):
    actor = "FM"[number % 2]
    if kind == "impro":
        return f"Ses{session:02d}{actor}_impro{number // 2 + 1:02d}"
    # a script has up to three parts, as in IEMOCAP
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


def rate(emotion: str, seed: Sequence[int]) -> np.ndarray:
    """Return valence, arousal and dominance of an utterance, from 1 to 5."""
    # Another stream of random numbers than that of the speech
    generator = np.random.default_rng([*seed, 1])
    ratings = generator.normal(DIMENSIONS[emotion], RATING_SPREAD)
    return ratings.clip(1, 5).round(4)


def act(
    turn: Turn, synthesizer: Synthesizer, seed: Sequence[int]
) -> tuple[np.ndarray, List[float]]:
    """Synthesize one utterance.

    Returns a waveform ``[samples]`` at ``SAMPLE_RATE``, and the start of each word
    followed by the end of the last one, in seconds.
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
    samples = _apply_cues(samples * 0.25, rate, bounds, cues[:, 1:])

    before, after = generator.uniform(0.1, 0.4, size=2)
    samples = np.pad(samples, (int(before * rate), int(after * rate)))
    samples = samples + generator.normal(0, 1e-4, len(samples))
    waveform = resample(
        torch.from_numpy(samples).float(), rate, SAMPLE_RATE
    ).numpy()
    bounds = (bounds + int(before * rate)) / rate
    # avoid clipping
    return waveform / max(1.0, np.abs(waveform).max() / 0.95), bounds.tolist()


def _apply_cues(
    samples: np.ndarray, rate: int, bounds: np.ndarray, cues: np.ndarray
) -> np.ndarray:
    """Apply level and tilt to each word, with fades of 5 ms."""
    result = samples.copy()
    for start, stop, (level, tilt) in zip(bounds[:-1], bounds[1:], cues):
        length = min(round(0.005 * rate), (stop - start) // 2)
        fade = np.ones(stop - start)
        ramp = np.linspace(0, 1, length, endpoint=False)
        fade[:length], fade[len(fade) - length :] = ramp, ramp[::-1]
        word = samples[start:stop]
        result[start:stop] += fade * (equalize(word, rate, level, tilt) - word)
    return result


def make_corpus(
    folder: str | Path,
    utterances: int = 600,
    sentences: str | Path | None = None,
    seed: int = 1234,
    agree: float = 0.6,
    workers: int | None = None,
) -> None:
    """Generate the corpus, unless the folder already contains it.

    The files depend only on the arguments, not on the number of workers.
    """
    folder = Path(folder)
    sentences = Path(sentences or SENTENCES)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        # before locking, because processes would wait for this one
        _check_processes(_processes())
    # If several runs need the same corpus, one generates it and others wait.
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
                f"{folder} exists but is not a controlled corpus with the settings "
                f"{settings}. Choose another folder, or pass "
                "--generator=null to use this one."
            )
        return
    turns = plan_corpus(read_sentences(sentences), utterances, seed, agree)
    dialogs = {}
    for i, turn in enumerate(turns):
        dialogs.setdefault(turn.dialog, []).append((turn, [seed, i]))
    scratch = folder.with_name(folder.name + ".partial")
    shutil.rmtree(scratch, ignore_errors=True)
    write = partial(_write_dialog, scratch)
    # The output of eSpeak NG depends on what it spoke before. With a new process
    # per dialog, the corpus does not depend on the number of workers.
    with _processes().Pool(workers, maxtasksperchild=1) as pool:
        for _ in tqdm(
            pool.imap_unordered(write, dialogs.values()),
            total=len(dialogs),
            desc="synthesis",
            unit="dialog",
            disable=None,
        ):
            pass
    with open(scratch / "plan.json", "w", encoding="utf-8") as stream:
        json.dump([_record(turn) for turn in turns], stream)
    write_json(scratch / "generator.json", settings)
    os.replace(scratch, folder)


def _record(turn: Turn) -> dict:
    """Return a turn as a record of ``plan.json``."""
    record = asdict(turn)
    return {"utt": record.pop("utterance_id"), **record}


def _processes():
    """Return a context whose processes start fast and share imports."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "speechbrain_can.corpus.preparation",
            "speechbrain_can.controlled.speech",
        ]
    )
    return context


def _check_processes(context: BaseContext) -> None:
    """Refuse a script that every process would run again, which would not end."""
    process = context.Process(target=_do_nothing)
    process.start()
    process.join()
    if process.exitcode:
        raise CorpusError(
            "processes cannot be started. In a script, call make_corpus below "
            "'if __name__ == \"__main__\":', because each process imports the script."
        )


def _do_nothing() -> None:
    """Run in a process that only tests whether processes can be started."""


def _write_dialog(root: Path, dialog: list) -> None:
    """Synthesize and write one dialog in its own process."""
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
        ratings = ", ".join(f"{v:.4f}" for v in rate(turn.emo, seed))
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
            f"[{ratings}]",
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


def format_wdseg(
    words: Sequence[str], bounds: Sequence[float], duration: float
) -> str:
    """Format an alignment like the Sphinx-3 aligner.

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
