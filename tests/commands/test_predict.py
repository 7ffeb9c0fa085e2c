"""The commands predict, report and align with many recordings, some of them unusable."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from helpers.corpora import write_wav
from helpers.recipes import RECIPES, read_predictions
from praatio import textgrid

from speechbrain_can.__main__ import main
from speechbrain_can.alignment.readers.formats import read_alignment
from speechbrain_can.alignment.writers import save_textgrid
from speechbrain_can.corpus.manifest import read_manifest, resolve_wav
from speechbrain_can.inference.inputs import find_recordings
from speechbrain_can.inference.prediction import AttendedWord, Prediction
from speechbrain_can.inference.writers import CsvWriter
from speechbrain_can.io.files import InputError
from speechbrain_can.metrics.conformal import emotion_sets


@pytest.fixture(scope="module")
def model(trained):
    return str(trained / "fold_1" / "model")


@pytest.fixture(scope="module")
def utterances(trained, controlled_corpus):
    """Return path and manifest row of the test utterances."""
    manifest = read_manifest(trained / "prepared" / "manifest.csv")
    rows = [manifest[row["ID"]] for row in read_predictions(trained, 1)]
    return [(resolve_wav(row, controlled_corpus), row) for row in rows]


def invoke(*arguments, fails=False, **how):
    found = CliRunner().invoke(main, [str(a) for a in arguments], **how)
    assert (found.exit_code != 0) == fails, found.output
    return found


@pytest.fixture
def table(utterances, tmp_path):
    """Write a table of two utterances with transcripts."""
    rows = [("wav", "transcript")]
    for wav, utterance in utterances[:2]:
        shutil.copy(wav, tmp_path)
        rows.append((f"{utterance.utterance_id}.wav", utterance.transcription))
    with open(tmp_path / "mine.csv", "w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return tmp_path / "mine.csv"


def test_one_recording(model, utterances):
    wav, utterance = utterances[0]
    found = invoke(
        "predict", model, wav, "--transcript", utterance.transcription
    )
    header, _, line = found.stdout.splitlines()
    assert header.split() == "file start end emotion confidence words".split()
    assert " ".join(w.text for w in utterance.words) in line


def test_confidence(model, table):
    content = json.loads(Path(model, "statistics.json").read_text())
    assert set(content["ranges"]) >= {"seconds", "snr", "unknown words"}
    found = invoke("predict", model, table, "--format=json", "--confidence=0.5")
    scores = content["conformal"]
    for line in found.stdout.splitlines():
        record = json.loads(line)
        (expected,) = emotion_sets(
            scores, np.array([list(record["probabilities"].values())]), 0.5
        )
        assert record["emotions"] == expected
    found = invoke("predict", model, table, "--confidence=0.9999", fails=True)
    assert "does not support a confidence of 0.9999" in found.output


def test_unusual_recordings_are_reported(model, table, tmp_path):
    noise = tmp_path / "noise.wav"
    write_wav(noise, seconds=20)
    words = tmp_path / "noise.ctm"
    words.write_text("noise 1 0 10 so\nnoise 1 10 10 zxcvb\n")
    found = invoke("predict", model, noise, "--alignment", words)
    assert "unusual: long: speech lasts 20.0 s" in found.stderr
    found = invoke(
        "predict", model, noise, "--alignment", words, "--format=json"
    )
    assert json.loads(found.stdout)["warnings"][0].startswith("long")


def test_output_formats_agree(model, table, tmp_path):
    lines = invoke("predict", model, table, "--format=json").stdout.splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == 2
    assert sum(records[0]["probabilities"].values()) == pytest.approx(1)
    assert set(records[0]["words"][0]["attention"]) == {"text", "audio"}
    output = tmp_path / "out.csv"
    invoke("predict", model, table, "--format=csv", "--output", output)
    with open(output, newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row, record in zip(rows, records):
        assert row["emotion"] == record["label"]
        for name, probability in record["probabilities"].items():
            assert float(row[name]) == pytest.approx(probability, abs=1e-6)
    folder = tmp_path / "grids"
    invoke("predict", model, table, "--format=textgrid", "--output", folder)
    paths = sorted(folder.iterdir())
    assert len(paths) == 2
    for path, record in zip(paths, records):
        words = [w for w in read_alignment(path) if w.text != "<sil>"]
        assert [w.text for w in words] == [w["text"] for w in record["words"]]
        text = path.read_text()
        assert f'"{record["label"]} ' in text
        assert '"audio attention"' in text


def test_a_textgrid_of_words_that_overlap(model, utterances, tmp_path):
    wav, _ = utterances[0]
    words = tmp_path / "words.csv"
    words.write_text("word,start,end\nthe,0.1,0.5\nfarm,0.4,0.9\n")
    invoke(
        *("predict", model, wav, "--alignment", words),
        *("--format=textgrid", "--output", tmp_path / "grids"),
    )
    (path,) = (tmp_path / "grids").iterdir()
    read = [w for w in read_alignment(path) if w.text != "<sil>"]
    assert [(w.text, w.start, w.end) for w in read] == [
        ("the", 0.1, 0.5),
        ("farm", 0.5, 0.9),
    ]


def test_align_output_predicts_the_same(model, table, utterances, tmp_path):
    wav, utterance = utterances[0]
    said = ("--transcript", utterance.transcription)
    direct = invoke("predict", model, wav, *said, "--format=json").stdout
    invoke("align", wav, *said, "--output", tmp_path)
    written = tmp_path / f"{utterance.utterance_id}.csv"
    again = invoke(
        "predict", model, wav, "--alignment", written, "--format=json"
    ).stdout
    direct, again = json.loads(direct), json.loads(again)
    assert again["probabilities"] == pytest.approx(
        direct["probabilities"], abs=1e-4
    )


def test_prediction_page(model, table, tmp_path):
    found = invoke("predict", model, table, "--html", tmp_path / "page.html")
    assert f"HTML page: {tmp_path / 'page.html'}" in found.stderr
    text = (tmp_path / "page.html").read_text()
    assert text.count("<article") == 2 and "http" not in text.replace(
        "http://www.w3.org", ""
    )


def bad_recordings(folder, good):
    """Return typical unusable recordings and the expected message (None for usable ones)."""
    samples, rate = soundfile.read(good)
    folder.mkdir()
    (folder / "text.wav").write_text("this is no audio")
    (folder / "empty.wav").touch()
    soundfile.write(folder / "nothing.wav", np.zeros(0), 16000)
    soundfile.write(folder / "silence.wav", np.zeros(16000), 16000)
    soundfile.write(folder / "8k.wav", samples[::2], rate // 2)
    stereo = np.stack([samples, samples], axis=1)
    soundfile.write(folder / "stereo.wav", stereo, rate, subtype="PCM_24")
    content = bytearray((folder / "stereo.wav").read_bytes())
    position = content.index(b"data") + 4
    content[position : position + 4] = (2**31 - 1).to_bytes(4, "little")
    (folder / "lies.wav").write_bytes(content)
    return {
        "text.wav": "the audio cannot be decoded",
        "empty.wav": "the audio cannot be decoded",
        "nothing.wav": "contains no samples",
        "silence.wav": "the audio is silent",
        "8k.wav": None,
        "stereo.wav": None,
        "lies.wav": None,
        "gone.wav": "audio file not found",
        "other.wav": "does not match the audio",
        "long.wav": "words need",
        "emoji.wav": "contains no words",
        "chinese.wav": "non-Latin letters",
    }


def test_bad_recordings_are_skipped(model, utterances, tmp_path):
    wav, utterance = utterances[0]
    folder = tmp_path / "recordings"
    expected = bad_recordings(folder, wav)
    said = {
        "other.wav": "completely different sentence from another recording today",
        "long.wav": utterance.transcription * 60,
        "emoji.wav": "😀😀",
        "chinese.wav": "你好",
    }
    for name in said:
        shutil.copy(wav, folder / name)
    with open(
        folder / "table.csv", "w", newline="", encoding="utf-8"
    ) as stream:
        writer = csv.writer(stream)
        writer.writerow(("wav", "transcript"))
        for name in expected:
            writer.writerow((name, said.get(name, utterance.transcription)))
    found = invoke(
        "predict", model, folder / "table.csv", "--format=json", fails=True
    )
    assert found.exit_code == 1
    bad = {name: reason for name, reason in expected.items() if reason}
    lines = found.stderr.splitlines()
    for name, reason in bad.items():
        (line,) = [text for text in lines if f"/{name}: " in text]
        assert reason in line
        assert line.startswith(str(folder / name)), line
    assert f"{len(bad)} of {len(expected)} recordings were skipped" in lines[-1]
    records = [json.loads(line) for line in found.stdout.splitlines()]
    words = {" ".join(w["text"] for w in r["words"]) for r in records}
    assert len(records) == len(expected) - len(bad)
    assert words == {" ".join(w.text for w in utterance.words)}


def test_standard_input(model, utterances, monkeypatch):
    wav, utterance = utterances[0]
    with open(wav, "rb") as stream:
        content = stream.read()
    found = invoke(
        *("predict", model, "-", "--transcript", utterance.transcription),
        input=content,
    )
    assert "standard-input" in found.stdout
    assert "is empty" in invoke("predict", model, "-", fails=True).output


def test_invalid_predict_arguments(model, trained, utterances, tmp_path):
    wav, _ = utterances[0]
    tmp_path.joinpath("empty").mkdir()
    for arguments, message in (
        ([model], "Pass a recording, a folder or a table"),
        ([model, tmp_path / "empty"], "contains no audio files"),
        (
            [model, wav, wav, "--transcript=so"],
            "apply to a single recording",
        ),
        ([model, wav, "--format=textgrid"], "needs --output=FOLDER"),
        ([trained / "fold_1", wav], "fold_1/model."),
        ([tmp_path, wav], "is not a model folder"),
        ([tmp_path / "modle", wav], "neither a folder"),
        ([model, wav, "--device=nonsense"], "device nonsense cannot be used"),
        ([model, wav, "--output", tmp_path], "is a folder. Pass a file"),
    ):
        found = invoke("predict", *arguments, fails=True)
        assert message in " ".join(found.output.split())
        assert "Traceback" not in found.output


def test_a_fold_is_reported(trained, tmp_path):
    page = tmp_path / "page.html"
    found = invoke("report", trained / "fold_1", "--html", page, "--most=5")
    assert "can on controlled corpus" in found.output
    assert found.output.splitlines()[-1].endswith(str(page))
    text = page.read_text(encoding="utf-8")
    assert text.count("<article") == 5
    predictions = read_predictions(trained, 1)
    wrong = sum(row["true"] != row["predicted"] for row in predictions)
    assert f"5 of {len(predictions)} test utterances: errors" in text
    assert f"errors {wrong}" in text
    assert "contains no run" in invoke("report", tmp_path, fails=True).output


def test_align_output_can_be_read(table, utterances, tmp_path):
    for kind, suffix in (
        ("csv", "csv"),
        ("ctm", "ctm"),
        ("textgrid", "TextGrid"),
    ):
        folder = tmp_path / kind
        invoke("align", table, "--output", folder, f"--format={kind}")
        for _, utterance in utterances[:2]:
            words = read_alignment(
                folder / f"{utterance.utterance_id}.{suffix}"
            )
            spoken = [word.text for word in words if word.text != "<sil>"]
            assert spoken == [word.text for word in utterance.words]
    found = invoke(
        *("align", table, tmp_path / "gone.wav", "--output", tmp_path),
        fails=True,
    )
    assert "gone.wav: audio file not found" in found.stderr
    assert "1 of 3 recordings were not aligned" in found.stderr


def test_train_and_preparation_are_exported(
    controlled_corpus, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    invoke(
        "prepare",
        RECIPES["IEMOCAP"] / "hparams" / "can.yaml",
        f"--data_folder={controlled_corpus}",
        "--output_folder=here",
    )
    assert (tmp_path / "here" / "prepared" / "manifest.csv").exists()
    assert not list((tmp_path / "here").glob("fold_*"))


@pytest.mark.attack
def test_tables_cannot_leave_their_folder(model, utterances, tmp_path):
    wav, utterance = utterances[0]
    (tmp_path / "tables").mkdir()
    table = tmp_path / "tables" / "mine.csv"
    for name in (str(wav), f"../{shutil.copy(wav, tmp_path / 'a.wav').name}"):
        with open(table, "w", newline="") as stream:
            rows = [("wav", "transcript"), (name, utterance.transcription)]
            csv.writer(stream).writerows(rows)
        found = invoke("predict", model, table, fails=True)
        assert "mine.csv, line 2" in found.output
        assert "is outside" in found.output and "--allow-outside" in (
            found.output
        )
        invoke("predict", model, table, "--allow-outside")


@pytest.mark.attack
def test_large_and_long_files_are_skipped(model, tmp_path):
    # hours of silence in a few kilobytes, after one second of noise
    samples = np.zeros(16000 * 3600, dtype=np.float32)
    samples[:16000] = np.random.default_rng(0).normal(size=16000) / 10
    bomb = tmp_path / "bomb.flac"
    soundfile.write(bomb, samples, 16000)
    assert bomb.stat().st_size < 2**20
    for option, value, message in (
        ("--longest-file", "30", "60 minutes (or as many"),
        ("--largest-file", "0.001", "MB, more than 0.001"),
    ):
        found = invoke("predict", model, bomb, option, value, fails=True)
        assert message in found.output and option in found.output
    wide = tmp_path / "wide.wav"
    soundfile.write(wide, np.zeros((16000, 1000), dtype=np.float32), 16000)
    found = invoke("predict", model, wide, "--longest-file=1", fails=True)
    assert "3 minutes (or as" in found.output


def test_a_transcript_may_be_long(tmp_path, monkeypatch):
    table = tmp_path / "mine.csv"
    table.write_text(f"wav,transcript\na.wav,{'oh ' * 60000}\n")
    (recording,) = find_recordings([table])
    assert len(recording.transcript.split()) == 60000
    monkeypatch.setattr("speechbrain_can.io.tables.LONGEST_FIELD", 1000)
    with pytest.raises(InputError, match="mine.csv: cannot be read as a table"):
        find_recordings([table])


@pytest.mark.attack
def test_spreadsheet_formulas_are_escaped(tmp_path):
    stream = io.StringIO()
    writer = CsvWriter(stream, ["=sad"])
    word = AttendedWord("=HYPERLINK(1)", 0.0, 1.0, None, {})
    path, label = "+a.wav", "=sad"
    writer.add(
        [Prediction(path, 0.0, 1.0, label, {label: 1.0}, {}, [word], "given")],
        "a",
    )
    header, row = csv.reader(io.StringIO(stream.getvalue()))
    for cell in [*header, *row]:
        assert not cell.startswith(("=", "+", "-", "@"))
    assert "'=sad" in header
    assert "'=HYPERLINK(1)" in row and "'+a.wav" in row


@pytest.mark.attack
@pytest.mark.parametrize(
    "text", ['so "what"', "<b>&amp;", 'text = "x"', "intervals [2]:", "\\n"]
)
def test_textgrid_round_trip(text, tmp_path):
    path = tmp_path / "a.TextGrid"
    tiers = {"words": [(0.0, 0.5, text), (0.5, 1.0, "now")]}
    save_textgrid(path, tiers, 1.0)
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    labels = [entry.label for entry in grid.getTier("words").entries]
    assert [label.replace("\u00a0", " ") for label in labels] == [text, "now"]
