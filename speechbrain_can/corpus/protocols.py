"""Protocols: how a corpus is cut into folds, the same on every machine.

A protocol maps utterances to folds. Each utterance is tested in one fold and
validates in at most one other; in the remaining folds it trains. In YAML, or with
``--protocol``, it has one of these names:

``random10``
    The paper's: 10 folds, 8:1:1, stratified by emotion. Speakers and scripted
    sentences are shared between training and test.
``leave_one_session_out``
    Leave one session out. One talker of the next session validates, the woman
    in even folds and the man in odd ones, and the other talker of that session
    trains with the three sessions that are left: no speaker is in two parts.
    With fewer than three sessions the speakers of training and validation
    cannot be disjoint from each other and from the test; that is refused.
``leave_one_speaker_out``
    Leave one speaker out; the next speaker validates. Where two speakers talk
    to each other, the partner of the one that is tested trains or validates:
    their dialogs are shared.
``script_disjoint``, ``script_disjoint:5``
    Ten folds, or as many as are given, in which no scripted sentence is in two
    parts, nor one that is nearly the same, whoever says it; what else is
    improvised stays with its dialog. Speakers and scripted dialogs are shared.
``group:speaker``, ``group:room:5``
    Folds of about the same size, at most ten or as many as are given, in which
    nothing of a group is in two parts; a group is what has the same value in
    this column of the manifest.
``given``
    As the corpus says in the manifest's column ``fold``: a number, or ``train``,
    ``valid`` and ``test``.
``improvised:leave_one_session_out``
    Any protocol, on the utterances that are not scripted; the others are left
    out.
``file:folds.csv``
    A fold list: ``ID``, ``test_fold`` and ``valid_fold``, see ``manifests``.
``my_folds.by_room``
    One's own: a module beside ``train.py`` and its function, which takes
    utterances by ID and a seed and returns a ``FoldAssignment`` by ID.

To add one for everybody, write a function here and name it in ``PROTOCOLS``. What a
protocol shares between training and test is found by ``leakage``."""

import importlib
import inspect
import re
from collections import Counter, defaultdict
from pathlib import Path
from urllib.parse import quote

import numpy as np

from speechbrain_can.corpus.folds import (
    PARTS,
    FoldAssignment,
    check_assignments,
    check_listed,
    read_folds,
)
from speechbrain_can.corpus.manifest import column_value
from speechbrain_can.corpus.sentences import group_near, is_long, sentence_of
from speechbrain_can.files import InputError


def random10(utterances, seed, n_folds=10):
    """Stratified random folds of the paper: 8:1:1."""
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
    # Dealing on from class to class keeps the folds' sizes within one.
    return {
        utterance_id: FoldAssignment(i % n_folds, (i - 1) % n_folds)
        for i, utterance_id in enumerate(shuffled)
    }


