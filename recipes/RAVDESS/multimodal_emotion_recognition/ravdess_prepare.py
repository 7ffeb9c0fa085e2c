"""Data preparation of RAVDESS (Livingstone and Russo, 2018): two acted sentences.

Download the corpus from https://zenodo.org/records/1188976.
"""

import re
from pathlib import Path

from speechbrain_can.corpus.preparation import CorpusSource, prepare_corpus
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.corpus.recordings import LabeledRecording
from speechbrain_can.io.files import is_listed

EMOTIONS = {
    "01": "neu",
    "02": "calm",
    "03": "hap",
    "04": "sad",
    "05": "ang",
    "06": "fea",
    "07": "dis",
    "08": "sur",
}
SENTENCES = {
    "01": "Kids are talking by the door",
    "02": "Dogs are sitting by the door",
}
INTENSITIES = {"01": "normal", "02": "strong"}
# Modality, vocal channel, emotion, intensity, sentence, repetition, actor
NAME = re.compile(
    r"0[1-3]-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-"
    r"(?P<sentence>0[12])-(?P<repetition>0[12])-(?P<actor>\d\d)"
)


def prepare_ravdess(data_folder, save_folder, **options):
    """Prepare the spoken part of RAVDESS, unless it is already prepared.

    Arguments
    ---------
    data_folder : str
        The folder that contains ``Actor_01`` to ``Actor_24``.
    save_folder : str
        Output folder.
    **options
        ``protocol``, ``fold_seed``, ``aligner`` and ``workers``; see
        ``prepare_corpus``.

    Raises
    ------
    CorpusError
        If the folder is not RAVDESS, or no recording is usable.
    """
    folder = Path(data_folder)
    recordings, skipped = list_recordings(folder)
    if not (recordings or skipped):
        raise CorpusError(
            f"data_folder {folder} has no recordings Actor_01/*.wav, ... "
            + _advice(folder)
        )
    source = CorpusSource(
        "RAVDESS", folder, recordings, skipped, list(EMOTIONS.values())
    )
    prepare_corpus(source, save_folder, **options)


def _advice(folder):
    """Return what to do about a folder without recordings at the usual place."""
    # some copies repeat the corpus or the actor in another folder
    for path in sorted(folder.glob("**/Actor_*/*.wav")):
        place = path.parent.parent
        if not place.name.startswith("Actor_"):
            return f"Pass {place}."
        return f"Move the files of {path.parent} to {place}, and so on."
    return (
        "Pass the folder into which Audio_Speech_Actors_01-24.zip was unpacked."
    )


def list_recordings(folder):
    """Return the spoken recordings, and (ID, reason) of the others."""
    recordings, skipped = [], []
    for path in filter(is_listed, sorted(folder.glob("Actor_*/*.wav"))):
        match = NAME.fullmatch(path.stem)
        if match is None:
            reason = "the file name does not consist of seven numbers"
            skipped.append((path.stem, reason))
        elif match["channel"] == "02":
            skipped.append((path.stem, "the recording is sung"))
        else:
            recordings.append(
                LabeledRecording(
                    utterance_id=path.stem,
                    wav=path.relative_to(folder).as_posix(),
                    emotion=EMOTIONS[match["emotion"]],
                    speaker=match["actor"],
                    scripted=True,
                    transcript=SENTENCES[match["sentence"]],
                    extra={
                        # odd numbers are men
                        "sex": "male" if int(match["actor"]) % 2 else "female",
                        "intensity": INTENSITIES[match["intensity"]],
                        "sentence": match["sentence"],
                        "repetition": match["repetition"],
                        "language": "en",
                    },
                )
            )
    return recordings, skipped
