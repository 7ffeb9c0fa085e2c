"""Preparation of a corpus: a folder of CSV files for all experiments.

A recipe lists the ``LabeledRecording`` objects of a corpus as a ``CorpusSource`` and
calls ``prepare_corpus``, which finds the words of each recording, records skipped and
adjusted utterances with reasons, writes manifest and folds, and returns immediately
if the corpus is already prepared.
"""

import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import pandas as pd
from filelock import FileLock
from tqdm import tqdm

from speechbrain_can.alignment.pipeline import (
    AlignmentFile,
    FoundWords,
    words_of_alignment,
)
from speechbrain_can.alignment.words import AlignmentError, Words
from speechbrain_can.corpus.fold_lists import write_folds
from speechbrain_can.corpus.manifest import (
    DATA_ROOT,
    Utterance,
    check_texts,
    check_utterances,
    check_words,
    read_manifest,
    write_manifest,
    write_reasons,
)
from speechbrain_can.corpus.names import unify_names
from speechbrain_can.corpus.prepared import (
    CHECKSUMS,
    RECORDINGS,
    CorpusError,
    check_unchanged,
    checksums,
    folds_path,
    seal,
    store_checksum,
)
from speechbrain_can.corpus.protocols import is_changing, make_folds
from speechbrain_can.corpus.recordings import (
    LabeledRecording,
    WordSearch,
    state_of,
)
from speechbrain_can.io.audio import AudioError, audio_duration
from speechbrain_can.io.console import show
from speechbrain_can.io.files import (
    existing_form,
    is_inside,
    read_json,
    write_json,
)
from speechbrain_can.io.integrity import (
    checksum,
    checksum_of_file,
    fingerprint_of,
)

VERSION = 4  # corpora prepared by other versions are prepared again
CHUNK = 4096  # recordings that are submitted to the threads at once
SURPLUS = 0.5  # seconds of audio after the last word that are not reported


@dataclass(frozen=True)
class CorpusSource:
    """The recordings of a released corpus.

    Arguments
    ---------
    name : str
        Name of the corpus in results.
    data_folder : str or Path
        Folder that the paths of recordings are relative to.
    recordings : list of LabeledRecording
        The recordings to use.
    skipped : list of (str, str)
        ID and reason of the others.
    classes : list of str or None
        The emotions, in the order of the class indices; None for those of the
        recordings, sorted.
    reference_counts : dict of str: int or None
        Utterances per class in the reproduced publication.
    find_words : callable or None
        Maps a ``LabeledRecording`` and its duration in seconds to ``FoundWords``
        and the description of an adjustment or None. Raises ``AlignmentError`` to
        skip the recording. None reads, aligns or transcribes.
    rule : dict
        Everything that determines the result of ``find_words``, such as a version.
    allow_outside : bool
        Whether files may lie outside ``data_folder``; if not, such recordings are
        skipped.
    tier : str or None
        Tier of the words in the alignment files; None for that of a known tool.
    """

    name: str
    data_folder: str | Path
    recordings: List[LabeledRecording]
    skipped: List[Tuple[str, str]]
    classes: Optional[Sequence[str]] = None
    reference_counts: Optional[Dict[str, int]] = None
    find_words: Optional[Callable] = None
    rule: dict = field(default_factory=dict)
    allow_outside: bool = False
    tier: Optional[str] = None


def prepare_corpus(
    source: CorpusSource,
    save_folder: str | Path,
    protocol: str = "group:speaker",
    fold_seed: int = 1234,
    aligner: Callable | None = None,
    transcriber: Callable | None = None,
    workers: int | None = None,
) -> None:
    """Prepare a corpus, unless it is already prepared.

    If the list of recordings, their files or the settings have changed, the corpus
    is prepared again. Words that were aligned or transcribed are kept, so an
    interrupted preparation resumes.

    Arguments
    ---------
    source : CorpusSource
        The recordings.
    save_folder : str or Path
        Output folder.
    protocol : str
        See ``protocols``.
    fold_seed : int
        Seed of random folds.
    aligner : callable or None
        Maps a waveform and a transcript to words, for recordings without an
        alignment.
    transcriber : callable or None
        Maps a waveform to words, for recordings without a transcript.
    workers : int or None
        Processes that align and transcribe; None for one per core.

    Raises
    ------
    CorpusError
        If no recording is usable, or a worker process died.
    """
    folder = Path(save_folder)
    if not (source.recordings or source.skipped):
        raise CorpusError(
            f"{source.data_folder}: the corpus lists no recordings"
        )
    source = _without_outside(source)
    recordings, unified = unify_names(source.recordings)
    source = replace(source, recordings=recordings)
    search = WordSearch(
        folder / "words", Path(source.data_folder), aligner, transcriber
    )
    description = _describe_source(source, search, fold_seed)
    folder.mkdir(parents=True, exist_ok=True)
    # If several runs need the same corpus, one prepares it and others wait.
    with FileLock(folder / "prepare.lock"):
        if _is_outdated(folder, description):
            for stale in (
                folder / "corpus.json",
                folder / CHECKSUMS,
                *folder.glob("folds_*.csv"),
            ):
                stale.unlink(missing_ok=True)
            utterances = _write_utterances(
                folder, source, search, workers, dict(unified)
            )
            show(
                count_classes(
                    utterances, description["classes"], source.reference_counts
                )
            )
            write_json(folder / "corpus.json", description)
        check_unchanged(folder / "manifest.csv")
        _prepare_folds(folder, protocol, fold_seed)


