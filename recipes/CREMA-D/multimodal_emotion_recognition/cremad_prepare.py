"""Data preparation of CREMA-D (Cao et al., 2014): twelve acted sentences.

Download the corpus from https://github.com/CheyneyComputerScience/CREMA-D.
"""

import re
from pathlib import Path

from speechbrain_can.corpus.preparation import CorpusSource, prepare_corpus
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.corpus.recordings import LabeledRecording
from speechbrain_can.io.files import is_listed
from speechbrain_can.io.tables import read_table

EMOTIONS = {
    "ANG": "ang",
    "DIS": "dis",
    "FEA": "fea",
    "HAP": "hap",
    "NEU": "neu",
    "SAD": "sad",
}
SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
DEMOGRAPHICS = "VideoDemographics.csv"
ACTOR = ("sex", "age", "race", "ethnicity")
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high"}
# Actor, sentence, emotion, intensity
NAME = re.compile(
    rf"(?P<actor>1\d{{3}})_(?P<sentence>{'|'.join(SENTENCES)})_"
    rf"(?P<emotion>{'|'.join(EMOTIONS)})_(?P<intensity>\w+)"
)


def prepare_cremad(data_folder, save_folder, **options):
    """Prepare CREMA-D, unless it is already prepared.

    The label is the acted emotion, not the emotion that raters perceived.

    Arguments
    ---------
    data_folder : str
        The folder that contains ``AudioWAV``.
    save_folder : str
        Output folder.
    **options
        ``protocol``, ``fold_seed``, ``aligner`` and ``workers``; see
        ``prepare_corpus``.

    Raises
    ------
    CorpusError
        If the folder is not CREMA-D, or no recording is usable.
    """
    folder = Path(data_folder)
    if not (folder / "AudioWAV").is_dir():
        raise CorpusError(
            f"data_folder {folder} has no folder AudioWAV. Pass the folder of the "
            "repository, cloned with Git LFS."
        )
    recordings, skipped = list_recordings(folder)
    source = CorpusSource(
        "CREMA-D", folder, recordings, skipped, list(EMOTIONS.values())
    )
    prepare_corpus(source, save_folder, **options)


def list_actors(folder):
    """Return sex, age, race and ethnicity of each actor; empty if they are missing."""
    path = folder / DEMOGRAPHICS
    if not path.exists():
        return {}
    return {
        row["ActorID"]: {
            "sex": row["Sex"].lower(),
            "age": row["Age"],
            "race": row["Race"],
            "ethnicity": row["Ethnicity"],
        }
        for _, row in read_table(path, ("ActorID", *map(str.title, ACTOR)))
    }


def list_recordings(folder):
    """Return the recordings, and (ID, reason) of files with other names."""
    recordings, skipped = [], []
    actors = list_actors(folder)
    paths = sorted((folder / "AudioWAV").glob("*.wav"))
    for path in filter(is_listed, paths):
        match = NAME.fullmatch(path.stem)
        if match is None:
            reason = "the file name is not actor, sentence, emotion, intensity"
            skipped.append((path.stem, reason))
            continue
        recordings.append(
            LabeledRecording(
                utterance_id=path.stem,
                wav=f"AudioWAV/{path.name}",
                emotion=EMOTIONS[match["emotion"]],
                speaker=match["actor"],
                scripted=True,
                transcript=SENTENCES[match["sentence"]],
                extra={
                    **actors.get(match["actor"], dict.fromkeys(ACTOR, "")),
                    # X and XX: unspecified
                    "intensity": INTENSITIES.get(match["intensity"], ""),
                    "sentence": match["sentence"],
                    "language": "en",
                },
            )
        )
    return recordings, skipped
