"""A prepared corpus: a folder of CSV files that every experiment reads.

A recipe's preparation lists candidates and turns each into an ``Utterance``;
``prepare_corpus`` does the rest: it lists what cannot be used with the reason,
writes the manifest and the folds, and does nothing when that is done already."""

import hashlib
import json
import os
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, List

import pandas as pd
from filelock import FileLock
from tqdm import tqdm

from speechbrain_can.alignment.words import AlignmentError, Words, texts_of
from speechbrain_can.audio import AudioError
from speechbrain_can.corpus.folds import FoldAssignment, read_folds, write_folds
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
from speechbrain_can.files import (
    InputError,
    read_json,
    state_of_files,
    write_json,
)

PIECE = 4096  # candidates that are read at once
SURPLUS = 0.5  # seconds of audio without words that are not worth a word


# What is in this folder is as it was written: see seal
DIGESTS = "digests.json"
RECORDINGS = "recordings"  # in it: of the audio of all utterances


class CorpusError(InputError):
    """A corpus folder that cannot be used; the message says what to give."""


@dataclass
class Corpus:
    """A prepared corpus with the folds of one protocol.

    Arguments
    ---------
    name : str
        What results call it.
    classes : list of str
        The emotions, in the order of the class numbers.
    data_folder : str
        What ``$data_root`` stands for.
    protocol : str
        The name of the protocol.
    utterances : dict of str: Utterance
        By ID.
    folds : dict of str: FoldAssignment
        By ID, of those that the protocol uses.
    digest : str
        Of manifest, folds and recordings: results of others are not averaged
        with its own.
    """

    name: str
    classes: List[str]
    data_folder: str
    protocol: str
    utterances: Dict[str, Utterance]
    folds: Dict[str, FoldAssignment]
    digest: str

    @classmethod
    def load(cls, folder, protocol):
        """Reads what ``prepare_corpus`` wrote."""
        folder = Path(folder)
        description = read_json(folder / "corpus.json")
        check_unchanged(folder / "manifest.csv")
        check_unchanged(folds_path(folder, protocol))
        utterances = read_manifest(folder / "manifest.csv")
        for utterance in utterances.values():
            if utterance.emotion not in description["classes"]:
                raise CorpusError(
                    f"{folder / 'manifest.csv'}: {utterance.utterance_id} has the label "
                    f"{utterance.emotion!r}, which is none of "
                    f"{description['classes']}"
                )
        folds = read_folds(folds_path(folder, protocol))
        if not set(folds) <= set(utterances):
            raise CorpusError(
                f"{folds_path(folder, protocol)} lists utterances that are not "
                "in the manifest; delete the folder and prepare again"
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

    def speakers(self):
        """The speaker of each utterance, by ID."""
        return {name: u.speaker for name, u in self.utterances.items()}

    def words_of(self, ids):
        """Running words of some utterances."""
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


def seal(path):
    """Notes what a file of a prepared corpus holds: it is not to change."""
    _note(path.parent, path.name, _digest(path))


def _note(folder, name, digest):
    write_json(folder / DIGESTS, {**_digests(folder), name: digest})


def check_unchanged(path):
    """Refuses, with a ``CorpusError``, a file that is not as it was written."""
    again = f"delete {path.parent / 'corpus.json'} to prepare the corpus again"
    if not path.exists():
        raise CorpusError(f"{path} is missing; {again}")
    if _digests(path.parent).get(path.name) != _digest(path):
        raise CorpusError(
            f"{path} is not as the preparation wrote it, and what was made of it "
            f"would not be either; {again} (folds of your own are "
            "--protocol=file:<path>)"
        )


def folds_path(folder, protocol):
    """Where a prepared corpus has the folds of a protocol."""
    return Path(folder) / f"folds_{protocol_slug(protocol)}.csv"


def leaks_path(folder, protocol):
    """Where a prepared corpus has what the parts of a protocol's folds share."""
    return Path(folder) / f"leaks_{protocol_slug(protocol)}.json"


def prepare_corpus(
    folder,
    name,
    classes,
    data_folder,
    protocol,
    fold_seed,
    rule,
    find_candidates,
    build_utterance,
    reference_counts=None,
    sources=(),
):
    """Writes a prepared corpus, unless it is there already.

    One that was prepared in another way, or from other files, is prepared anew.

    Arguments
    ---------
    folder : str or Path
        Where to write.
    name : str
        What results call the corpus.
    classes : list of str
        The emotions, in the order of the class numbers.
    data_folder : str or Path
        The corpus as it was released.
    protocol : str
        See ``protocols``.
    fold_seed : int
        Seed of random folds.
    rule : dict
        What else decides which utterances there are and what they hold: the
        version of the preparation, how labels are read, which alignment. It
        is written beside the manifest.
    find_candidates : callable
        Takes nothing; returns a list of records with an
        ``utterance_id``, and a list of
        (ID, reason) of what is left out without being read.
    build_utterance : callable
        From a record to an ``Utterance`` and, if it was not taken as it is,
        what was done to it (else None); may raise ``AlignmentError`` or
        ``AudioError``, whose message becomes the reason to leave it out.
    reference_counts : dict of str: int or None
        Utterances a class in the publication that is reproduced.
    sources : tuple of str
        Where in the data folder the files are that it is made of, as patterns of
        ``Path.glob``. One that changed since, by its size or time, is noticed.

    Raises
    ------
    CorpusError
        If nothing is left.
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
    # Of runs that need the same corpus, one prepares and the others wait.
    with FileLock(folder / "prepare.lock"):
        written = folder / "corpus.json"
        # as it is read back: JSON has neither tuples nor numbers as keys
        description = json.loads(json.dumps(description))
        before = read_json(written) if written.exists() else description
        anew = before != description or not (folder / DIGESTS).exists()
        if anew and written.exists():
            changed = [
                k for k in description if before.get(k) != description[k]
            ]
            print(
                f"{folder} was prepared in another way, by another version, or from "
                f"files that have changed since ({', '.join(changed)}): preparing it "
                "anew"
            )
        if anew or not written.exists():
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
                print(f"{left_out} utterances are in no fold of {protocol}")


def _state(data_folder, patterns):
    """Of the files that a corpus is made of: another one once one changes."""
    found = state_of_files(data_folder, *patterns) if patterns else []
    return hashlib.sha256(repr(found).encode()).hexdigest()[:16]


def _write_utterances(
    folder, candidates, skipped, build_utterance, data_folder
):
    """Writes manifest, skipped.csv and adjusted.csv; says what is in them."""
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

    # Reading audio releases the interpreter's lock: threads use every core.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # in pieces: what waits for a thread takes memory
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
            f"none of {len(skipped)} utterances can be used; "
            f"{folder / 'skipped.csv'} has the reasons"
        )
    check_utterances(utterances)
    write_manifest(folder / "manifest.csv", utterances)
    seal(folder / "manifest.csv")
    recordings = repr(sorted(checksums.items())).encode()
    _note(folder, RECORDINGS, hashlib.sha256(recordings).hexdigest()[:16])
    print(f"{len(utterances)} utterances in {folder / 'manifest.csv'}")
    print(f"{len(skipped)} left out, see {folder / 'skipped.csv'}")
    if adjusted:
        kinds = Counter(reason.partition(":")[0] for _, reason in adjusted)
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        print(f"{counts}, see {folder / 'adjusted.csv'}")
    return utterances


def _without_words(utterance):
    """What to say of audio that goes on long after the last word, or None.

    It may have another rate than its header says.
    """
    end = utterance.words[-1].end
    if utterance.duration - end > max(SURPLUS, end / 4):
        return (
            f"audio goes on: the words end at {end:.2f} s, the audio at "
            f"{utterance.duration:.2f} s"
        )
    return None


def describe(utterances, classes, reference_counts=None):
    """Table of the utterances a class."""
    emotions = pd.Series([utterance.emotion for utterance in utterances])
    table = pd.DataFrame({"here": emotions.value_counts().reindex(classes)})
    table = table.fillna(0).astype(int)
    if reference_counts is not None:
        table["paper"] = pd.Series(reference_counts)
    table.loc["total"] = table.sum()
    return table.to_string()
