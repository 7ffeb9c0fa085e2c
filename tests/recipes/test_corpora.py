"""Recipes of corpora that are aligned, with speech by eSpeak NG in their layouts."""

import csv

import numpy as np
import pytest
import soundfile
from helpers.recipes import ROOT, load_module, run

from speechbrain_can.controlled.speech import Synthesizer
from speechbrain_can.corpus.fold_lists import split_fold
from speechbrain_can.corpus.manifest import read_manifest
from speechbrain_can.corpus.prepared import Corpus, CorpusError

RECIPES = {
    name: ROOT / "recipes" / name / "multimodal_emotion_recognition"
    for name in ("CustomCorpus", "RAVDESS", "CREMA-D", "MELD", "MSP-Podcast")
}


@pytest.fixture(scope="session")
def speak():
    synthesizer = Synthesizer()

    def speak(path, text, voice="en-us", pitch=50):
        words = text.split()
        samples, _ = synthesizer.speak(
            words, voice, pitch, 150, np.zeros(len(words))
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, synthesizer.sample_rate)

    return speak


def prepare(recipe, corpus, tmp_path, *arguments, protocol=None):
    """Run ``train.py`` without training; return rows and reasons by ID."""
    chosen = [f"--protocol={protocol}"] if protocol else []
    run(
        tmp_path / "results",
        f"--data_folder={corpus}",
        *("--fold=none", "--alignment_workers=1"),
        *chosen,
        *arguments,
        recipe=RECIPES[recipe],
    )
    prepared = tmp_path / "results" / "prepared"
    with open(prepared / "skipped.csv", newline="") as stream:
        skipped = {row["ID"]: row["reason"] for row in csv.DictReader(stream)}
    return read_manifest(prepared / "manifest.csv"), skipped


def words_of(utterance):
    return " ".join(word.text for word in utterance.words)


def test_ravdess(speak, tmp_path):
    corpus = tmp_path / "RAVDESS"
    sentences = {
        1: "Kids are talking by the door",
        2: "Dogs are sitting by the door",
    }
    for actor in (1, 2, 3):
        for sentence, text in sentences.items():
            name = f"03-01-0{3 + sentence}-01-0{sentence}-01-0{actor}.wav"
            speak(
                corpus / f"Actor_0{actor}" / name, text, pitch=30 + 10 * actor
            )
    speak(corpus / "Actor_01" / "03-02-03-01-01-01-01.wav", "La la")
    speak(corpus / "Actor_01" / "mine.wav", "Hello")
    rows, skipped = prepare("RAVDESS", corpus, tmp_path)
    assert len(rows) == 6
    row = rows["03-01-05-01-02-01-03"]
    assert (row.emotion, row.speaker, row.scripted) == ("ang", "03", True)
    assert words_of(row) == "dogs are sitting by the door"
    assert row.aligned_by == "pocketsphinx"
    assert skipped == {
        "03-02-03-01-01-01-01": "the recording is sung",
        "mine": "the file name does not consist of seven numbers",
    }


def test_cremad(speak, tmp_path):
    corpus = tmp_path / "CREMA-D"
    for actor in (1001, 1002, 1003):
        for emotion in ("ANG", "SAD"):
            speak(
                corpus / "AudioWAV" / f"{actor}_IEO_{emotion}_HI.wav",
                "It's eleven o'clock",
            )
    # the recording contains a different sentence
    speak(
        corpus / "AudioWAV" / "1003_TAI_HAP_XX.wav",
        "Maybe tomorrow it will be cold and wet and windy",
    )
    speak(corpus / "AudioWAV" / "1003_XXX_HAP_XX.wav", "Hello")
    rows, skipped = prepare("CREMA-D", corpus, tmp_path)
    assert len(rows) == 6
    row = rows["1002_IEO_SAD_HI"]
    assert (row.emotion, row.speaker) == ("sad", "1002")
    assert words_of(row) == "it's eleven o'clock"
    assert "does not match the audio" in skipped["1003_TAI_HAP_XX"]
    assert "the file name is not actor" in skipped["1003_XXX_HAP_XX"]


