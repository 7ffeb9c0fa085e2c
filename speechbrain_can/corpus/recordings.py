"""Recordings of a corpus, and the search for words without timings.

Words that an aligner or a speech recognizer found are stored in the prepared folder
as ``words/<ID>.json``: an interrupted preparation resumes, and the files can be
corrected by hand.
"""

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Iterator, Optional

import torch
from tqdm import tqdm

from speechbrain_can.alignment.pipeline import FoundWords, find_words
from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.io.audio import AudioError, load_audio
from speechbrain_can.io.files import (
    InputError,
    existing_form,
    read_json,
    write_json,
)
from speechbrain_can.io.integrity import fingerprint

# Version of the word search; words found by other versions are discarded.
VERSION = 2


@dataclass(frozen=True)
class LabeledRecording:
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
    votes : str
        Votes of raters, such as ``fru:2 ang:1``; empty if unknown.
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
    votes: str = ""
    extra: Dict[str, str] = field(default_factory=dict)


def state_of(data_folder: Path, path: str | None) -> tuple[int, int] | None:
    """Return size and modification time of a file, or None if it does not exist."""
    if path is None:
        return None
    place = existing_form(data_folder / path)
    if not os.path.exists(place):
        return None
    stat = os.stat(place)
    return stat.st_size, stat.st_mtime_ns


@dataclass(frozen=True)
class WordSearch:
    """Aligns or transcribes recordings and stores their words.

    Arguments
    ---------
    folder : Path
        Folder of the stored words.
    data_folder : Path
        Folder of the corpus.
    aligner : callable or None
        Maps a waveform and a transcript to words.
    transcriber : callable or None
        Maps a waveform to words, for recordings without a transcript.
    """

    folder: Path
    data_folder: Path
    aligner: Optional[Callable]
    transcriber: Optional[Callable]

    def run(
        self, recordings: list[LabeledRecording], workers: int | None = None
    ) -> dict[str, str]:
        """Find the words of recordings in parallel, skipping those already found.

        Returns the reasons, by ID, for recordings whose words were not found.
        """
        missing = [r for r in recordings if not self._is_found(r)]
        if not missing:
            return {}
        self.folder.mkdir(parents=True, exist_ok=True)
        workers = min(workers or os.cpu_count(), len(missing))
        problems = {}
        with tqdm(
            total=len(recordings),
            initial=len(recordings) - len(missing),
            desc="words",
            unit="utterance",
            disable=None,
        ) as progress:
            for recording, problem in zip(missing, self._map(missing, workers)):
                progress.update()
                if problem is not None:
                    problems[recording.utterance_id] = problem
        return problems

    def read(self, recording: LabeledRecording) -> FoundWords:
        """Return the stored words of a recording."""
        path = self._path(recording)
        content = _read(path)
        try:
            words = [
                Word(row["word"], row["start"], row["end"], row.get("score"))
                for row in content["words"]
            ]
            return FoundWords(
                words,
                content["end"],
                content["aligned_by"],
                adjustments=tuple(content["adjustments"]),
            )
        except (KeyError, TypeError) as error:
            raise _unreadable(path, error) from error

    def find(self, recording: LabeledRecording) -> str | None:
        """Store the words of a recording; return the reason if it has none."""
        try:
            waveform, sample_rate = load_audio(self.data_folder / recording.wav)
            found = find_words(
                waveform,
                sample_rate,
                self.aligner,
                self.transcriber,
                recording.transcript,
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
            self._path(recording),
            {
                "found_from": self._origin(recording),
                "aligned_by": found.aligned_by,
                "end": found.end,
                "adjustments": list(found.adjustments),
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

    def _map(
        self, recordings: list[LabeledRecording], workers: int
    ) -> Iterator[str | None]:
        """Yield the problem, or None, of each recording."""
        if workers == 1:
            yield from map(self.find, recordings)
            return
        # Processes forked from one with threads may hang.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            workers, context, initializer=_start, initargs=(self,)
        ) as pool:
            try:
                yield from pool.map(_find_in_process, recordings, chunksize=4)
            except BrokenProcessPool as error:
                raise CorpusError(
                    "an alignment process died, most likely because memory ran "
                    "out. Run the same command again to resume; pass a lower "
                    "--alignment_workers to use fewer processes. A script must "
                    "call this below 'if __name__ == \"__main__\":'."
                ) from error
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _path(self, recording: LabeledRecording) -> Path:
        """Return the file of a recording's words."""
        name = recording.utterance_id
        if len(name.encode()) > 200:  # the limit of file systems is 255
            name = f"{name[:50]}-{fingerprint(name)}"
        return self.folder / f"{name}.json"

    def _is_found(self, recording: LabeledRecording) -> bool:
        """Return whether words are stored that still apply."""
        path = self._path(recording)
        return path.exists() and (
            _read(path).get("found_from") == self._origin(recording)
        )

    def _origin(self, recording: LabeledRecording) -> str:
        """Return a fingerprint of everything that determines the words."""
        origin = (
            VERSION,
            recording.wav,
            state_of(self.data_folder, recording.wav),
            recording.transcript,
            repr(self.aligner),
            repr(self.transcriber),
        )
        return fingerprint(*origin)


def _read(path: Path) -> dict:
    """Read a file of stored words."""
    try:
        return read_json(path)
    except ValueError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CorpusError:
    """Return the error of a damaged file of stored words."""
    return CorpusError(
        f"{path} cannot be read ({error!r}). Correct it, or delete it to align "
        "the recording again."
    )


_search = None  # of a worker process


def _start(search: WordSearch) -> None:
    """Initialize a worker process."""
    global _search
    # Ctrl-C reaches the whole group; only the main process reports it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One core per process; CTranslate2 reads this variable.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    _search = search


def _find_in_process(recording: LabeledRecording) -> str | None:
    return _search.find(recording)
