"""Preparation of a corpus: a folder of CSV files for all experiments.

A recipe lists candidates and converts each one to an ``Utterance``.
``prepare_corpus`` records skipped utterances with reasons, writes manifest and
folds, and returns immediately if the corpus is already prepared.
"""

import hashlib
import json
import os
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Sequence

import pandas as pd
from filelock import FileLock
from tqdm import tqdm

from speechbrain_can.alignment.words import AlignmentError, Words, texts_of
from speechbrain_can.corpus.fold_lists import (
    FoldAssignment,
    read_folds,
    write_folds,
)
from speechbrain_can.corpus.manifest import (
    Utterance,
    check_texts,
    check_utterances,
    check_words,
    read_manifest,
    resolve_wav,
    write_manifest,
    write_reasons,
)
from speechbrain_can.corpus.protocols import (
    is_changing,
    make_folds,
    protocol_name,
    protocol_slug,
)
from speechbrain_can.io.audio import AudioError
from speechbrain_can.io.files import (
    InputError,
    read_json,
    state_of_files,
    write_json,
)

PIECE = 4096  # candidates that are submitted to the threads at once
SURPLUS = 0.5  # seconds of audio after the last word that are not reported

# Checksums of the files in a prepared folder; see seal
DIGESTS = "digests.json"
RECORDINGS = "recordings"  # key of the checksum of all audio


class CorpusError(InputError):
    """Raised for unusable corpus folders; the message says what to do."""


@dataclass
class Corpus:
    """A prepared corpus with the folds of one protocol.

    Arguments
    ---------
    name : str
        Name of the corpus in results.
    classes : list of str
        The emotions, in the order of the class indices.
    data_folder : str
        Value of ``$data_root``.
    protocol : str
        Name of the protocol.
    utterances : dict of str: Utterance
        Utterances by ID.
    folds : dict of str: FoldAssignment
        Assignments by ID, for the utterances that the protocol uses.
    digest : str
        Fingerprint of manifest, folds and recordings. Results with different
        fingerprints are not averaged.
    """

    name: str
    classes: List[str]
    data_folder: str
    protocol: str
    utterances: Dict[str, Utterance]
    folds: Dict[str, FoldAssignment]
    digest: str

    @classmethod
    def load(cls, folder: str | Path, protocol: str) -> "Corpus":
        """Load a corpus that ``prepare_corpus`` wrote."""
        folder = Path(folder)
        description = read_json(folder / "corpus.json")
        check_unchanged(folder / "manifest.csv")
        check_unchanged(folds_path(folder, protocol))
        utterances = read_manifest(folder / "manifest.csv")
        for utterance in utterances.values():
            if utterance.emotion not in description["classes"]:
                raise CorpusError(
                    f"{folder / 'manifest.csv'}: {utterance.utterance_id} has the "
                    f"label {utterance.emotion!r}, which is not one of "
                    f"{description['classes']}"
                )
        folds = read_folds(folds_path(folder, protocol))
        if not set(folds) <= set(utterances):
            raise CorpusError(
                f"{folds_path(folder, protocol)} lists utterances that are not "
                "in the manifest. Delete the folder and prepare the corpus again."
            )
        return cls(
            name=description["corpus"],
            classes=description["classes"],
            data_folder=description["data_folder"],
            protocol=protocol_name(protocol),
            utterances=utterances,
            folds=folds,
            digest=_digest(
                folder / "manifest.csv",
                folds_path(folder, protocol),
                more=_digests(folder).get(RECORDINGS, ""),
            ),
        )

    @classmethod
    def of(cls, hparams: dict) -> "Corpus":
        """Load the prepared corpus of plain hparams."""
        protocol = hparams["preparation"]["protocol"]
        return cls.load(hparams["prepared_folder"], protocol)

    def speakers(self) -> Dict[str, str]:
        """Return the speaker of each utterance by ID."""
        return {name: u.speaker for name, u in self.utterances.items()}

    def words_of(self, ids: Iterable[str]) -> List[str]:
        """Return the running words of utterances."""
        return [
            text
            for utterance_id in ids
            for text in texts_of(self.utterances[utterance_id].words)
        ]


def _digest(*paths, more=""):
    digest = hashlib.sha256(more.encode())
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _digests(folder):
    path = folder / DIGESTS
    return read_json(path) if path.exists() else {}


def seal(path: Path) -> None:
    """Store the checksum of a file that must not change."""
    _note(path.parent, path.name, _digest(path))


def _note(folder, name, digest):
    write_json(folder / DIGESTS, {**_digests(folder), name: digest})


def check_unchanged(path: Path) -> None:
    """Raise a ``CorpusError`` if a file differs from what preparation wrote."""
    again = f"Delete {path.parent / 'corpus.json'} to prepare the corpus again"
    if not path.exists():
        raise CorpusError(f"{path} is missing. {again}.")
    if _digests(path.parent).get(path.name) != _digest(path):
        raise CorpusError(
            f"{path} was modified after preparation, so results would not be "
            f"reproducible. {again}. To use custom folds, pass "
            "--protocol=file:<path>."
        )


def folds_path(folder: str | Path, protocol: str) -> Path:
    """Return the path of the fold list of a protocol."""
    return Path(folder) / f"folds_{protocol_slug(protocol)}.csv"


def leaks_path(folder: str | Path, protocol: str) -> Path:
    """Return the path of the leakage report of a protocol."""
    return Path(folder) / f"leaks_{protocol_slug(protocol)}.json"


