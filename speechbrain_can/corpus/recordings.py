"""Corpora without word times: their words are aligned or recognised first.

A preparation lists ``LabelledRecording`` and calls ``prepare_recordings``. What is
found of a recording is kept in the prepared folder, in ``words/<ID>.json``: a
preparation that was stopped goes on, and the files can be corrected by hand."""

import hashlib
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Dict, Optional

import torch
from tqdm import tqdm

from speechbrain_can.alignment.finding import FoundWords, find_words
from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.audio import AudioError, audio_duration, load_audio
from speechbrain_can.corpus.manifest import DATA_ROOT, Utterance
from speechbrain_can.corpus.prepare import CorpusError, prepare_corpus
from speechbrain_can.files import InputError, is_inside, read_json, write_json

# Of how words are found: what other versions found is found anew.
VERSION = 1


@dataclass(frozen=True)
class LabelledRecording:
    """An utterance of a corpus, and what is known of it.

    Arguments
    ---------
    utterance_id : str
        Unique in the corpus, and a file's name.
    wav : str
        Its audio, relative to the corpus.
    emotion : str
        Its class.
    speaker, session, dialog : str
        Where it comes from; empty where a corpus has no such thing.
    scripted : bool
        Whether the text was given to the speaker.
    transcript : str or None
        What is said; None has to be recognised.
    alignment : str or None
        A file that says when, relative to the corpus: see ``read_alignment``.
    extra : dict of str: str
        Other columns of the manifest, such as ``fold``: a number, or ``train``,
        ``valid`` or ``test``, where the corpus says so.
    """

    utterance_id: str
    wav: str
    emotion: str
    speaker: str = ""
    session: str = ""
    dialog: str = ""
    scripted: bool = False
    transcript: Optional[str] = None
    alignment: Optional[str] = None
    extra: Dict[str, str] = field(default_factory=dict)


def prepare_recordings(
    folder,
    name,
    data_folder,
    protocol,
    fold_seed,
    find_recordings,
    aligner,
    transcriber=None,
    workers=None,
    classes=None,
    rule=(),
    allow_outside=False,
):
    """Writes a prepared corpus, unless it is there already: ``prepare_corpus``.

    Arguments
    ---------
    folder : str or Path
        Where to write.
    name : str
        What results call the corpus.
    data_folder : str or Path
        The corpus.
    protocol : str
        See ``protocols``.
    fold_seed : int
        Seed of random folds.
    find_recordings : callable
        Takes nothing; returns a list of ``LabelledRecording``, and a list of (ID,
        reason) of what is left out.
    aligner : callable
        From a waveform and a transcript to words.
    transcriber : callable or None
        From a waveform to words, where there is no transcript.
    workers : int or None
        Processes that find words; None takes one a core.
    classes : list of str or None
        The emotions, in the order of the class numbers; None takes those of the
        recordings, sorted.
    rule : dict
        What else decides what is in the manifest.
    allow_outside : bool
        Whether audio and alignments may lie outside ``data_folder``; others are
        left out.

    Raises
    ------
    CorpusError
        If nothing can be used, or a process died.
    """
    data_folder = Path(data_folder)
    recordings, skipped = find_recordings()
    if not recordings:
        raise CorpusError(f"{data_folder}: no recording is listed")
    if not allow_outside:
        outside = {
            recording.utterance_id: path
            for recording in recordings
            for path in (recording.wav, recording.alignment)
            if path is not None and not is_inside(path, data_folder)
        }
        skipped += [
            (
                name,
                f"{path} lies outside {data_folder}; give --allow_outside=True",
            )
            for name, path in outside.items()
        ]
        recordings = [r for r in recordings if r.utterance_id not in outside]
    problems = {}

    def find_candidates():
        problems.update(
            find_all_words(
                Path(folder) / "words",
                recordings,
                data_folder,
                aligner,
                transcriber,
                workers,
            )
        )
        return recordings, list(skipped)

    def build_utterance(recording):
        if recording.utterance_id in problems:
            raise AlignmentError(problems[recording.utterance_id])
        found = _read_words(_words_path(Path(folder) / "words", recording))
        return as_utterance(recording, found, data_folder), None

    # What is listed, and which files there are, decide what is in the manifest,
    # as the settings do.
    listed = json.dumps(
        [
            [
                asdict(r),
                _state(data_folder, r.wav),
                _state(data_folder, r.alignment),
            ]
            for r in recordings
        ]
    )
    prepare_corpus(
        folder=folder,
        name=name,
        classes=classes or sorted({r.emotion for r in recordings}),
        data_folder=data_folder,
        protocol=protocol,
        fold_seed=fold_seed,
        rule={
            **dict(rule),
            "version": VERSION,
            "aligner": repr(aligner),
            "transcriber": repr(transcriber),
            "recordings": hashlib.sha256(listed.encode()).hexdigest()[:16],
        },
        find_candidates=find_candidates,
        build_utterance=build_utterance,
    )


