"""The recipe for several corpora."""

import os

import pytest
from helpers.corpora import write_wav
from helpers.recipes import ROOT, load_module, run

from speechbrain_can.alignment.pipeline import FoundWords
from speechbrain_can.alignment.words import equal_words
from speechbrain_can.corpus.fold_lists import split_fold
from speechbrain_can.corpus.manifest import read_manifest
from speechbrain_can.corpus.preparation import CorpusSource, prepare_corpus
from speechbrain_can.corpus.prepared import Corpus, CorpusError
from speechbrain_can.corpus.recordings import LabeledRecording
from speechbrain_can.io.files import read_json

RECIPE = ROOT / "recipes" / "MultiCorpus" / "multimodal_emotion_recognition"
LABELS = {"a": ("anger", "calm", "bored"), "b": ("ang", "neu", "hap")}


def prepare_one(folder, labels, speakers=5, sample_rate=16000):
    """Prepare a corpus of noise with one utterance per speaker and label."""
    recordings = []
    for speaker in range(speakers):
        for i, label in enumerate(labels):
            name = f"{speaker}_{i}"
            write_wav(
                folder / f"{name}.wav", 0.5, sample_rate, seed=10 * speaker + i
            )
            recordings.append(
                LabeledRecording(name, f"{name}.wav", label, str(speaker))
            )
    source = CorpusSource(
        folder.name,
        folder,
        recordings,
        [],
        find_words=lambda _, seconds: (
            FoundWords(equal_words(["so", "what"], seconds), seconds, ""),
            None,
        ),
    )
    prepare_corpus(source, folder / "run" / "prepared", "group:speaker")
    return folder / "run"


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    return {
        "a": {
            "prepared": str(prepare_one(folder / "a", LABELS["a"])),
            "labels": {"calm": "neutral"},
            "language": "de",
        },
        "b": {
            "prepared": str(
                prepare_one(folder / "b", LABELS["b"], sample_rate=8000)
            ),
            "language": "en",
        },
    }


def prepare(corpora, folder, protocol="each_corpus:group:speaker:5", **options):
    module = load_module(RECIPE / "multi_prepare.py")
    module.prepare_multi(corpora, folder, protocol=protocol, **options)
    return Corpus.load(folder, protocol)


def test_emotions_in_common(corpora, tmp_path, capsys):
    joint = prepare(corpora, tmp_path)
    assert joint.classes == ["ang", "neu"]
    assert joint.name == "a + b"
    assert len(joint.utterances) == 20
    row = joint.utterances["a_2_1"]
    assert (row.speaker, row.emotion) == ("a_2", "neu")
    assert row.extra == {"corpus": "a", "language": "de"}
    assert len((tmp_path / "skipped.csv").read_text().splitlines()) == 11
    out = capsys.readouterr().out
    assert "a: anger 5 -> ang, bored 5 -> skipped, calm 5 -> neu" in out
    # the words are those of the corpora
    own = read_manifest(f"{corpora['a']['prepared']}/prepared/manifest.csv")
    assert row.words == own["2_1"].words


def test_every_fold_tests_every_corpus(corpora, tmp_path):
    joint = prepare(corpora, tmp_path)
    for fold in range(5):
        parts = split_fold(joint.folds, fold)
        for ids in parts.values():
            assert {name[0] for name in ids} == {"a", "b"}


@pytest.mark.parametrize(
    "protocol, tested", [("leave_one_corpus_out", "ab"), ("test_corpus:b", "b")]
)
def test_corpora_are_left_out(corpora, tmp_path, protocol, tested):
    joint = prepare(corpora, tmp_path, protocol)
    for fold, corpus in enumerate(tested):
        parts = split_fold(joint.folds, fold)
        assert {name[0] for name in parts["test"]} == {corpus}
        others = parts["train"] + parts["valid"]
        assert corpus not in {name[0] for name in others}
        speakers = [
            {joint.utterances[name].speaker for name in parts[part]}
            for part in ("train", "valid")
        ]
        assert not speakers[0] & speakers[1]


def test_different_numbers_of_folds_are_refused(corpora, tmp_path):
    few = prepare_one(tmp_path / "few", LABELS["b"], speakers=3)
    corpora = {**corpora, "few": {"prepared": str(few)}}
    with pytest.raises(Exception, match=r"different numbers of folds \(a 5"):
        prepare(corpora, tmp_path, "each_corpus:leave_one_speaker_out")


@pytest.mark.parametrize(
    "changes, options, expected",
    [
        ({"labels": {"calm": "neu", "clam": None}}, {}, "no label 'clam'"),
        ({"labels": {"anger": "neu"}}, {}, "fewer than two emotions in common"),
        (
            {},
            {"emotions": ["ang", "neu", "sad"]},
            "no corpus has utterances of sad",
        ),
        (
            {},
            {"emotions": ["hap", "sur"]},
            "a has no utterance of the emotions",
        ),
        ({"prepared": "/nowhere"}, {}, "/nowhere is not a prepared corpus"),
        ({"label": {}}, {}, "unknown key 'label'"),
        ({"labels": {"calm": 1}}, {}, "'calm': 1 are not texts. Quote numbers"),
    ],
)
def test_unusable_lists_are_refused(
    corpora, tmp_path, changes, options, expected
):
    corpora = {**corpora, "a": {**corpora["a"], **changes}}
    with pytest.raises(CorpusError, match=expected):
        prepare(corpora, tmp_path / "joint", **options)


@pytest.mark.parametrize("weights", [{"a": 1}, "a", {"a": 1, "c": 1}])
def test_weights_name_all_corpora(corpora, tmp_path, weights):
    with pytest.raises(CorpusError, match="corpus_weights must be a mapping"):
        prepare(corpora, tmp_path, weights=weights)


def test_a_corpus_cannot_be_listed_twice(corpora, tmp_path):
    with pytest.raises(CorpusError, match="c and a are the same corpus"):
        prepare({**corpora, "c": corpora["a"]}, tmp_path)


def test_unknown_emotions_are_reported(corpora, tmp_path, caplog):
    own = {"calm": "xyz", "neu": "xyz"}
    changed = {
        "a": {**corpora["a"], "labels": {"calm": "xyz"}},
        "b": {**corpora["b"], "labels": {"neu": "xyz"}},
    }
    joint = prepare(changed, tmp_path)
    assert joint.classes == ["ang", *set(own.values())]
    assert "'xyz' is not in the vocabulary" in caplog.text


def test_training_reports_each_corpus(corpora, tmp_path):
    hparams = tmp_path / "joint.yaml"
    listed = "".join(
        f"    {name}:\n"
        + "".join(f"        {k}: {v}\n" for k, v in own.items())
        for name, own in corpora.items()
    )
    hparams.write_text(f"base: {RECIPE}/hparams/can.yaml\ncorpora:\n{listed}")
    output = run(
        tmp_path / "results",
        *("--classes=2", "--fold=0", "--number_of_epochs=1"),
        "--corpus_weights={a: 3, b: 1}",
        recipe=RECIPE,
        model=os.path.relpath(hparams.with_suffix(""), RECIPE / "hparams"),
    )
    assert "Means over the folds that test a corpus" in output
    (fold,) = read_json(tmp_path / "results" / "results.json")["folds"]
    counts = {name: own["n_test"] for name, own in fold["corpora"].items()}
    assert counts == {"a": 2, "b": 2} and fold["n_test"] == 4
