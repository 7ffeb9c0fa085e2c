"""Protocols: reproducible assignment of utterances to folds.

Each utterance is in the test set of one fold, in the validation set of at most
one other fold, and in the training set of all others. The hparams key
``protocol`` accepts these names:

``random10``
    The protocol of the paper: 10 folds, 8:1:1, stratified by emotion. Training
    and test sets have speakers and scripted sentences in common.
``leave_one_session_out``
    Speaker-independent. One speaker of the next session validates, the woman
    in even folds and the man in odd ones; the other speaker of that session
    and the remaining sessions train. Needs at least three sessions, because
    speakers cannot be disjoint otherwise.
``leave_one_speaker_out``
    One speaker is tested and the next speaker validates. If speakers talk to
    each other, training or validation sets contain the partner of the tested
    speaker, and therefore the same dialogs.
``script_disjoint``, ``script_disjoint:5``
    Ten folds, or the given number. No scripted sentence, nor a near-duplicate
    of one, is in two sets of a fold. Other improvised utterances stay with
    their dialog. Sets may have speakers and scripted dialogs in common.
``group:speaker``, ``group:room:5``
    At most ten folds, or the given number, of similar size. No group is in two
    sets of a fold; a group has the same value in a column of the manifest.
``given``
    Uses the column ``fold`` of the manifest: a number, or ``train``, ``valid``
    and ``test``.
``improvised:leave_one_session_out``
    Any protocol, restricted to utterances that are not scripted.
``each_corpus:group:speaker:5``
    Any protocol, applied to each corpus of several (column ``corpus``). Fold 0
    tests fold 0 of all corpora, and so on.
``leave_one_corpus_out``
    One corpus is tested. A tenth of the speakers of each other corpus, at least one,
    validates.
``test_corpus:EmoDB``, ``test_corpus:EmoDB,MELD``
    One fold that tests the named corpora; the others train and validate.
``file:folds.csv``
    A fold list with ``ID``, ``test_fold`` and ``valid_fold``; see ``manifests``.
``emobox:EmoBox/data/emodb``
    The published folds of a corpus in EmoBox; see ``emobox``.
``my_folds.by_room``
    A custom function in a module next to ``train.py``. It takes utterances by
    ID and a seed, and returns a ``FoldAssignment`` by ID.

To add a protocol to the package, write a function here and add it to
``PROTOCOLS``. ``leakage`` reports what training and test sets have in common.
"""

import importlib
import inspect
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Dict
from urllib.parse import quote

import numpy as np

from speechbrain_can.corpus.emobox import read_emobox
from speechbrain_can.corpus.fold_lists import (
    PARTS,
    FoldAssignment,
    check_assignments,
    check_listed,
    count_folds,
    read_folds,
)
from speechbrain_can.corpus.manifest import Utterance, column_value
from speechbrain_can.corpus.sentences import group_near, is_long, sentence_of
from speechbrain_can.io.files import InputError

Utterances = Dict[str, Utterance]  # by ID
Folds = Dict[str, FoldAssignment]  # by ID
VALIDATION = 0.1  # share of a training corpus that validates


def random10(utterances: Utterances, seed: int, n_folds: int = 10) -> Folds:
    """Return stratified random folds, 8:1:1, as in the paper."""
    by_emotion = defaultdict(list)
    for utterance_id in sorted(utterances):
        emotion = utterances[utterance_id].emotion
        by_emotion[emotion].append(utterance_id)
    generator = np.random.default_rng(seed)
    shuffled = [
        by_emotion[emotion][i]
        for emotion in sorted(by_emotion)
        for i in generator.permutation(len(by_emotion[emotion]))
    ]
    # Continuing the count across classes keeps fold sizes within one.
    return {
        utterance_id: FoldAssignment(i % n_folds, (i - 1) % n_folds)
        for i, utterance_id in enumerate(shuffled)
    }