def as_utterance(recording, found, data_folder):
    """A row of the manifest."""
    return Utterance(
        utterance_id=recording.utterance_id,
        duration=audio_duration(data_folder / recording.wav),
        wav=(
            recording.wav
            if os.path.isabs(recording.wav)
            else f"{DATA_ROOT}/{recording.wav}"
        ),
        speaker=recording.speaker,
        session=recording.session,
        dialog=recording.dialog,
        scripted=recording.scripted,
        emotion=recording.emotion,
        words=found.tiled(),
        transcription=recording.transcript or "",
        aligned_by=found.aligned_by,
        extra=recording.extra,
    )


def find_all_words(
    folder, recordings, data_folder, aligner, transcriber, workers=None
):
    """Finds the words of recordings side by side, those that are not found yet.

    Returns the reasons, by ID, of those whose words cannot be found.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [
        recording
        for recording in recordings
        if not _is_found(folder, recording, data_folder, aligner, transcriber)
    ]
    if not missing:
        return {}
    workers = min(workers or os.cpu_count(), len(missing))
    settings = (folder, data_folder, aligner, transcriber)
    progress = tqdm(
        total=len(recordings),
        initial=len(recordings) - len(missing),
        desc="words",
        unit="utterance",
        disable=None,
    )
    problems = {}
    with progress:
        for recording, problem in zip(
            missing, _map(missing, settings, workers)
        ):
            progress.update()
            if problem is not None:
                problems[recording.utterance_id] = problem
    return problems


def _map(recordings, settings, workers):
    """The problem, or None, of each recording."""
    if workers == 1:
        for recording in recordings:
            yield _find_and_write(recording, *settings)
        return
    # What is forked from a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, context, initializer=_start, initargs=settings
    ) as pool:
        try:
            yield from pool.map(_find_in_process, recordings, chunksize=4)
        except BrokenProcessPool as error:
            raise CorpusError(
                "a process that finds words died, for want of memory or as it "
                "started; the same command goes on where it was, with fewer "
                "processes if alignment_workers is lower"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_settings = ()


def _start(*settings):
    global _settings
    # a core each: what CTranslate2 starts reads it from here
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    _settings = settings


def _find_in_process(recording):
    return _find_and_write(recording, *_settings)


def _find_and_write(recording, folder, data_folder, aligner, transcriber):
    """Writes the words of a recording; returns why it could not, or None."""
    try:
        waveform, sample_rate = load_audio(data_folder / recording.wav)
        found = find_words(
            waveform,
            sample_rate,
            aligner,
            transcriber,
            recording.transcript,
            recording.alignment and data_folder / recording.alignment,
        )
        found.tiled()
    except (AlignmentError, AudioError) as error:
        return str(error)
    except (InputError, ImportError):
        raise  # it would be the same for every recording
    # whatever a library stumbles over, the others are not to suffer for it
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    write_json(
        _words_path(folder, recording),
        {
            "found_from": _origin(recording, data_folder, aligner, transcriber),
            "aligned_by": found.aligned_by,
            "end": found.end,
            "words": [
                {
                    "word": word.text,
                    "start": word.start,
                    "end": word.end,
                    **({} if word.score is None else {"score": word.score}),
                }
                for word in found.words
            ],
        },
    )
    return None


def _words_path(folder, recording):
    name = recording.utterance_id
    if len(name.encode()) > 200:  # file systems end at 255
        name = f"{name[:50]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return folder / f"{name}.json"


def _read_words(path):
    content = _read(path)
    try:
        words = [
            Word(row["word"], row["start"], row["end"], row.get("score"))
            for row in content["words"]
        ]
        return FoundWords(words, content["end"], content["aligned_by"])
    except (KeyError, TypeError) as error:
        raise _broken(path, error) from error


def _read(path):
    try:
        return read_json(path)
    except ValueError as error:
        raise _broken(path, error) from error


def _broken(path, error):
    return CorpusError(
        f"{path} cannot be read ({error!r}); mend it, or delete it to find its "
        "words anew"
    )


def _is_found(folder, recording, data_folder, aligner, transcriber):
    path = _words_path(folder, recording)
    if not path.exists():
        return False
    origin = _origin(recording, data_folder, aligner, transcriber)
    return _read(path).get("found_from") == origin


def _state(data_folder, path):
    """Size and time of a file; None where there is none."""
    if path is None or not (data_folder / path).exists():
        return None
    stat = os.stat(data_folder / path)
    return stat.st_size, stat.st_mtime_ns


def _origin(recording, data_folder, aligner, transcriber):
    """What words are found from: when it is the same, they are."""
    paths = [recording.wav, recording.alignment]
    stats = [(path, _state(data_folder, path)) for path in paths]
    origin = (VERSION, stats, recording.transcript, repr(aligner))
    digest = hashlib.sha256(repr((*origin, repr(transcriber))).encode())
    return digest.hexdigest()[:16]
