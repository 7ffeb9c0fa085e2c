"""Data preparation of several corpora as one, with the same emotions in all of them."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import soundfile

from speechbrain.utils.logger import get_logger
from speechbrain_can.alignment.pipeline import FoundWords
from speechbrain_can.corpus.labels import (
    SPELLINGS,
    canonical,
    common_emotions,
    map_labels,
)
from speechbrain_can.corpus.manifest import read_manifest, resolve_wav
from speechbrain_can.corpus.preparation import CorpusSource, prepare_corpus
from speechbrain_can.corpus.prepared import CorpusError, check_unchanged
from speechbrain_can.corpus.recordings import LabeledRecording
from speechbrain_can.io.console import show
from speechbrain_can.io.files import existing_form, read_json

logger = get_logger(__name__)

KEYS = ("prepared", "labels", "language")


@dataclass(frozen=True)
class Member:
    """A prepared corpus with its label map and language."""

    name: str
    language: str
    labels: dict
    classes: list
    data_folder: str
    utterances: dict


def prepare_multi(
    corpora,
    save_folder,
    emotions=None,
    name=None,
    protocol="each_corpus:group:speaker:5",
    data_folder=".",
    weights=None,
    **options,
):
    """Prepare several corpora as one, unless they are already prepared.

    IDs, speakers, sessions and dialogs get the name of their corpus as a prefix, and
    the manifest gets the columns ``corpus`` and ``language``.

    Arguments
    ---------
    corpora : dict of str: dict
        Corpora by name. ``prepared`` is the folder of a run or of a prepared corpus,
        which ``train.py --fold=none`` of another recipe writes. ``labels`` maps labels
        to emotions, or to null to skip their utterances; labels that it does not
        contain are spelled as in ``labels.SPELLINGS``. ``language`` is a code such as
        ``de``, for corpora without a column ``language``.
    save_folder : str
        Output folder.
    emotions : list of str or None
        The classes; None for the emotions that all corpora have. Utterances with other
        labels are skipped.
    name : str or None
        Name of the joint corpus in results.
    protocol : str
        ``each_corpus:group:speaker:5``, ``leave_one_corpus_out``,
        ``test_corpus:NAME`` or another protocol.
    data_folder : str
        Folder that relative paths in ``corpora`` start from.
    weights : dict of str: float or None
        Shares of the corpora in training, which are validated here.
    **options
        ``fold_seed``; see ``prepare_corpus``.

    Raises
    ------
    CorpusError
        If a corpus is not prepared or its map is invalid, or if fewer than two
        emotions remain or a corpus has none of them.
    """
    if not isinstance(corpora, dict) or len(corpora) < 2:
        raise CorpusError(
            "corpora must list at least two corpora by name, each with the folder "
            "prepared"
        )
    if weights is not None and set(weights) != set(corpora):
        raise CorpusError(
            f"corpus_weights must be a mapping with {', '.join(corpora)}, but is "
            f"{weights!r}"
        )
    members = [
        read_member(key, entry, data_folder) for key, entry in corpora.items()
    ]
    if emotions is None:
        emotions = common_emotions(
            {each.name: each.classes for each in members},
            {each.name: each.labels for each in members},
        )
    for emotion in emotions:
        if canonical(emotion) not in SPELLINGS:
            logger.warning(
                "the emotion %r is not in the vocabulary. Check its spelling in "
                "labels and emotions.",
                emotion,
            )
    if len(set(emotions)) < 2:
        raise CorpusError(
            f"the corpora have fewer than two emotions in common ({emotions}). "
            "List them in emotions, or map labels in labels: "
            + "; ".join(f"{m.name}: {', '.join(m.classes)}" for m in members)
        )
    maps = {
        each.name: map_labels(
            each.classes, emotions, each.labels, f"labels of {each.name}"
        )
        for each in members
    }
    root = os.path.commonpath(
        [os.path.abspath(each.data_folder) for each in members]
    )
    folders = {}
    for each in members:
        path = os.path.realpath(each.data_folder)
        if path in folders:
            raise CorpusError(
                f"{each.name} and {folders[path]} are the same corpus ({path}). Its "
                "recordings would be in training and test sets."
            )
        folders[path] = each.name
    recordings, skipped, words = [], [], {}
    for each in members:
        found = list_recordings(each, maps[each.name], root)
        recordings += found[0]
        skipped += found[1]
        words.update(found[2])
        _describe(each, maps[each.name])
    for emotion in emotions:
        if emotion not in {recording.emotion for recording in recordings}:
            raise CorpusError(
                f"no corpus has utterances of {emotion}. Remove it from emotions, "
                "or map a label to it."
            )
    _compare(members)
    source = CorpusSource(
        name or " + ".join(corpora),
        root,
        recordings,
        skipped,
        list(emotions),
        find_words=lambda recording, _: (words[recording.utterance_id], None),
        rule={"words": {key: _times(found) for key, found in words.items()}},
        # The recipes of the corpora have checked the location of their files.
        allow_outside=True,
    )
    prepare_corpus(source, save_folder, protocol, **options)


def read_member(name, entry, data_folder="."):
    """Read a prepared corpus of the list ``corpora``."""
    if not isinstance(entry, dict) or "prepared" not in entry:
        raise CorpusError(
            f"corpora: {name} has no folder prepared. Run train.py --fold=none in "
            "the recipe of the corpus, and pass its output folder."
        )
    unknown = sorted(set(entry) - set(KEYS))
    if unknown:
        raise CorpusError(
            f"corpora: {name} has the unknown key {unknown[0]!r}. The keys are "
            f"{', '.join(KEYS)}."
        )
    folder = Path(data_folder, entry["prepared"])
    if (folder / "prepared" / "corpus.json").exists():
        folder = folder / "prepared"
    if not (folder / "corpus.json").exists():
        raise CorpusError(
            f"corpora: {folder} is not a prepared corpus. Run train.py --fold=none "
            f"in the recipe of {name}, and pass its output folder."
        )
    check_unchanged(folder / "manifest.csv")
    description = read_json(folder / "corpus.json")
    return Member(
        name,
        entry.get("language") or "",
        _checked_labels(name, entry.get("labels") or {}),
        description["classes"],
        description["data_folder"],
        read_manifest(folder / "manifest.csv"),
    )


def _checked_labels(name, labels):
    """Refuse label maps with other keys and values than texts."""
    for key, value in labels.items():
        if not isinstance(key, str) or not isinstance(value, (str, type(None))):
            raise CorpusError(
                f"labels of {name}: {key!r}: {value!r} are not texts. Quote numbers."
            )
    return labels


def list_recordings(corpus, class_of, root):
    """Return the recordings with a class, (ID, reason) of others, and all words."""
    recordings, skipped, words = [], [], {}

    def own(value):
        """Return a name that is unique among the corpora."""
        return f"{corpus.name}_{value}" if value else ""

    for key, utterance in corpus.utterances.items():
        name = own(key)
        emotion = class_of[utterance.emotion]
        if emotion is None:
            reason = f"label {utterance.emotion!r} is not one of the emotions"
            skipped.append((name, reason))
            continue
        wav = os.path.abspath(resolve_wav(utterance, corpus.data_folder))
        words[name] = FoundWords(
            list(utterance.words),
            utterance.words[-1].end,
            utterance.aligned_by,
        )
        extra = {**utterance.extra, "corpus": corpus.name}
        extra["language"] = corpus.language or extra.get("language", "")
        recordings.append(
            LabeledRecording(
                utterance_id=name,
                wav=_relative(wav, root),
                emotion=emotion,
                speaker=own(utterance.speaker),
                session=own(utterance.session),
                dialog=own(utterance.dialog),
                scripted=utterance.scripted,
                transcript=utterance.transcription,
                extra=extra,
            )
        )
    if not recordings:
        raise CorpusError(
            f"{corpus.name} has no utterance of the emotions. Its labels are "
            f"{', '.join(corpus.classes)}."
        )
    return recordings, skipped, words


def _relative(wav, root):
    """Return a path relative to the corpora, or unchanged if it is outside."""
    path = Path(wav)
    inside = path.is_relative_to(root)
    return path.relative_to(root).as_posix() if inside else wav


def _times(found):
    return [(word.text, word.start, word.end) for word in found.words]


def _describe(corpus, class_of):
    """Print the utterances of a corpus by label and class."""
    counts = Counter(each.emotion for each in corpus.utterances.values())
    cells = [
        f"{label} {counts[label]} -> {class_of[label] or 'skipped'}"
        for label in corpus.classes
    ]
    show(f"{corpus.name}: {', '.join(cells)}")


def _compare(corpora):
    """Warn about differences that reveal the corpus or affect the text."""
    rates, languages = {}, {}
    for each in corpora:
        first = next(iter(each.utterances.values()))
        path = existing_form(resolve_wav(first, each.data_folder))
        rates[each.name] = soundfile.info(str(path)).samplerate
        languages[each.name] = each.language or first.extra.get("language", "")
    if len(set(rates.values())) > 1:
        logger.warning(
            "the corpora have different sample rates (%s). All audio is resampled, "
            "but its bandwidth reveals the corpus.",
            ", ".join(f"{name} {rate} Hz" for name, rate in rates.items()),
        )
    if "" in languages.values():
        logger.warning(
            "the language of %s is unknown. Set language.",
            ", ".join(name for name, code in languages.items() if not code),
        )
    elif len(set(languages.values())) > 1:
        logger.warning(
            "the corpora have different languages (%s), so words reveal the corpus",
            ", ".join(f"{name} {code}" for name, code in languages.items()),
        )