def leave_one_session_out(
    utterances: Utterances, seed: int | None = None
) -> Folds:
    """Leave one session out; a speaker of the next session validates."""
    speakers = defaultdict(set)
    for utterance in utterances.values():
        speakers[utterance.session].add(utterance.speaker)
    sessions = sorted(speakers)
    if len(sessions) < 3:
        raise InputError(
            "leave_one_session_out needs at least three sessions, found "
            f"{sessions}. With fewer, validation speakers cannot be disjoint from "
            "training and test speakers."
        )
    valid_fold = {}
    for fold in range(len(sessions)):
        candidates = sorted(speakers[sessions[(fold + 1) % len(sessions)]])
        valid_fold[candidates[fold % len(candidates)]] = fold
    return {
        utterance_id: FoldAssignment(
            sessions.index(utterance.session), valid_fold.get(utterance.speaker)
        )
        for utterance_id, utterance in sorted(utterances.items())
    }


def leave_one_speaker_out(
    utterances: Utterances, seed: int | None = None
) -> Folds:
    """Leave one speaker out; the next speaker validates."""
    speakers = sorted({u.speaker for u in utterances.values()})
    if len(speakers) < 3:
        raise InputError(
            "leave_one_speaker_out needs at least three speakers, found "
            f"{speakers}"
        )
    fold = {speaker: i for i, speaker in enumerate(speakers)}
    return {
        utterance_id: FoldAssignment(
            fold[utterance.speaker],
            (fold[utterance.speaker] - 1) % len(speakers),
        )
        for utterance_id, utterance in sorted(utterances.items())
    }


def grouped(
    utterances: Utterances, seed: int, column: str, n_folds: str | None = None
) -> Folds:
    """Return folds of whole groups of a column; the next fold validates."""
    _check_known(utterances, column, f"group:{column}")
    groups = {
        name: column_value(utterance, column)
        for name, utterance in sorted(utterances.items())
    }
    return _folds_of_groups(groups, n_folds, f"group:{column}")


def script_disjoint(
    utterances: Utterances, seed: int, n_folds: str | None = None
) -> Folds:
    """Return folds without scripted sentences or near-duplicates in common."""
    if not any(u.scripted for u in utterances.values()):
        raise InputError(
            "script_disjoint: the corpus contains no scripted utterance. Choose "
            "another protocol."
        )
    texts = {name: sentence_of(u) for name, u in sorted(utterances.items())}
    near = group_near(
        text
        for name, text in texts.items()
        if utterances[name].scripted or is_long(text)
    )
    scripts = {near[texts[n]] for n, u in utterances.items() if u.scripted}
    groups = {
        # Short improvised utterances such as "yes" match scripts by chance.
        name: f"script {near[text]}"
        if near.get(text) in scripts
        and (utterances[name].scripted or is_long(text))
        else f"dialog {utterances[name].dialog or name}"
        for name, text in texts.items()
    }
    return _folds_of_groups(groups, n_folds, "script_disjoint")


def _folds_of_groups(
    groups: dict[str, str], n_folds: str | None, name: str
) -> Folds:
    """Return folds of whole groups by ID; the next fold validates.

    Groups are assigned to the emptiest fold in order of decreasing size, which
    keeps folds similar in size.
    """
    sizes = Counter(groups.values())
    asked, n_folds = n_folds, min(_number(n_folds, name), len(sizes))
    if asked is not None and n_folds < int(asked):
        raise InputError(
            f"{name} has only {len(sizes)} groups, too few for {asked} folds"
        )
    if n_folds < 3:
        raise InputError(
            f"{name} needs at least three folds with one group each, found the "
            f"groups {sorted(sizes)[:3]}"
        )
    fold, filled = {}, [0] * n_folds
    for group in sorted(sizes, key=lambda group: (-sizes[group], group)):
        fold[group] = filled.index(min(filled))
        filled[fold[group]] += sizes[group]
    return {
        utterance_id: FoldAssignment(fold[group], (fold[group] - 1) % n_folds)
        for utterance_id, group in groups.items()
    }