def leave_one_session_out(utterances, seed=None):
    """Leave one session out, a speaker of the next session validates."""
    speakers = defaultdict(set)
    for utterance in utterances.values():
        speakers[utterance.session].add(utterance.speaker)
    sessions = sorted(speakers)
    if len(sessions) < 3:
        raise InputError(
            "leave_one_session_out needs three sessions or more, found "
            f"{sessions}: with fewer, no speaker is left to validate that "
            "neither trains nor is tested"
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


def leave_one_speaker_out(utterances, seed=None):
    """Leave one speaker out, the next speaker validates."""
    speakers = sorted({u.speaker for u in utterances.values()})
    if len(speakers) < 3:
        raise InputError(
            "leave_one_speaker_out needs three speakers or more, found "
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


def grouped(utterances, seed, column, n_folds=None):
    """Folds of whole groups of a column; the next fold validates."""
    _check_known(utterances, column, f"group:{column}")
    groups = {
        name: column_value(utterance, column)
        for name, utterance in sorted(utterances.items())
    }
    return _folds_of_groups(groups, n_folds, f"group:{column}")


def script_disjoint(utterances, seed, n_folds=None):
    """Folds that share no scripted sentence, nor one nearly the same."""
    if not any(u.scripted for u in utterances.values()):
        raise InputError(
            "script_disjoint: no utterance of this corpus is scripted; choose "
            "another protocol"
        )
    said = {name: sentence_of(u) for name, u in sorted(utterances.items())}
    near = group_near(
        text
        for name, text in said.items()
        if utterances[name].scripted or is_long(text)
    )
    scripts = {near[said[n]] for n, u in utterances.items() if u.scripted}
    groups = {
        # an improvised "yes" is of no script
        name: f"script {near[text]}"
        if near.get(text) in scripts
        and (utterances[name].scripted or is_long(text))
        else f"dialog {utterances[name].dialog or name}"
        for name, text in said.items()
    }
    return _folds_of_groups(groups, n_folds, "script_disjoint")


def _folds_of_groups(groups, n_folds, name):
    """Folds of whole groups, by ID; the next fold validates.

    The largest group goes to the emptiest fold first, so that folds become
    about as large as each other.
    """
    sizes = Counter(groups.values())
    asked, n_folds = n_folds, min(_number(n_folds, name), len(sizes))
    if asked is not None and n_folds < int(asked):
        raise InputError(
            f"{name} has {len(sizes)} groups, too few for {asked} folds"
        )
    if n_folds < 3:
        raise InputError(
            f"{name} needs three folds or more, of a group or more each, to "
            f"train, validate and test; found {sorted(sizes)[:3]}"
        )
    fold, filled = {}, [0] * n_folds
    for group in sorted(sizes, key=lambda group: (-sizes[group], group)):
        fold[group] = filled.index(min(filled))
        filled[fold[group]] += sizes[group]
    return {
        utterance_id: FoldAssignment(fold[group], (fold[group] - 1) % n_folds)
        for utterance_id, group in groups.items()
    }


def _check_known(utterances, column, protocol):
    """Refuses a corpus in which an utterance has nothing in a column."""
    without = sorted(
        name for name, u in utterances.items() if not column_value(u, column)
    )
    if without:
        raise InputError(
            f"{protocol} needs the {column} of every utterance, and "
            f"{len(without)} have none, {without[0]} among them"
        )


def _number(n_folds, name):
    if n_folds is None:
        return 10
    if not re.fullmatch("[0-9]+", str(n_folds)):
        raise InputError(
            f"{name}:{n_folds}: the last part is the number of folds, such as 5"
        )
    return int(n_folds)


def improvised(utterances, seed, *protocol):
    """The folds of another protocol for what is not scripted."""
    kept = {n: u for n, u in utterances.items() if not u.scripted}
    if not kept:
        raise InputError(
            "improvised: every utterance of the corpus is scripted"
        )
    if not protocol:
        raise InputError(
            "improvised needs a protocol, as improvised:leave_one_session_out"
        )
    return _folds(":".join(protocol), kept, seed)


def given(utterances, seed):
    """Folds by the column ``fold`` of the manifest.

    It has a fold's number (the next fold validates), or one of ``train``,
    ``valid`` and ``test`` for all.
    """
    found = {name: u.extra.get("fold") for name, u in utterances.items()}
    if not any(found.values()):
        raise InputError("given: this corpus has no folds of its own")
    without = sorted(name for name, part in found.items() if not part)
    if without:
        raise InputError(
            f"{len(without)} utterances have no fold, {without[0]} among them; "
            "the protocol given needs that of every one"
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
                f"no utterance is given for {', '.join(sorted(missing))}"
            )
        return {name: whole[part] for name, part in sorted(found.items())}
    for utterance_id, part in sorted(found.items()):
        if not part.isdigit():
            raise InputError(
                f"{utterance_id} has the fold {part!r}; give a number from 0 for "
                f"every utterance, or one of {', '.join(PARTS)} for every one"
            )
    n_folds = 1 + max(map(int, found.values()))
    empty = set(range(n_folds)) - set(map(int, found.values()))
    if empty:
        raise InputError(
            f"folds are numbered from 0 to {n_folds - 1}, and no utterance is in "
            f"{', '.join(map(str, sorted(empty)))}"
        )
    return {
        utterance_id: FoldAssignment(int(part), (int(part) - 1) % n_folds)
        for utterance_id, part in sorted(found.items())
    }


def listed(utterances, seed, *path):
    """The folds of a fold list."""
    path = Path(":".join(path))
    if not path.is_file():
        raise InputError(f"file:{path}: there is no such fold list")
    folds = read_folds(path)
    check_assignments(folds)
    return folds


IMPROVISED = "improvised"
PROTOCOLS = {
    "random10": lambda utterances, seed: random10(utterances, seed),
    "leave_one_session_out": leave_one_session_out,
    "leave_one_speaker_out": leave_one_speaker_out,
    "script_disjoint": script_disjoint,
    "group": grouped,
    "given": given,
    IMPROVISED: improvised,
    "file": listed,
}
# what they were called at first
ALIASES = {
    "session5": "leave_one_session_out",
    "speaker10": "leave_one_speaker_out",
}
# Those that promise that no speaker is in two parts, and what they must know
SPEAKERS_APART = {
    "leave_one_session_out": ("session", "speaker"),
    "leave_one_speaker_out": ("speaker",),
}
# Those that can say something else tomorrow are asked anew by every run.
CHANGING = ("file",)
_OWN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def protocol_name(protocol):
    """The name of a protocol, or of what has this alias.

    Raises ``InputError`` for one that is unknown.
    """
    name = ALIASES.get(protocol, protocol)
    kind, _, rest = name.partition(":")
    if kind == IMPROVISED and rest:
        return f"{kind}:{protocol_name(rest)}"
    if kind not in PROTOCOLS and not _OWN.fullmatch(name):
        raise InputError(
            f"protocol {protocol!r} is unknown; choose one of "
            f"{', '.join(PROTOCOLS)}, or a function of your own as "
            "my_folds.by_room"
        )
    return name


def is_changing(protocol):
    """Whether a protocol is a file or a function of the user's."""
    kind, _, rest = protocol_name(protocol).partition(":")
    if kind == IMPROVISED and rest:
        return is_changing(rest)
    return kind in CHANGING or kind not in PROTOCOLS


def protocol_slug(protocol):
    """A protocol's name as a part of a file's, no two names the same."""
    return quote(protocol_name(protocol), safe="")


def make_folds(protocol, utterances, seed):
    """The folds of a protocol, by its name: a ``FoldAssignment`` by ID.

    Raises ``InputError`` if the corpus cannot honour it.
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


def _check_speakers(folds, utterances, protocol):
    """Refuses a corpus in which a speaker would be in two parts of a fold."""
    parts = {}
    for name, fold in folds.items():
        parts.setdefault(utterances[name].speaker, set()).add(fold)
    mixed = sorted(speaker for speaker, own in parts.items() if len(own) > 1)
    if mixed:
        raise InputError(
            f"{protocol}: speaker {mixed[0]} is in several sessions, and would be "
            "in several parts; choose group:speaker"
        )


def _own_function(name):
    module, _, function = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"protocol {name!r}: {error}; it is the name of a module, such as a "
            "file beside train.py, and of a function in it"
        ) from error