def test_meld(speak, tmp_path):
    corpus = tmp_path / "MELD.Raw"
    module = load_module(RECIPES["MELD"] / "meld_prepare.py")
    for part, (table, clips) in module.PARTS.items():
        lines = []
        for utterance, emotion in enumerate(("joy", "anger", "bored")):
            text = "Oh my God, that is so great!"
            speak(
                corpus / clips / f"dia0_utt{utterance}.wav",
                "Oh my God that is so great",
            )
            lines.append((utterance, text, "Ross", emotion, 0, utterance))
        (corpus / clips / "dia0_utt9.mp4").touch()
        lines.append((9, "Hi.", "Joey", "neutral", 0, 9))
        with open(corpus / table, "w", newline="") as stream:
            csv.writer(stream).writerows([("Sr No.", *module.COLUMNS), *lines])
    rows, skipped = prepare("MELD", corpus, tmp_path)
    assert rows.keys() == {
        f"{part}_dia0_utt{i}" for part in module.PARTS for i in (0, 1)
    }
    row = rows["valid_dia0_utt0"]
    assert (row.emotion, row.speaker, row.dialog) == (
        "joy",
        "Ross",
        "valid_dia0",
    )
    assert words_of(row) == "oh my god that is so great"
    assert skipped["test_dia0_utt2"] == "unknown emotion 'bored'"
    # the MP4 file is used, but is empty
    assert "utt9.mp4: the audio cannot be decoded" in skipped["train_dia0_utt9"]
    corpus = Corpus.load(tmp_path / "results" / "prepared", "given")
    parts = split_fold(corpus.folds, 0)
    for part, ids in parts.items():
        assert ids == [f"{part}_dia0_utt0", f"{part}_dia0_utt1"]


@pytest.mark.parametrize(
    "labels, validation",
    [
        ("labels_consensus.csv", "Development"),
        ("labels_concensus.csv", "Validation"),  # releases up to 1.8
    ],
)
def test_msp_podcast(speak, tmp_path, labels, validation):
    corpus = tmp_path / "MSP-PODCAST"
    rows = [
        ("MSP_0001.wav", "A", "1", "Train"),
        ("MSP_0002.wav", "H", "2", validation),
        ("MSP_0003.wav", "N", "Unknown", "Test1"),
        ("MSP_0004.wav", "X", "2", "Train"),
        ("MSP_0005.wav", "A", "2", "Test3"),
    ]
    for name, *_ in rows:
        speak(corpus / "Audios" / name, "we went there every single day")
    (corpus / "Transcripts").mkdir()
    for number in (1, 3):
        (corpus / "Transcripts" / f"MSP_000{number}.txt").write_text(
            "We went there, every single day.\n"
        )
    (corpus / "ForceAligned").mkdir()
    (corpus / "ForceAligned" / "MSP_0002.TextGrid").write_text(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<exists>\n1\n'
        '"IntervalTier"\n"words"\n0\n1\n2\n0\n0.4\n"we"\n0.4\n1\n"went"\n'
    )
    (corpus / "Labels").mkdir()
    with open(corpus / "Labels" / labels, "w", newline="") as f:
        csv.writer(f).writerows(
            [("FileName", "EmoClass", "SpkrID", "Split_Set"), *rows]
        )
    rows, skipped = prepare("MSP-Podcast", corpus, tmp_path)
    assert words_of(rows["MSP_0001"]) == "we went there every single day"
    assert (rows["MSP_0002"].aligned_by, words_of(rows["MSP_0002"])) == (
        "given",
        "we went",
    )
    assert rows["MSP_0002"].extra["fold"] == "valid"
    assert rows["MSP_0003"].speaker == "unknown_MSP_0003"
    assert skipped == {
        "MSP_0004": "label 'X': no agreement",
        "MSP_0005": "the set 'Test3' is not used",
    }


def table(corpus, *rows):
    corpus.mkdir(exist_ok=True)
    with open(corpus / "recordings.csv", "w", newline="") as stream:
        csv.writer(stream).writerows(rows)