def _check_known(utterances: Utterances, column: str, protocol: str) -> None:
    """Refuse a corpus in which a column is empty for some utterances."""
    without = sorted(
        name for name, u in utterances.items() if not column_value(u, column)
    )
    if without:
        raise InputError(
            f"{protocol} needs the {column} of every utterance, but "
            f"{len(without)} have none, for example {without[0]}"
        )


def _number(n_folds, name):
    if n_folds is None:
        return 10
    if not re.fullmatch("[0-9]+", str(n_folds)):
        raise InputError(
            f"{name}:{n_folds}: the last part must be the number of folds, such "
            "as 5"
        )
    return int(n_folds)


def improvised(utterances: Utterances, seed: int, *protocol: str) -> Folds:
    """Apply another protocol to the utterances that are not scripted."""
    kept = {n: u for n, u in utterances.items() if not u.scripted}
    if not kept:
        raise InputError(
            "improvised: all utterances of the corpus are scripted"
        )
    if not protocol:
        raise InputError(
            "improvised needs a protocol, such as "
            "improvised:leave_one_session_out"
        )
    return _folds(":".join(protocol), kept, seed)


def each_corpus(utterances: Utterances, seed: int, *protocol: str) -> Folds:
    """Apply another protocol to each corpus; all must have the same number of folds."""
    if not protocol:
        raise InputError(
            "each_corpus needs a protocol, such as each_corpus:group:speaker:5"
        )
    name = ":".join(protocol)
    found = {
        corpus: _folds(name, own, seed)
        for corpus, own in _by_corpus(utterances, "each_corpus").items()
    }
    numbers = {corpus: count_folds(folds) for corpus, folds in found.items()}
    if len(set(numbers.values())) > 1:
        counts = ", ".join(f"{k} {n}" for k, n in numbers.items())
        raise InputError(
            f"{name} has different numbers of folds ({counts}). Choose a protocol "
            "with a number, such as each_corpus:group:speaker:5."
        )
    return {name: fold for own in found.values() for name, fold in own.items()}


def leave_one_corpus_out(utterances: Utterances, seed: int) -> Folds:
    """Leave one corpus out; speakers of the others validate."""
    corpora = _by_corpus(utterances, "leave_one_corpus_out")
    folds = {}
    for fold, (corpus, own) in enumerate(corpora.items()):
        others = [i for i in range(len(corpora)) if i != fold]
        groups = _validating(own, len(others), corpus)
        folds |= {
            name: FoldAssignment(fold, None if group is None else others[group])
            for name, group in groups.items()
        }
    return folds


def test_corpus(utterances: Utterances, seed: int, names: str) -> Folds:
    """Test the named corpora; the others train, and some of their speakers validate."""
    corpora = _by_corpus(utterances, "test_corpus")
    tested = names.split(",")
    unknown = sorted(set(tested) - set(corpora))
    if unknown or set(tested) == set(corpora):
        raise InputError(
            f"test_corpus:{names} must name some, but not all, of the corpora "
            f"{', '.join(corpora)}"
        )
    folds = {}
    for corpus, own in corpora.items():
        if corpus in tested:
            folds |= dict.fromkeys(own, FoldAssignment(0, None))
        else:
            folds |= {
                name: FoldAssignment(None, group)
                for name, group in _validating(own, 1, corpus).items()
            }
    return folds


test_corpus.__test__ = False  # not a test of pytest


def _by_corpus(utterances: Utterances, protocol: str) -> dict[str, Utterances]:
    """Return the utterances of each corpus, sorted by name."""
    _check_known(utterances, "corpus", protocol)
    corpora = {}
    for name in sorted(utterances):
        corpus = column_value(utterances[name], "corpus")
        corpora.setdefault(corpus, {})[name] = utterances[name]
    if len(corpora) < 2:
        raise InputError(f"{protocol} needs several corpora, found {corpora}")
    return dict(sorted(corpora.items()))


