"""Emotion vocabulary and label maps: one set of classes for several corpora."""

from collections import Counter, defaultdict
from typing import Iterable, Mapping, Sequence

from speechbrain_can.corpus.prepared import CorpusError

# Spellings in IEMOCAP, EmoDB, RAVDESS, CREMA-D, MELD, MSP-Podcast, SAVEE and TESS.
# Codes of one letter are not included: A is anger in MSP-Podcast and fear in EmoDB.
SPELLINGS = {
    "ang": ("anger", "angry"),
    "bor": ("boredom", "bored"),
    "calm": ("calmness",),
    "con": ("contempt", "contemptuous"),
    "dis": ("disgust", "disgusted"),
    "exc": ("excited", "excitement"),
    "fea": ("fear", "fearful", "afraid", "anxiety", "anxious"),
    "fru": ("frustration", "frustrated"),
    "hap": ("happiness", "happy", "joy", "joyful"),
    "neu": ("neutral", "neutral state", "neutrality"),
    "oth": ("other",),
    "sad": ("sadness",),
    "sur": (
        *("surprise", "surprised", "ps", "pleasant_surprise"),
        *("pleasant surprise", "pleasantly surprised"),
    ),
}
_CANONICAL = {
    spelling: name
    for name, spellings in SPELLINGS.items()
    for spelling in (name, *spellings)
}


def canonical(label: str) -> str:
    """Return the name of an emotion in the vocabulary; other labels are unchanged.

    Example
    -------
    >>> canonical("Angry"), canonical("ps"), canonical("hesitant")
    ('ang', 'sur', 'hesitant')
    """
    return _CANONICAL.get(" ".join(label.lower().split()), label)


def map_labels(
    labels: Iterable[str],
    classes: Sequence[str],
    own: Mapping[str, str | None] | None = None,
    place: str = "the label map",
) -> dict[str, str | None]:
    """Map the labels of a corpus to classes.

    A label is replaced according to ``own``, if it is there. It then belongs to the
    class of the same name, or of the same name in the vocabulary.

    Arguments
    ---------
    labels : iterable of str
        All labels of the corpus.
    classes : list of str
        The classes.
    own : dict of str: str or None
        Replacements of labels; None drops a label.
    place : str
        Name of the map in errors.

    Returns
    -------
    dict of str: str or None
        The class of each label; None if it has none.

    Raises
    ------
    CorpusError
        If ``own`` contains a label that the corpus does not have, or names
        something that is neither a class nor in the vocabulary.

    Example
    -------
    >>> map_labels(
    ...     ["calm", "angry", "bored"], ["ang", "neu"], {"calm": "neutral"}
    ... )
    {'calm': 'neu', 'angry': 'ang', 'bored': None}
    """
    labels, own = list(labels), dict(own or {})
    unknown = sorted(set(own) - set(labels))
    if unknown:
        raise CorpusError(
            f"{place}: the corpus has no label {unknown[0]!r}. Its labels are "
            f"{', '.join(labels)}."
        )
    by_name = defaultdict(list)
    for name in classes:
        by_name[canonical(name)].append(name)

    def class_of(name):
        if name is None or name in classes:
            return name
        # A model may distinguish two spellings, such as joy and happy.
        same = by_name[canonical(name)]
        return same[0] if len(same) == 1 else None

    found = {label: class_of(own.get(label, label)) for label in labels}
    for label, name in own.items():
        known = name in classes or canonical(name or "") in SPELLINGS
        if name is not None and not known:
            raise CorpusError(
                f"{place} maps {label!r} to {name!r}, which is not a class. The "
                f"classes are {', '.join(classes)}. Map it to null (with --map: to "
                "nothing) to drop it."
            )
    return found


def common_emotions(
    labels: Mapping[str, Iterable[str]],
    own: Mapping[str, Mapping[str, str | None]],
) -> list[str]:
    """Return the emotions that all corpora have, after their own maps, sorted.

    ``labels`` and ``own`` contain the labels and the maps of each corpus by name.
    """
    counts = Counter()
    for corpus, its in labels.items():
        kept = (own.get(corpus, {}).get(label, label) for label in its)
        counts.update({canonical(name) for name in kept if name is not None})
    return sorted(name for name, n in counts.items() if n == len(labels))