def prepare_corpus(
    folder: str | Path,
    name: str,
    classes: Sequence[str],
    data_folder: str | Path,
    protocol: str,
    fold_seed: int,
    rule: dict,
    find_candidates: Callable,
    build_utterance: Callable,
    reference_counts: dict[str, int] | None = None,
    sources: Sequence[str] = (),
) -> None:
    """Prepare a corpus, unless it is already prepared.

    If settings or source files have changed, the corpus is prepared again.

    Arguments
    ---------
    folder : str or Path
        Output folder.
    name : str
        Name of the corpus in results.
    classes : list of str
        The emotions, in the order of the class indices.
    data_folder : str or Path
        The released corpus.
    protocol : str
        See ``protocols``.
    fold_seed : int
        Seed of random folds.
    rule : dict
        Everything else that determines the manifest, such as the version of the
        preparation, label mapping and alignment. Stored in ``corpus.json``.
    find_candidates : callable
        Takes no arguments; returns a list of records with an ``utterance_id``,
        and a list of (ID, reason) for utterances skipped without reading them.
    build_utterance : callable
        Maps a record to an ``Utterance`` and the description of an adjustment or
        None. Raises ``AlignmentError`` or ``AudioError`` to skip the utterance;
        the message becomes the reason.
    reference_counts : dict of str: int or None
        Utterances per class in the reproduced publication.
    sources : tuple of str
        Glob patterns, relative to the data folder, of the source files. Changes
        of their size or modification time are detected.

    Raises
    ------
    CorpusError
        If no utterance is usable.
    """
    folder = Path(folder)
    description = {
        "corpus": name,
        "classes": list(classes),
        "data_folder": os.path.abspath(data_folder),
        "fold_seed": fold_seed,
        "rule": rule,
        "sources": _state(data_folder, sources),
    }
    folder.mkdir(parents=True, exist_ok=True)
    # If several runs need the same corpus, one prepares it and others wait.
    with FileLock(folder / "prepare.lock"):
        written = folder / "corpus.json"
        # normalize to what JSON can represent
        description = json.loads(json.dumps(description))
        before = read_json(written) if written.exists() else description
        outdated = before != description or not (folder / DIGESTS).exists()
        if outdated and written.exists():
            changed = [
                k for k in description if before.get(k) != description[k]
            ]
            print(
                f"{folder} was prepared with different settings, versions or files "
                f"(changed: {', '.join(changed)}). Preparing it again."
            )
        if outdated or not written.exists():
            for stale in (
                written,
                folder / DIGESTS,
                *folder.glob("folds_*.csv"),
            ):
                stale.unlink(missing_ok=True)
            candidates, skipped = find_candidates()
            utterances = _write_utterances(
                folder, candidates, skipped, build_utterance, data_folder
            )
            print(describe(utterances, classes, reference_counts))
            write_json(written, description)
        check_unchanged(folder / "manifest.csv")
        path = folds_path(folder, protocol)
        if is_changing(protocol) or path.name not in _digests(folder):
            utterances = read_manifest(folder / "manifest.csv")
            folds = make_folds(protocol, utterances, fold_seed)
            write_folds(path, folds)
            seal(path)
            left_out = len(utterances) - len(folds)
            if left_out:
                print(f"{left_out} utterances are not used by {protocol}")


def _state(data_folder: str | Path, patterns: Sequence[str]) -> str:
    """Return a fingerprint of the names, sizes and times of source files."""
    found = state_of_files(data_folder, *patterns) if patterns else []
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def _write_utterances(
    folder: Path,
    candidates: list,
    skipped: list[tuple[str, str]],
    build_utterance: Callable,
    data_folder: str | Path,
) -> list[Utterance]:
    """Write manifest.csv, skipped.csv and adjusted.csv, and print a summary."""
    checksums = {}

    def attempt(candidate):
        try:
            utterance, adjustment = build_utterance(candidate)
            check_words(utterance.words)
            check_texts(utterance)
            adjustment = adjustment or _without_words(utterance)
            audio = Path(resolve_wav(utterance, data_folder)).read_bytes()
            checksums[utterance.utterance_id] = zlib.crc32(audio)
            return replace(utterance, words=Words(utterance.words)), adjustment
        except (AlignmentError, AudioError) as error:
            return None, str(error)

    # Decoding audio releases the GIL, so threads use all cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # Submit in pieces to bound the memory of pending work.
        pieces = (
            candidates[i : i + PIECE] for i in range(0, len(candidates), PIECE)
        )
        built = list(
            tqdm(
                (
                    found
                    for piece in pieces
                    for found in pool.map(attempt, piece)
                ),
                total=len(candidates),
                desc="preparation",
                unit="utterance",
                disable=None,
            )
        )
    utterances, adjusted = [], []
    for candidate, (utterance, reason) in zip(candidates, built):
        if utterance is None:
            skipped.append((candidate.utterance_id, reason))
            continue
        utterances.append(utterance)
        if reason is not None:
            adjusted.append((candidate.utterance_id, reason))
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
    recordings = repr(sorted(checksums.items())).encode()
    _note(folder, RECORDINGS, hashlib.sha256(recordings).hexdigest()[:16])
    print(f"{len(utterances)} utterances in {folder / 'manifest.csv'}")
    print(f"{len(skipped)} skipped utterances in {folder / 'skipped.csv'}")
    if adjusted:
        kinds = Counter(reason.partition(":")[0] for _, reason in adjusted)
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        print(f"Adjusted utterances in {folder / 'adjusted.csv'}: {counts}")
    return utterances


def _without_words(utterance: Utterance) -> str | None:
    """Return a note on audio that continues long after the last word, or None.

    The sample rate in its header may be wrong.
    """
    end = utterance.words[-1].end
    if utterance.duration - end > max(SURPLUS, end / 4):
        return (
            f"audio continues after the words: the last word ends at {end:.2f} s, "
            f"the audio at {utterance.duration:.2f} s"
        )
    return None


def describe(
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