def _validating(
    utterances: Utterances, n_groups: int, corpus: str
) -> dict[str, int | None]:
    """Return the group, if any, in which an utterance of a corpus validates.

    Groups consist of whole speakers, or of single utterances if speakers are unknown,
    with about ``VALIDATION`` of the corpus each. The remaining speakers never validate.
    """
    known = all(utterance.speaker for utterance in utterances.values())
    speakers = {
        name: utterance.speaker if known else name
        for name, utterance in utterances.items()
    }
    sizes = Counter(speakers.values())
    if len(sizes) <= n_groups:
        raise InputError(
            f"{corpus} has {len(sizes)} speakers, too few to train and to validate "
            f"{n_groups} folds with different ones"
        )
    group_of, filled, left = {}, [0] * n_groups, len(sizes)
    for i, speaker in enumerate(sorted(sizes)):
        # Every group gets a speaker, and at least one speaker only trains.
        group = i if i < n_groups else filled.index(min(filled))
        enough = filled[group] >= VALIDATION * len(utterances)
        if left == 1 or (i >= n_groups and enough):
            break
        group_of[speaker] = group
        filled[group] += sizes[speaker]
        left -= 1
    return {name: group_of.get(speaker) for name, speaker in speakers.items()}


def given(utterances: Utterances, seed: int) -> Folds:
    """Return folds according to the column ``fold`` of the manifest.

    It contains fold numbers (the next fold validates), or ``train``, ``valid``
    and ``test`` for all utterances.
    """
    found = {
        # pandas writes whole numbers of a column with gaps as 1.0
        name: u.extra.get("fold", "").lower().removesuffix(".0")
        for name, u in utterances.items()
    }
    if not any(found.values()):
        raise InputError("given: the corpus does not specify folds")
    without = sorted(name for name, part in found.items() if not part)
    if without:
        raise InputError(
            f"given needs the fold of every utterance, but {len(without)} have "
            f"none, for example {without[0]}"
        )
    if set(found.values()) <= set(PARTS):
        whole = {
            "train": FoldAssignment(None, None),
            "valid": FoldAssignment(None, 0),
            "test": FoldAssignment(0, None),
        }
        missing = set(PARTS) - set(found.values())
        if missing:
            raise InputError(
                f"given: no utterance has the fold {', '.join(sorted(missing))}"
            )
        return {name: whole[part] for name, part in sorted(found.items())}
    invalid = {
        part: utterance_id
        for utterance_id, part in sorted(found.items(), reverse=True)
        if not part.isdigit() and part not in PARTS
    }
    for part, utterance_id in invalid.items():
        raise InputError(
            f"{utterance_id}: invalid fold {part!r}. Use numbers from 0, or "
            f"{', '.join(PARTS)}."
        )
    named = sorted(name for name, part in found.items() if part in PARTS)
    if named:
        raise InputError(
            f"given: some folds are numbers, others are {', '.join(PARTS)}, for "
            f"example that of {named[0]}. Use either numbers or names."
        )
    n_folds = 1 + max(map(int, found.values()))
    empty = set(range(n_folds)) - set(map(int, found.values()))
    if empty:
        raise InputError(
            f"given: folds are numbered from 0 to {n_folds - 1}, but no utterance "
            f"is in {', '.join(map(str, sorted(empty)))}"
        )
    return {
        utterance_id: FoldAssignment(int(part), (int(part) - 1) % n_folds)
        for utterance_id, part in sorted(found.items())
    }


def listed(utterances: Utterances, seed: int, *path: str) -> Folds:
    """Read the folds from a fold list."""
    path = Path(":".join(path))
    if not path.is_file():
        raise InputError(f"file:{path}: fold list not found")
    folds = read_folds(path)
    check_assignments(folds)
    return folds