def test_custom_corpus_trains(speak, tmp_path):
    corpus = tmp_path / "mine"
    rows = [("wav", "emotion", "speaker", "transcript", "fold")]
    for number, speaker in enumerate("abcd"):
        for emotion in ("glad", "cross"):
            wav = f"wavs/{speaker}_{emotion}.wav"
            speak(
                corpus / wav, "i will be there at nine", pitch=20 + 15 * number
            )
            rows.append(
                (wav, emotion, speaker, "I will be there at 9!", number)
            )
    table(corpus, *rows, ("wavs/a_glad.mp3", "", "a", "", "0"))
    printed = run(
        tmp_path / "results",
        f"--data_folder={corpus}",
        *("--classes=2", "--alignment_workers=1", "--number_of_epochs=1"),
        *("--protocol=given", "--corpus_name=moods"),
        recipe=RECIPES["CustomCorpus"],
    )
    assert "can on moods, given, 2 classes" in printed
    prepared = tmp_path / "results" / "prepared"
    row = read_manifest(prepared / "manifest.csv")["wavs_a_cross"]
    assert words_of(row) == "i will be there at nine"
    assert "no emotion" in (prepared / "skipped.csv").read_text()
    model = (
        tmp_path / "results" / "fold_3" / "model" / "hyperparams.yaml"
    ).read_text()
    assert "sphinx.PocketsphinxAligner" in model
    assert str(corpus) not in model


def test_results_of_changed_folds_are_refused(speak, tmp_path):
    corpus = tmp_path / "mine"
    rows = []
    for number, emotion in enumerate(("glad", "cross") * 3):
        speak(
            corpus / f"{number}.wav", "i will be there", pitch=20 + 10 * number
        )
        rows.append((f"{number}.wav", emotion, f"s{number}", "I will be there"))

    def train(folds, fails=False):
        columns = ("wav", "emotion", "speaker", "transcript", "fold")
        table(corpus, columns, *((*r, f) for r, f in zip(rows, folds)))
        return run(
            tmp_path / "results",
            f"--data_folder={corpus}",
            *("--classes=2", "--alignment_workers=1", "--number_of_epochs=1"),
            *("--protocol=given", "--fold=0"),
            recipe=RECIPES["CustomCorpus"],
            fails=fails,
        )

    train("001122")
    printed = train("112200", fails=True)
    assert "trained on a different preparation" in printed.splitlines()[-1]


def test_invalid_tables(speak, tmp_path):
    module = load_module(RECIPES["CustomCorpus"] / "custom_prepare.py")
    corpus = tmp_path / "mine"

    def message():
        with pytest.raises(ValueError) as error:
            module.prepare_custom(corpus, tmp_path / "prepared")
        return str(error.value)

    assert "recordings.csv: table not found" in message()
    table(corpus, ("wav", "mood", "speaker"))
    assert "line 1: missing columns: emotion. Found: wav, mood" in message()
    table(corpus, ("wav", "emotion", "speaker"))
    assert "lists no recordings" in message()
    row = ("a.wav", "ang", "x")
    table(corpus, ("wav", "emotion", "speaker"), row, row)
    assert "line 3: the ID 'a' also occurs on line 2" in message()


@pytest.mark.parametrize(
    "recipe, function, message",
    [
        ("RAVDESS", "ravdess.prepare_ravdess", "no recordings Actor_01"),
        ("CREMA-D", "cremad.prepare_cremad", "no folder AudioWAV"),
        ("MELD", "meld.prepare_meld", "lacks train_sent_emo.csv"),
        ("MSP-Podcast", "msp_podcast.prepare_msp_podcast", "has no Labels"),
    ],
)
def test_wrong_corpus_folder_is_refused(recipe, function, message, tmp_path):
    file, _, function = function.partition(".")
    module = load_module(RECIPES[recipe] / f"{file}_prepare.py")
    with pytest.raises(CorpusError, match=message):
        getattr(module, function)(tmp_path, tmp_path / "prepared")


@pytest.mark.parametrize(
    "place, advice",
    [
        (
            "audio_speech_actors_01-24/Actor_01",
            "Pass .*audio_speech_actors_01-24",
        ),
        ("Actor_01/Actor_01", "Move the files of .*Actor_01/Actor_01 to"),
        (".", "Pass the folder into which"),
    ],
)
def test_nested_ravdess(tmp_path, place, advice):
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "03-01-01-01-01-01-01.wav").touch()
    module = load_module(RECIPES["RAVDESS"] / "ravdess_prepare.py")
    with pytest.raises(CorpusError, match=advice):
        module.prepare_ravdess(tmp_path, tmp_path / "prepared")


def test_a_preparation_is_short():
    for recipe, folder in RECIPES.items():
        for path in folder.glob("*_prepare.py"):
            assert len(path.read_text().splitlines()) <= 170, recipe
