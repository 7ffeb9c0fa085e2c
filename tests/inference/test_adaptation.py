"""Adaptation to speakers: training, prediction, enrollment, ensembles, evaluation."""

import csv
import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from helpers.corpora import write_wav
from helpers.recipes import run
from safetensors import safe_open

from speechbrain_can.__main__ import main
from speechbrain_can.features.normalization import SpeakerProfile
from speechbrain_can.inference import evaluation
from speechbrain_can.inference.batches import predict_recordings
from speechbrain_can.inference.inputs import Recording
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.inference.speakers import load_profile, save_profile
from speechbrain_can.io.audio import read_waveform
from speechbrain_can.io.files import InputError, read_json
from speechbrain_can.runs.predictions import read_predictions

pytestmark = pytest.mark.training

SPEAKERS = ("03", "08", "09")
PROTOCOL = "leave_one_speaker_out"
TEXT = "Das will sie am Mittwoch abgeben."


@pytest.fixture(scope="module")
def runs(tiny, tmp_path_factory):
    """Train the packaged model's configuration with two seeds, on noise."""
    folder = tmp_path_factory.mktemp("adapted")
    for i, speaker in enumerate(SPEAKERS):
        for j, letter in enumerate("WLEAFTN"):
            write_wav(
                folder / "emodb" / "wav" / f"{speaker}a02{letter}a.wav",
                0.9,
                seed=7 * i + j,
            )
    for seed in (1, 2):
        run(
            folder / f"{seed}",
            f"--data_folder={folder / 'emodb'}",
            f"--audio_source={tiny / 'whisper'}",
            f"--pretrained_folder={tiny / 'save'}",
            f"--features_folder={folder / 'features'}",
            *("--number_of_epochs=2", "--augmented_copies=1"),
            f"--seed={seed}",
            model="emodb_whisper_base",
            recipe="EmoDB",
        )
    return folder


@pytest.fixture(scope="module")
def recognizer(runs):
    return EmotionRecognizer.from_hparams(
        runs / "1" / "fold_0" / "model", overrides={"temperature": 1.0}
    )


@pytest.fixture
def recordings(runs):
    """Return the recordings of the speaker who is tested in fold 0."""
    paths = sorted((runs / "emodb" / "wav").glob("03*.wav"))
    return [Recording(path, TEXT) for path in paths]


def invoke(*arguments, fails=False):
    found = CliRunner().invoke(main, [str(a) for a in arguments])
    assert (found.exit_code != 0) == fails, found.output
    return found


def probabilities(prediction):
    return list(prediction.probabilities.values())


def predicted(recognizer, recordings, **options):
    outcomes = list(predict_recordings(recognizer, recordings, **options))
    assert not any(outcome.problems for outcome in outcomes)
    return [p for outcome in outcomes for p in outcome.predictions]


def test_training_tests_both_regimes(runs, recognizer, recordings):
    """Predictions of the test are those of prediction, adapted or not."""
    fold = runs / "1" / "fold_0"
    for name, speaker in (("predictions", None), ("adapted_predictions", "a")):
        table = read_predictions(fold / f"{name}.csv")
        found = predicted(
            recognizer,
            [Recording(r.path, TEXT, speaker=speaker) for r in recordings],
        )
        assert [r.path.stem for r in recordings] == list(table["ID"])
        numpy = table[recognizer.classes].to_numpy()
        assert numpy == pytest.approx(
            np.array([probabilities(p) for p in found]), abs=1e-4
        )
        assert {p.adapted_to for p in found} == {6 if speaker else 0}
    result = read_json(fold / "result.json")
    assert result["adapted"].keys() >= {"WA", "UA"}
    assert read_json(runs / "1" / "results.json")["adapted"]["UA"] >= 0


def test_a_single_recording_is_not_adapted(recognizer, recordings):
    plain = predicted(recognizer, recordings[:1])
    own = [Recording(recordings[0].path, TEXT, speaker="anna")]
    (alone,) = predicted(recognizer, own)
    assert alone.adapted_to == 0
    assert probabilities(alone) == pytest.approx(probabilities(plain[0]))


def test_prediction_does_not_depend_on_the_order(recognizer, recordings):
    named = [Recording(r.path, TEXT, speaker="anna") for r in recordings]
    forward = predicted(recognizer, named)
    backward = predicted(recognizer, named[::-1])[::-1]
    for one, other in zip(forward, backward):
        assert probabilities(one) == pytest.approx(
            probabilities(other), abs=1e-5
        )
    plain = predicted(recognizer, named, adapt=False)
    changed = [
        max(abs(a - b) for a, b in zip(probabilities(p), probabilities(q)))
        for p, q in zip(plain, forward)
    ]
    assert max(changed) > 1e-6