def _without_outside(source: CorpusSource) -> CorpusSource:
    """Skip recordings whose files lie outside the folder of the corpus."""
    if source.allow_outside:
        return source
    folder = Path(source.data_folder)
    outside = {
        recording.utterance_id: path
        for recording in source.recordings
        for path in (recording.wav, recording.alignment)
        if path is not None and not is_inside(path, folder)
    }
    reasons = [
        (
            name,
            f"{path} is outside {folder}. If this is intended, set allow_outside "
            "(in the recipe for custom corpora: --allow_outside=True).",
        )
        for name, path in outside.items()
    ]
    kept = [r for r in source.recordings if r.utterance_id not in outside]
    return replace(source, recordings=kept, skipped=[*source.skipped, *reasons])


def _describe_source(
    source: CorpusSource, search: WordSearch, fold_seed: int
) -> dict:
    """Return everything that determines manifest and folds, for ``corpus.json``."""
    listed = (
        (
            asdict(recording),
            state_of(search.data_folder, recording.wav),
            state_of(search.data_folder, recording.alignment),
        )
        for recording in source.recordings
    )
    emotions = {recording.emotion for recording in source.recordings}
    description = {
        "corpus": source.name,
        "classes": list(source.classes or sorted(emotions)),
        "data_folder": os.path.abspath(source.data_folder),
        "fold_seed": fold_seed,
        "rule": {
            "source": source.rule,
            "tier": source.tier,
            "version": VERSION,
            "aligner": repr(search.aligner),
            "transcriber": repr(search.transcriber),
        },
        "recordings": fingerprint_of(chain([source.skipped], listed)),
    }
    # Normalize to what JSON can represent.
    return json.loads(json.dumps(description))


def _is_outdated(folder: Path, description: dict) -> bool:
    """Return whether a corpus must be prepared, and print why it is prepared again."""
    written = folder / "corpus.json"
    if not written.exists():
        return True
    before = read_json(written)
    if before == description and (folder / CHECKSUMS).exists():
        return False
    changed = [k for k in description if before.get(k) != description[k]]
    show(
        f"{folder} was prepared with different settings, versions or files "
        f"(changed: {', '.join(changed)}). Preparing it again."
    )
    return True


def _prepare_folds(folder: Path, protocol: str, fold_seed: int) -> None:
    """Write the fold list of a protocol if it is missing or may have changed."""
    path = folds_path(folder, protocol)
    if not is_changing(protocol) and path.name in checksums(folder):
        return
    utterances = read_manifest(folder / "manifest.csv")
    folds = make_folds(protocol, utterances, fold_seed)
    write_folds(path, folds)
    seal(path)
    unused = len(utterances) - len(folds)
    if unused:
        show(f"{unused} utterances are not used by {protocol}")


def as_utterance(
    recording: LabeledRecording, found: FoundWords, duration: float
) -> Utterance:
    """Convert a recording and its words to a row of the manifest."""
    absolute = os.path.isabs(recording.wav)
    utterance = Utterance(
        utterance_id=recording.utterance_id,
        duration=duration,
        wav=recording.wav if absolute else f"{DATA_ROOT}/{recording.wav}",
        speaker=recording.speaker,
        session=recording.session,
        dialog=recording.dialog,
        scripted=recording.scripted,
        emotion=recording.emotion,
        words=Words(found.tiled()),
        transcription=recording.transcript or "",
        aligned_by=found.aligned_by,
        votes=recording.votes,
        extra=recording.extra,
    )
    check_words(utterance.words)
    check_texts(utterance)
    return utterance


