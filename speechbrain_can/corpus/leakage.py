"""How honest a fold is: what test and training share.

Authors
 * The speechbrain-can developers 2026
"""

from speechbrain_can.corpus.protocols import PARTS


def describe_fold(utterances, parts):
    """One line: sizes; speakers, dialogs and sentences that are shared.

    ``parts`` has the IDs under ``train``, ``valid`` and ``test``.
    """

    def values(part, key):
        return {key(utterances[i]) for i in parts[part]} - {""}

    shared = []
    for name in ("speaker", "dialog"):
        tested, trained, validated = (
            values(part, lambda utterance: getattr(utterance, name))
            for part in ("test", "train", "valid")
        )
        if tested:
            known = len(tested & (trained | validated))
            shared.append(f"{known} of {len(tested)} test {name}s")
    sizes = ", ".join(f"{len(parts[part])} {part}" for part in PARTS)
    training_texts = values("train", _text)
    known = sum(_text(utterances[i]) in training_texts for i in parts["test"])
    heard = " and ".join(shared)
    return (
        f"{sizes}; "
        + (f"{heard} are heard outside the test set, " if heard else "")
        + f"{known / len(parts['test']):.0%} of the test sentences are also in "
        "training"
    )


def _text(utterance):
    return " ".join(word.text for word in utterance.words)