def test_a_batch_is_adapted_like_recordings(recognizer, recordings):
    waveforms = [read_waveform(r.path, 16000) for r in recordings[:3]]
    batch = recognizer.classify_batch(
        torch.stack(waveforms), transcripts=[TEXT] * 3, speakers=["a"] * 3
    )
    named = [Recording(r.path, TEXT, speaker="a") for r in recordings[:3]]
    for one, other in zip(batch, predicted(recognizer, named)):
        assert one.adapted_to == 2
        assert probabilities(one) == pytest.approx(
            probabilities(other), abs=1e-5
        )


def test_enrolled_speakers(runs, recordings, tmp_path):
    model = runs / "1" / "fold_0" / "model"
    recognizer = EmotionRecognizer.from_hparams(model)
    encoded = [recognizer.encode_file(r.path, TEXT) for r in recordings[:4]]
    profile = recognizer.enroll("anna", encoded)
    assert profile.recordings == 4
    path = recordings[5].path
    found = recognizer.classify_file(path, TEXT, speaker="anna")
    assert found.adapted_to == 4
    with pytest.raises(InputError, match="'berta' is not enrolled"):
        recognizer.classify_file(path, TEXT, speaker="berta")
    save_profile(recognizer, "anna", tmp_path / "anna.profile")
    assert (tmp_path / "anna.profile").stat().st_size < 200_000
    again = EmotionRecognizer.from_hparams(model)
    assert load_profile(again, tmp_path / "anna.profile") == "anna"
    other = again.classify_file(path, TEXT, speaker="anna")
    assert other.probabilities == found.probabilities
    # also with the command line
    table = tmp_path / "table.csv"
    with open(table, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(
            [("wav", "transcript"), *((r.path, TEXT) for r in recordings[:4])]
        )
    invoke("enroll", model, tmp_path / "cli", table, "--allow-outside")
    result = invoke(
        *("predict", model, path, "--transcript", TEXT, "--format=json"),
        *("--profile", tmp_path / "cli"),
    )
    record = json.loads(result.stdout.splitlines()[0])
    assert record["adapted_to"] == 4
    assert record["probabilities"] == pytest.approx(
        found.probabilities, abs=1e-5
    )


def test_profiles_of_other_models_are_refused(runs, recognizer, tmp_path):
    other = EmotionRecognizer.from_hparams(runs / "1" / "fold_1" / "model")
    shape = other.mods.normalize.class_means.shape
    other.profiles["anna"] = SpeakerProfile.empty(*shape)
    save_profile(other, "anna", tmp_path / "anna")
    with pytest.raises(InputError, match="profile for another model"):
        load_profile(recognizer, tmp_path / "anna")
    (tmp_path / "torn").write_bytes((tmp_path / "anna").read_bytes()[:-8])
    (tmp_path / "text").write_text("anna")
    (tmp_path / "large").write_bytes(bytes(2_000_000))
    for name in ("torn", "text", "large"):
        with pytest.raises(InputError, match="is not a speaker profile"):
            load_profile(other, tmp_path / name)


def test_speakers_of_the_command_line(runs, recordings, tmp_path):
    model = runs / "1" / "fold_0" / "model"
    rows = [("wav", "transcript", "speaker")]
    for i, recording in enumerate(recordings):
        folder = tmp_path / "speakers" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(recording.path, folder)
        rows.append((folder / recording.path.name, TEXT, "ab"[i % 2]))
    table = tmp_path / "table.csv"
    with open(table, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)

    def adapted_to(*options):
        result = invoke("predict", model, *options, "--format=json")
        lines = result.stdout.splitlines()
        return [json.loads(line)["adapted_to"] for line in lines]

    assert adapted_to(table) == [3, 2, 3, 2, 3, 2, 3]
    assert adapted_to(table, "--no-adapt") == [0] * 7
    plain = tmp_path / "plain.csv"
    with open(plain, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([row[:2] for row in rows])
    assert adapted_to(plain) == [0] * 7
    assert adapted_to(plain, "--same-speaker") == [6] * 7
    assert adapted_to(plain, "--speaker-folders") == [3, 2, 3, 2, 3, 2, 3]
    both = ("--same-speaker", "--speaker-folders")
    assert "exclude" in invoke("predict", model, plain, *both, fails=1).output


def test_models_without_adaptation_refuse_speakers(trained, recordings):
    model = trained / "fold_1" / "model"
    found = invoke(
        *("predict", model, recordings[0].path, "--same-speaker"), fails=True
    )
    assert "does not adapt to speakers" in found.output
    recognizer = EmotionRecognizer.from_hparams(model)
    with pytest.raises(InputError, match="does not adapt to speakers"):
        recognizer.enroll("anna", [])


def test_segments_of_a_recording_are_adapted(
    recognizer, recordings, tmp_path, monkeypatch
):
    """All utterances of a long recording are those of one speaker."""
    samples = [read_waveform(r.path, 16000) for r in recordings[:3]]
    path = tmp_path / "long.wav"
    soundfile.write(path, torch.cat(samples).numpy(), 16000)
    words = [
        ("word", "start", "end"),
        *((f"w{i}", 0.9 * i + 0.1, 0.9 * i + 0.8) for i in range(3)),
    ]
    with open(tmp_path / "words.csv", "w", newline="", encoding="utf-8") as s:
        csv.writer(s).writerows(words)
    # noise is not speech
    monkeypatch.setattr(
        "speechbrain_can.inference.timeline.speech_spans",
        lambda *_: [(0.9 * i, 0.9 * i + 0.9) for i in range(3)],
    )
    long = Recording(path, alignment=tmp_path / "words.csv")
    found = predicted(recognizer, [long], longest=1.0)
    assert [p.adapted_to for p in found] == [2, 2, 2]
    assert [p.start for p in found] == pytest.approx([0.0, 0.9, 1.8])
    plain = predicted(recognizer, [long], longest=1.0, adapt=False)
    assert [p.adapted_to for p in plain] == [0, 0, 0]


def test_errors_do_not_stop_other_recordings(recognizer, recordings, tmp_path):
    (tmp_path / "no.wav").write_text("text")
    bad = Recording(tmp_path / "no.wav", TEXT, speaker="anna")
    named = [Recording(r.path, TEXT, speaker="anna") for r in recordings[:2]]
    found = list(predict_recordings(recognizer, [named[0], bad, named[1]]))
    assert [len(outcome.problems) for outcome in found] == [0, 1, 0]
    adapted = [o.predictions[0].adapted_to for o in found if o.predictions]
    assert adapted == [1, 1]


def test_a_model_that_fails_is_reported_once(recognizer, recordings):
    named = [Recording(r.path, TEXT, speaker="anna") for r in recordings[:2]]
    mean = recognizer.mods.normalize.mean.clone()
    recognizer.mods.normalize.mean.fill_(float("nan"))
    try:
        found = list(predict_recordings(recognizer, named))
    finally:
        recognizer.mods.normalize.mean.copy_(mean)
    for outcome in found:
        assert not outcome.predictions
        (problem,) = outcome.problems
        assert "non-finite" in problem


def test_ensembles_average_their_members(runs, recordings, tmp_path):
    mean = tmp_path / "mean"
    invoke("combine", runs / "1", runs / "2", "--output", mean)
    single = [
        EmotionRecognizer.from_hparams(
            folder / "fold_0" / "model", overrides={"temperature": 1.0}
        )
        for folder in (runs / "1", runs / "2", mean)
    ]
    rows = [predicted(each, recordings, adapt=False) for each in single]
    for first, second, both in zip(*rows):
        expected = np.mean([probabilities(first), probabilities(second)], 0)
        assert probabilities(both) == pytest.approx(expected, abs=1e-5)
        assert both.decisions.keys() == first.decisions.keys()
    assert predicted(single[2], recordings)[0].words[0].attention
    assert (mean / "fold_0" / "adapted_predictions.csv").exists()
    # one encoder for all members
    text = (mean / "fold_0" / "model" / "hyperparams.yaml").read_text()
    assert text.count("WhisperWords") == 1


def test_packaged_ensemble(runs, recordings, tmp_path):
    card = tmp_path / "card.txt"
    card.write_text("a\n---\nb\n")
    arguments = ("--card", card, "--license", "cc0-1.0")
    output = tmp_path / "box"
    invoke("package", runs / "1", runs / "2", output, *arguments)
    text = (output / "README.md").read_text(encoding="utf-8")
    assert "| networks | 2, whose" in text
    assert "adapted to all other recordings of the speaker" in text
    with safe_open(output / "network.safetensors", "pt") as file:
        types = {k: file.get_slice(k).get_dtype() for k in file.keys()}
    assert types["normalize.class_means"] == "F16"
    assert types["normalize.mean"] == types["normalize.std"] == "F32"
    recognizer = EmotionRecognizer.from_hparams(output)
    named = [Recording(r.path, TEXT, speaker="a") for r in recordings]
    assert [p.adapted_to for p in predicted(recognizer, named)] == [6] * 7
    text = (runs / "2" / "hyperparams.yaml").read_text()
    other = shutil.copytree(runs / "2", tmp_path / "other")
    (other / "hyperparams.yaml").write_text(
        text.replace("adaptation_strength: 3.0", "adaptation_strength: 4.0")
    )
    found = invoke(
        *("package", runs / "1", other, tmp_path / "box2", *arguments),
        fails=True,
    )
    assert "different settings" in found.output


def test_members_trained_on_other_recordings_are_refused(runs):
    from speechbrain_can.model_folder.ensemble import write_ensemble

    folders = [runs / "1" / f"fold_{i}" / "model" for i in (0, 1)]
    with pytest.raises(InputError, match="normalization differs"):
        write_ensemble(folders, runs / "none", 1.0, "x", {})


def test_evaluation_by_number_of_unlabeled_recordings(runs, tmp_path):
    prepared = runs / "1" / "prepared"
    output = tmp_path / "curve.csv"
    found = invoke(
        *("evaluate", runs / "1", prepared, "--unlabeled=0,2,all"),
        *("--output", output),
    )
    assert "2 unlabeled recordings" in found.output
    with open(output, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["n"]) for row in rows] == [21, 21, 21]
    results = read_json(runs / "1" / "results.json")
    assert float(rows[0]["UA"]) == pytest.approx(results["UA"]["mean"])
    assert float(rows[2]["UA"]) == pytest.approx(results["adapted"]["UA"])
    for draw in ("neutral", "one"):
        invoke(
            *("evaluate", runs / "1", prepared, "--unlabeled=3"),
            *("--draw", draw),
        )
    message = invoke(
        "evaluate", runs / "1", prepared, "--unlabeled=x", fails=True
    )
    assert "Pass numbers or all" in message.output


def test_models_to_evaluate(runs):
    prepared = runs / "1" / "prepared"
    name = "emodb-whisper-base"  # a packaged model, not a path
    assert evaluation.tested_models(name, prepared, None) == [(name, None)]
    ((model, ids),) = evaluation.tested_models(name, prepared, (PROTOCOL, 1))
    assert model == name and {i[:2] for i in ids} == {SPEAKERS[1]}
    found = evaluation.tested_models(str(runs / "1"), prepared, None)
    assert [len(ids) for _, ids in found] == [7, 7, 7]
    with pytest.raises(InputError, match="The protocols are leave_one_sp"):
        evaluation.tested_models(name, prepared, ("random10", 1))


def test_robustness_report(runs, tmp_path):
    output = tmp_path / "robustness.csv"
    prepared = runs / "1" / "prepared"
    invoke(
        *("evaluate", runs / "1", prepared, "--fold", "leave_one_speaker_out"),
        *("0", "--robustness", "--whisper", tmp_path, "--output", output),
    )
    with open(output, newline="", encoding="utf-8") as stream:
        rows = {row[""]: row for row in csv.DictReader(stream)}
    asr = rows.pop("words from the speech recognizer")
    assert (asr["n"], asr["refused"]) == ("0", "7")  # not a Whisper model
    assert len(rows) > 18
    for row in rows.values():
        assert (row["n"], row["refused"]) == ("7", "0")
        assert 0 <= float(row["UA"]) <= 1
    level = float(rows["level -12 dB"]["UA"])
    assert level == float(rows["none"]["UA"])


def test_two_ways_of_using_speakers_exclude_each_other(runs, tmp_path, tiny):
    found = run(
        tmp_path / "run",
        f"--data_folder={runs / 'emodb'}",
        f"--audio_source={tiny / 'whisper'}",
        f"--pretrained_folder={tiny / 'save'}",
        f"--features_folder={runs / 'features'}",
        *("--normalize_by=speaker", "--augmented_copies=0"),
        model="emodb_whisper_base",
        recipe="EmoDB",
        fails=True,
    )
    assert "normalize_by and SpeakerAdaptation exclude each other" in found
