"""Fold lists of EmoBox, a benchmark with published splits of 32 corpora.

A corpus has the files ``fold_1/<name>_train_fold_1.jsonl`` and ``..._test_fold_1.jsonl``,
and sometimes ``..._valid_fold_1.jsonl``, with one JSON object per utterance (Ma et al.,
"EmoBox", Interspeech 2024).
"""

import json
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np

from speechbrain.utils.logger import get_logger
from speechbrain_can.corpus.fold_lists import FoldAssignment
from speechbrain_can.corpus.manifest import DATA_ROOT, Utterance
from speechbrain_can.io.files import InputError, parsing

logger = get_logger(__name__)

FILE = re.compile(r"(?P<corpus>.+)_(?P<part>train|valid|test)_fold_\d+\.jsonl")
VALIDATION = 0.2  # share of the training set that validates, as in EmoBox


def read_emobox(
    folder: str | Path, utterances: dict[str, Utterance], seed: int
) -> dict[str, FoldAssignment]:
    """Read the folds of a corpus; the first one is fold 0.

    Utterances are found by the path of their audio. Without a list of validation
    utterances, EmoBox draws a fifth of the training set; here, the draw is stratified by
    emotion, depends on ``seed``, and validates each utterance in one fold at most.

    Arguments
    ---------
    folder : str or Path
        Folder of the corpus, such as ``EmoBox/data/emodb``.
    utterances : dict of str: Utterance
        Utterances by ID.
    seed : int
        Seed of the validation sets.

    Returns
    -------
    dict of str: FoldAssignment
        Assignments of the listed utterances.

    Raises
    ------
    InputError
        If lists are missing or invalid, if an utterance is tested or validated in more
        than one fold, or if the lists contain no utterance of the corpus.
    """
    lists = _find_lists(Path(folder))
    places = defaultdict(list)
    for name, utterance in utterances.items():
        path = PurePosixPath(utterance.wav.removeprefix(f"{DATA_ROOT}/"))
        places[path.stem].append((path.with_suffix(""), name))
    parts, unknown = defaultdict(dict), []
    for (fold, part), path in lists.items():
        for place, wav in _read_list(path):
            name = _find(wav, places, place)
            if name is None:
                unknown.append(wav)
            elif parts[name].setdefault(fold, part) != part:
                raise InputError(
                    f"{place}: {wav} is in several sets of this fold"
                )
    if not parts:
        raise InputError(
            f"{folder} lists no utterance of this corpus, but for example "
            f"{unknown[0] if unknown else 'nothing'}"
        )
    if unknown:
        logger.warning(
            "%d entries of %s are not in the corpus, for example %s",
            len(set(unknown)),
            folder,
            unknown[0],
        )
    return _assignments(parts, utterances, len({f for f, _ in lists}), seed)


def _assignments(parts, utterances, n_folds, seed):
    """Return the assignments from the set of each utterance and fold."""
    tests, valids, incomplete = {}, {}, 0
    for name, own in parts.items():
        tested = [fold for fold, part in own.items() if part == "test"]
        if len(tested) > 1:
            raise InputError(
                f"{name} is tested in the folds {', '.join(map(str, tested))} of "
                "EmoBox, but must be tested once"
            )
        validated = [fold for fold, part in own.items() if part == "valid"]
        if len(validated) > 1:
            raise InputError(
                f"{name} is in the validation sets of several folds "
                f"({', '.join(map(str, validated))}) of EmoBox, which is not supported"
            )
        incomplete += len(own) < n_folds
        tests[name] = tested[0] if tested else None
        valids[name] = validated[0] if validated else None
    if incomplete:
        logger.warning(
            "%d utterances are missing in the lists of some folds, which use them "
            "for training",
            incomplete,
        )
    if all(fold is None for fold in valids.values()):
        valids = _drawn(tests, utterances, n_folds, seed)
    return {
        name: FoldAssignment(tests[name], valids[name])
        for name in sorted(parts)
    }


def _drawn(tests, utterances, n_folds, seed):
    """Draw the fold that each utterance validates, if any."""
    generator = np.random.default_rng(seed)
    by_group = defaultdict(list)
    for name in sorted(tests):
        by_group[utterances[name].emotion, tests[name]].append(name)
    valids = dict.fromkeys(tests)
    for (_, tested), names in sorted(by_group.items(), key=str):
        folds = [fold for fold in range(n_folds) if fold != tested]
        if not folds:
            continue  # the test set of a single fold
        count = min(1.0, VALIDATION * len(folds))
        chosen = generator.permutation(names)[: round(count * len(names))]
        first = generator.integers(len(folds))
        for i, name in enumerate(chosen):
            valids[str(name)] = folds[(first + i) % len(folds)]
    return valids


def _find_lists(folder: Path) -> dict[tuple[int, str], Path]:
    """Return the lists of a corpus by fold, from 0, and set."""
    numbers = sorted(
        int(path.name[5:])
        for path in folder.glob("fold_*")
        if path.name[5:].isdigit()
    )
    lists = {}
    for fold, number in enumerate(numbers):
        for path in sorted((folder / f"fold_{number}").glob("*.jsonl")):
            match = FILE.fullmatch(path.name)
            if match:
                lists[fold, match["part"]] = path
        for part in ("train", "test"):
            if (fold, part) not in lists:
                raise InputError(
                    f"emobox: {folder / f'fold_{number}'} has no file "
                    f"*_{part}_fold_{number}.jsonl"
                )
    if not lists:
        raise InputError(
            f"emobox:{folder}: no fold_1 there. Pass the folder of a corpus, such "
            "as EmoBox/data/emodb."
        )
    return lists


def _read_list(path: Path) -> list[tuple[str, str]]:
    """Return the place and the audio path of each line."""
    found = []
    with parsing(path, "a list of EmoBox"), open(
        path, encoding="utf-8-sig"
    ) as stream:
        for number, line in enumerate(stream, start=1):
            place = f"{path}, line {number}"
            try:
                wav = json.loads(line)["wav"] if line.strip() else None
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{place}: expected a JSON object with the key wav"
                ) from error
            if wav is not None:
                found.append((place, str(wav)))
    return found


def _find(wav: str, places: dict, place: str) -> str | None:
    """Return the utterance of an audio path, or None."""
    path = PurePosixPath(wav).with_suffix("")
    candidates = places.get(path.name, [])
    if len(candidates) > 1:
        candidates = [
            (own, name)
            for own, name in candidates
            if path.parts[-len(own.parts) :] == own.parts
        ]
    if len(candidates) > 1:
        names = ", ".join(name for _, name in candidates)
        raise InputError(f"{place}: {wav} could be any of {names}")
    return candidates[0][1] if candidates else None