def _word_finder(
    source: CorpusSource, search: WordSearch, workers: int | None
) -> Callable:
    """Return the function that finds the words of a recording."""
    if source.find_words is not None:
        return source.find_words
    problems = search.run(
        [r for r in source.recordings if r.alignment is None], workers
    )

    def find(recording, duration):
        if recording.alignment is not None:
            alignment = AlignmentFile(
                existing_form(search.data_folder / recording.alignment),
                Path(recording.wav).stem,
                source.tier,
            )
            return words_of_alignment(alignment, duration), None
        if recording.utterance_id in problems:
            raise AlignmentError(problems[recording.utterance_id])
        return search.read(recording), None

    return find


def _write_utterances(
    folder: Path,
    source: CorpusSource,
    search: WordSearch,
    workers: int | None,
    unified: dict[str, str],
) -> list[Utterance]:
    """Write manifest.csv, skipped.csv and adjusted.csv, and print a summary.

    ``unified`` describes changed names by utterance.
    """
    find_words = _word_finder(source, search, workers)
    audio_checksums = {}

    def attempt(recording):
        try:
            audio = existing_form(search.data_folder / recording.wav)
            recording = replace(
                recording, wav=_inside(audio, recording, search)
            )
            duration = audio_duration(audio)
            found, adjustment = find_words(recording, duration)
            utterance = as_utterance(recording, found, duration)
            name = recording.utterance_id
            audio_checksums[name] = checksum_of_file(audio)
            notes = (
                unified.get(name),
                adjustment,
                *found.adjustments,
                _surplus(found, duration),
            )
            return utterance, "; ".join(filter(None, notes)) or None
        except (AlignmentError, AudioError, PermissionError) as error:
            return None, str(error)

    utterances, adjusted, skipped = [], [], list(source.skipped)
    for recording, (utterance, reason) in zip(
        source.recordings, _in_threads(attempt, source.recordings)
    ):
        if utterance is None:
            skipped.append((recording.utterance_id, reason))
            continue
        utterances.append(utterance)
        if reason is not None:
            adjusted.append((recording.utterance_id, reason))
    write_reasons(folder / "skipped.csv", skipped)
    write_reasons(folder / "adjusted.csv", adjusted)
    if not utterances:
        raise CorpusError(
            f"all {len(skipped)} utterances were skipped. See "
            f"{folder / 'skipped.csv'} for the reasons."
        )
    check_utterances(utterances)
    write_manifest(folder / "manifest.csv", utterances)
    seal(folder / "manifest.csv")
    recordings = repr(sorted(audio_checksums.items())).encode()
    store_checksum(folder, RECORDINGS, checksum(recordings))
    show(f"{len(utterances)} utterances in {folder / 'manifest.csv'}")
    show(f"{len(skipped)} skipped utterances in {folder / 'skipped.csv'}")
    if adjusted:
        kinds = Counter(reason.partition(":")[0] for _, reason in adjusted)
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        show(f"Adjusted utterances in {folder / 'adjusted.csv'}: {counts}")
    return utterances


def _inside(
    audio: Path, recording: LabeledRecording, search: WordSearch
) -> str:
    """Return the path of existing audio as the recording specifies it."""
    if os.path.isabs(recording.wav):
        return str(audio)
    return audio.relative_to(search.data_folder).as_posix()


def _in_threads(function: Callable, items: list) -> Iterator:
    """Yield the result of each item, in order, and show the progress."""
    # Decoding audio releases the GIL, so threads use all cores. Submitting in
    # chunks bounds the memory of pending work.
    with ThreadPoolExecutor(os.cpu_count()) as pool, tqdm(
        total=len(items), desc="preparation", unit="utterance", disable=None
    ) as progress:
        for i in range(0, len(items), CHUNK):
            for result in pool.map(function, items[i : i + CHUNK]):
                progress.update()
                yield result


def _surplus(found: FoundWords, duration: float) -> str | None:
    """Return a note on audio that continues long after its alignment, or None.

    The sample rate in its header may be wrong, or the alignment incomplete.
    """
    end = found.end if found.covered is None else found.covered
    if duration - end > max(SURPLUS, end / 4):
        return (
            f"audio continues after the words: the last word ends at {end:.2f} s, "
            f"the audio at {duration:.2f} s"
        )
    return None


def count_classes(
    utterances: Sequence[Utterance],
    classes: Sequence[str],
    reference_counts: dict[str, int] | None = None,
) -> str:
    """Return a table of the number of utterances per class."""
    emotions = pd.Series([utterance.emotion for utterance in utterances])
    table = pd.DataFrame({"here": emotions.value_counts().reindex(classes)})
    table = table.fillna(0).astype(int)
    if reference_counts is not None:
        table["paper"] = pd.Series(reference_counts)
    table.loc["total"] = table.sum()
    return table.to_string()
