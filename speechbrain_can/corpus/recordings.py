"""Preparation of corpora without word timings.

A recipe lists ``LabelledRecording`` objects and calls ``prepare_recordings``, which
aligns or transcribes each recording. Words are stored in the prepared folder as
``words/<ID>.json``: an interrupted preparation resumes, and the files can be
corrected by hand.
"""

import hashlib
import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Callable, Dict, Iterator, Optional, Sequence

import torch
from tqdm import tqdm

from speechbrain_can.alignment.pipeline import FoundWords, find_words
from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.corpus.manifest import DATA_ROOT, Utterance
from speechbrain_can.corpus.preparation import CorpusError, prepare_corpus
from speechbrain_can.io.audio import AudioError, audio_duration, load_audio
from speechbrain_can.io.files import (
    InputError,
    is_inside,
    read_json,
    write_json,
)

# Version of the word search; words found by other versions are discarded.
VERSION = 1


@dataclass(frozen=True)
class LabelledRecording:
    """A labeled recording of a corpus.

    Arguments
    ---------
    utterance_id : str
        Unique in the corpus and usable as a file name.
    wav : str
        Audio file, relative to the corpus.
    emotion : str
        The label.
    speaker, session, dialog : str
        Origin of the recording; empty if the corpus does not specify it.
    scripted : bool
        Whether the speaker was given the text.
    transcript : str or None
        The spoken words; None to transcribe the audio.
    alignment : str or None
        A file with word timings, relative to the corpus; see
        ``read_alignment``.
    extra : dict of str: str
        Additional columns of the manifest, such as ``fold``: a number, or
        ``train``, ``valid`` or ``test``.
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
    folder: str | Path,
    name: str,
    data_folder: str | Path,
    protocol: str,
    fold_seed: int,
    find_recordings: Callable,
    aligner: Callable,
    transcriber: Callable | None = None,
    workers: int | None = None,
    classes: Sequence[str] | None = None,
    rule: dict = (),
    allow_outside: bool = False,
) -> None:
    """Prepare a corpus of recordings, unless it is already prepared.

    Arguments
    ---------
    folder : str or Path
        Output folder.
    name : str
        Name of the corpus in results.
    data_folder : str or Path
        The corpus.
    protocol : str
        See ``protocols``.
    fold_seed : int
        Seed of random folds.
    find_recordings : callable
        Takes no arguments; returns a list of ``LabelledRecording`` and a list of
        (ID, reason) for skipped recordings.
    aligner : callable
        Maps a waveform and a transcript to words.
    transcriber : callable or None
        Maps a waveform to words, for recordings without a transcript.
    workers : int or None
        Processes that align and transcribe; None for one per core.
    classes : list of str or None
        The emotions, in the order of the class indices; None for those of the
        recordings, sorted.
    rule : dict
        Everything else that determines the manifest.
    allow_outside : bool
        Whether audio and alignments may lie outside ``data_folder``; if not,
        such recordings are skipped.

    Raises
    ------
    CorpusError
        If no recording is usable, or a worker process died.
    """
    data_folder = Path(data_folder)
    recordings, skipped = find_recordings()
    if not recordings:
        raise CorpusError(f"{data_folder}: the corpus lists no recordings")
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
                f"{path} is outside {data_folder}. If this is intended, pass "
                "--allow_outside=True.",
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

    # The manifest depends on the list of recordings and on the state of files.
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


def as_utterance(
    recording: LabelledRecording, found: FoundWords, data_folder: Path
) -> Utterance:
    """Convert a recording and its words to a row of the manifest."""
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
    folder: Path,
    recordings: list[LabelledRecording],
    data_folder: Path,
    aligner: Callable,
    transcriber: Callable | None,
    workers: int | None = None,
) -> dict[str, str]:
    """Find the words of recordings in parallel, skipping those already found.

    Returns the reasons, by ID, for recordings whose words were not found.
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


def _map(
    recordings: list[LabelledRecording], settings: tuple, workers: int
) -> Iterator[str | None]:
    """Yield the problem, or None, of each recording."""
    if workers == 1:
        for recording in recordings:
            yield _find_and_write(recording, *settings)
        return
    # Processes forked from one with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, context, initializer=_start, initargs=settings
    ) as pool:
        try:
            yield from pool.map(_find_in_process, recordings, chunksize=4)
        except BrokenProcessPool as error:
            raise CorpusError(
                "an alignment process died, most likely because memory ran out. "
                "Run the same command again to resume; pass a lower "
                "--alignment_workers to use fewer processes."
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_settings = ()


def _start(*settings):
    global _settings
    # One core per process; CTranslate2 reads this variable.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    _settings = settings


def _find_in_process(recording):
    return _find_and_write(recording, *_settings)


def _find_and_write(
    recording: LabelledRecording,
    folder: Path,
    data_folder: Path,
    aligner: Callable,
    transcriber: Callable | None,
) -> str | None:
    """Write the words of a recording; return the reason if they are not found."""
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
        raise  # would occur for every recording
    # Unexpected errors of a library must not stop the other recordings.
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
    if len(name.encode()) > 200:  # the limit of file systems is 255
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
        f"{path} cannot be read ({error!r}). Correct it, or delete it to align "
        "the recording again."
    )


def _is_found(folder, recording, data_folder, aligner, transcriber):
    path = _words_path(folder, recording)
    if not path.exists():
        return False
    origin = _origin(recording, data_folder, aligner, transcriber)
    return _read(path).get("found_from") == origin


def _state(data_folder: Path, path: str | None) -> tuple[int, int] | None:
    """Return size and modification time of a file, or None if it does not exist."""
    if path is None or not (data_folder / path).exists():
        return None
    stat = os.stat(data_folder / path)
    return stat.st_size, stat.st_mtime_ns


def _origin(
    recording: LabelledRecording,
    data_folder: Path,
    aligner: Callable,
    transcriber: Callable | None,
) -> str:
    """Return a fingerprint of everything that determines the words of a recording."""
    paths = [recording.wav, recording.alignment]
    stats = [(path, _state(data_folder, path)) for path in paths]
    origin = (VERSION, stats, recording.transcript, repr(aligner))
    digest = hashlib.sha256(repr((*origin, repr(transcriber))).encode())
    return digest.hexdigest()[:16]