def emobox(utterances: Utterances, seed: int, *path: str) -> Folds:
    """Read the folds from the lists of EmoBox."""
    return read_emobox(":".join(path), utterances, seed)


IMPROVISED, EACH_CORPUS = "improvised", "each_corpus"
# Protocols whose argument is a protocol
NESTING = (IMPROVISED, EACH_CORPUS)
PROTOCOLS = {
    "random10": lambda utterances, seed: random10(utterances, seed),
    "leave_one_session_out": leave_one_session_out,
    "leave_one_speaker_out": leave_one_speaker_out,
    "script_disjoint": script_disjoint,
    "group": grouped,
    "given": given,
    IMPROVISED: improvised,
    EACH_CORPUS: each_corpus,
    "leave_one_corpus_out": leave_one_corpus_out,
    "test_corpus": test_corpus,
    "file": listed,
    "emobox": emobox,
}
# Speaker-independent protocols, and the columns they need
SPEAKERS_APART = {
    "leave_one_session_out": ("session", "speaker"),
    "leave_one_speaker_out": ("speaker",),
}
# Protocols whose result can change are evaluated by every run
CHANGING = ("file", "emobox")
_OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def protocol_name(protocol: str) -> str:
    """Return the canonical name of a protocol.

    Raises ``InputError`` if it is unknown.
    """
    kind, _, rest = protocol.partition(":")
    if kind in NESTING and rest:
        return f"{kind}:{protocol_name(rest)}"
    if kind not in PROTOCOLS and not _OWN.fullmatch(protocol):
        raise InputError(
            f"unknown protocol {protocol!r}. Choose one of "
            f"{', '.join(PROTOCOLS)}, or a custom function such as "
            "my_folds.by_room."
        )
    return protocol


def is_changing(protocol: str) -> bool:
    """Return whether a protocol is a file or a custom function."""
    kind, _, rest = protocol_name(protocol).partition(":")
    if kind in NESTING and rest:
        return is_changing(rest)
    return kind in CHANGING or kind not in PROTOCOLS


def protocol_slug(protocol: str) -> str:
    """Return a unique name of a protocol for use in file names."""
    return quote(protocol_name(protocol), safe="")


def make_folds(protocol: str, utterances: Utterances, seed: int) -> Folds:
    """Return the folds of a protocol.

    Raises ``InputError`` if the corpus does not meet its requirements.
    """
    folds = _folds(protocol, utterances, seed)
    check_listed(folds, utterances)
    return folds


def _folds(protocol, utterances, seed):
    name = protocol_name(protocol)
    kind, *arguments = name.split(":")
    if kind not in PROTOCOLS:
        folds = _own_function(name)(utterances, seed)
        check_assignments(folds)
        return folds
    function = PROTOCOLS[kind]
    try:
        inspect.signature(function).bind(utterances, seed, *arguments)
    except TypeError as error:
        raise InputError(f"protocol {protocol!r}: {error}") from error
    for column in SPEAKERS_APART.get(kind, ()):
        _check_known(utterances, column, kind)
    folds = function(utterances, seed, *arguments)
    if kind in SPEAKERS_APART:
        _check_speakers(folds, utterances, kind)
    return folds


def _check_speakers(
    folds: Folds, utterances: Utterances, protocol: str
) -> None:
    """Refuse a corpus in which a speaker would be in two sets of a fold."""
    parts = {}
    for name, fold in folds.items():
        parts.setdefault(utterances[name].speaker, set()).add(fold)
    mixed = sorted(speaker for speaker, own in parts.items() if len(own) > 1)
    if mixed:
        raise InputError(
            f"{protocol}: speaker {mixed[0]} occurs in several sessions and would "
            "be in several sets. Use group:speaker."
        )


def _own_function(name):
    module, _, function = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"protocol {name!r}: {error}. Pass MODULE.FUNCTION, where MODULE is, "
            "for example, a file next to train.py."
        ) from error
