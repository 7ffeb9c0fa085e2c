"""Prepared corpora: folders with a manifest, fold lists and checksums."""

from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List

from speechbrain_can.alignment.words import texts_of
from speechbrain_can.corpus.fold_lists import FoldAssignment, read_folds
from speechbrain_can.corpus.manifest import Utterance, read_manifest
from speechbrain_can.corpus.protocols import protocol_name, protocol_slug
from speechbrain_can.io.files import InputError, read_json, write_json
from speechbrain_can.io.integrity import checksum_of_file, fingerprint

# Checksums of the files in a prepared folder; see seal
CHECKSUMS = "checksums.json"
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
    fingerprint : str
        Fingerprint of manifest, folds and recordings. Results with different
        fingerprints are not averaged.
    """

    name: str
    classes: List[str]
    data_folder: str
    protocol: str
    utterances: Dict[str, Utterance]
    folds: Dict[str, FoldAssignment]
    fingerprint: str

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
            fingerprint=fingerprint(
                checksums(folder).get(RECORDINGS),
                (folder / "manifest.csv").read_bytes(),
                folds_path(folder, protocol).read_bytes(),
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


def checksums(folder: Path) -> dict[str, int]:
    """Return the stored checksums of a prepared folder by file name."""
    path = folder / CHECKSUMS
    return read_json(path) if path.exists() else {}


def seal(path: Path) -> None:
    """Store the checksum of a file that must not change."""
    store_checksum(path.parent, path.name, checksum_of_file(path))


def store_checksum(folder: Path, name: str, checksum: int) -> None:
    """Store a checksum in a prepared folder."""
    write_json(folder / CHECKSUMS, {**checksums(folder), name: checksum})


def check_unchanged(path: Path) -> None:
    """Raise a ``CorpusError`` if a file differs from what preparation wrote."""
    again = f"Delete {path.parent / 'corpus.json'} to prepare the corpus again"
    if not path.exists():
        raise CorpusError(f"{path} is missing. {again}.")
    if checksums(path.parent).get(path.name) != checksum_of_file(path):
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
