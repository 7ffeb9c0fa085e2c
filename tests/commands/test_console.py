"""Console behavior: Ctrl-C, encodings, repeated options, devices, wrong arguments."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers.corpora import skip_unless_encodable
from helpers.recipes import ROOT, command, read_predictions, run

from speechbrain_can.__main__ import main
from speechbrain_can.corpus.manifest import read_manifest, resolve_wav
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.files import InputError, as_text, printable
from speechbrain_can.report.tables import write_tables
from speechbrain_can.settings.hparams import SettingsError

pytestmark = pytest.mark.training
WITHOUT_GPU = pytest.mark.skipif(
    torch.cuda.is_available(), reason="this machine has a GPU"
)


@pytest.fixture(scope="module")
def spoken(trained, controlled_corpus):
    """Return the path and the row of a test utterance."""
    manifest = read_manifest(trained / "prepared" / "manifest.csv")
    row = manifest[read_predictions(trained, 1)[0]["ID"]]
    return resolve_wav(row, controlled_corpus), row


@pytest.fixture(scope="module")
def model(trained):
    return str(trained / "fold_1" / "model")


def test_ctrl_c_ends_training_with_one_line(controlled_corpus, tmp_path):
    log = tmp_path / "log.txt"
    arguments = (
        f"--data_folder={controlled_corpus}",
        *("--fold=0", "--number_of_epochs=200", "--patience=200"),
    )
    with open(log, "w") as stream:
        process = subprocess.Popen(
            **command(tmp_path / "run", *arguments),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    while process.poll() is None and "epoch: 1" not in log.read_text():
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, log.read_text()
    printed = log.read_text()
    assert "Traceback" not in printed
    assert printed.rstrip().endswith(
        "Interrupted. Finished work is kept. Run the same command again to resume."
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_pipes_with_another_encoding(spoken, model, tmp_path, encoding):
    skip_unless_encodable("😀")
    wav, row = spoken
    path = tmp_path / "Ünder 😀.wav"
    shutil.copy(wav, path)
    for output_format in ("table", "json", "csv"):
        result = subprocess.run(
            [
                *(sys.executable, "-m", "speechbrain_can", "predict", model),
                *(str(path), f"--transcript={row.transcription}"),
                f"--format={output_format}",
            ],
            env={
                **os.environ,
                "PYTHONIOENCODING": encoding,
                "PYTHONPATH": str(ROOT),
            },
            capture_output=True,
        )
        assert result.returncode == 0, result.stderr
        printed = result.stdout.decode(encoding)
        if output_format == "json":
            assert json.loads(printed)["path"] == str(path)


def test_an_option_given_twice(model, spoken):
    result = subprocess.run(
        [
            *(sys.executable, "train.py", "hparams/can.yaml"),
            *("--fold=0", "--lr=0.1", "--fold=1"),
        ],
        cwd=ROOT / "recipes/IEMOCAP/multimodal_emotion_recognition",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    printed = result.stderr.strip()
    assert printed == "InputError: --fold is given 2 times. Pass it once."
    found = CliRunner().invoke(
        main, ["predict", model, spoken[0], "--format=csv", "--format", "json"]
    )
    assert found.exit_code == 1
    assert "--format is given 2 times. Pass it once." in found.output
    # options that may be repeated
    found = CliRunner().invoke(main, ["search", "--help"])
    assert found.exit_code == 0


@WITHOUT_GPU
def test_devices_that_do_not_exist(controlled_corpus, tmp_path, model):
    printed = run(
        tmp_path / "run",
        f"--data_folder={controlled_corpus}",
        "--device=cuda",
        fails=True,
    )
    assert "device cuda cannot be used: " in printed
    assert not (tmp_path / "run" / "prepared").exists()
    with pytest.raises(SettingsError, match="device cuda cannot be used"):
        EmotionRecognizer.from_hparams(model, run_opts={"device": "cuda"})
    found = CliRunner().invoke(main, ["predict", model, "--device=cuda", "."])
    assert found.exit_code == 1


@pytest.mark.parametrize("kind", ["file object", "array", "tensor", "bytes"])
def test_objects_instead_of_a_path(model, spoken, kind):
    recognizer = EmotionRecognizer.from_hparams(model)
    with open(spoken[0], "rb") as stream:
        thing = {
            "file object": stream,
            "array": np.zeros(16000),
            "tensor": torch.zeros(1, 16000),
            "bytes": b"RIFF",
        }[kind]
        for function in (recognizer.classify_file, recognizer.timeline):
            with pytest.raises(
                InputError, match="expected the path of an audio"
            ):
                function(thing, transcript="so")


def test_notes_are_reported_and_kept(model, spoken, tmp_path):
    wav, row = spoken
    words = [*row.words]
    path = tmp_path / "words.csv"
    path.write_text(
        "word,start,end\n"
        + "".join(f"{w.text},{w.start},{w.end}\n" for w in words[:-1])
        + f"{words[-1].text},{words[-1].start},\n"
    )
    found = CliRunner().invoke(
        main,
        ["predict", model, wav, f"--alignment={path}", "--format=json"],
    )
    assert found.exit_code == 0
    assert "missing times repaired" in found.stderr
    (note,) = json.loads(found.stdout)["adjustments"]
    assert note.startswith(f"missing times repaired: {words[-1].text!r}")


def test_channel_and_tier(model, spoken, tmp_path):
    import soundfile
    from praatio import textgrid

    wav, row = spoken
    samples, rate = soundfile.read(wav)
    path = tmp_path / "interview.wav"
    soundfile.write(path, np.stack([samples, -samples], axis=1), rate)
    grid = textgrid.Textgrid()
    entries = [(w.start, w.end, w.text) for w in row.words]
    grid.addTier(textgrid.IntervalTier("Mary", entries, 0, row.duration))
    grid.save(str(tmp_path / "a.TextGrid"), "long_textgrid", True)
    arguments = ["predict", model, str(path), "--format=json"]
    alignment = f"--alignment={tmp_path / 'a.TextGrid'}"

    def invoke(*options):
        return CliRunner().invoke(main, [*arguments, alignment, *options])

    assert "channels cancel each other" in invoke("--tier=Mary").output
    assert "Pass --tier=NAME" in invoke("--channel=left").output
    assert "invalid channel 'up'" in invoke("--channel=up").output
    found = invoke("--channel=left", "--tier=Mary")
    assert found.exit_code == 0, found.output
    recognizer = EmotionRecognizer.from_hparams(model)
    expected = recognizer.classify_file(wav, alignment=[*row.words])
    probabilities = json.loads(found.stdout)["probabilities"]
    assert probabilities == pytest.approx(expected.probabilities, abs=1e-3)


# ESC, an operating system command, CR and a reversed direction
CONTROLS = "\x1b[2J\x1b]0;title\x07\rfake\u202egnp\x9b"


def is_harmless(text):
    """Return whether a text contains no control characters except newlines."""
    return not set(CONTROLS) & set(text) - set("[2J]0;titlefakegnp")


@pytest.mark.attack
@pytest.mark.parametrize("output_format", ["table", "csv", "json"])
def test_control_characters_in_predictions(
    spoken, model, tmp_path, output_format
):
    """In file names and transcripts, of usable and unusable recordings."""
    skip_unless_encodable("\u202e")
    wav, row = spoken
    good, bad = tmp_path / f"good {CONTROLS}.wav", tmp_path / f"{CONTROLS}.wav"
    shutil.copy(wav, good)
    bad.write_bytes(b"no audio")
    output = tmp_path / "out"
    result = CliRunner().invoke(
        main,
        [
            *("predict", model, str(good), str(bad)),
            *(f"--format={output_format}", f"--output={output}"),
        ],
    )
    assert "the audio cannot be decoded" in result.output
    assert is_harmless(result.output) and is_harmless(output.read_text("utf-8"))
    assert r"\u001b[2J" in result.output
    result = CliRunner().invoke(
        main,
        [
            *("predict", model, str(good), f"--format={output_format}"),
            f"--transcript={row.transcription} \x1b[2J\u202eevil",
        ],
    )
    assert is_harmless(result.output)
    if output_format == "json" and result.exit_code == 0:
        (line,) = [x for x in result.stdout.splitlines() if x[:1] == "{"]
        assert json.loads(line)["path"] == str(good)


@pytest.mark.attack
def test_control_characters_in_errors_and_logs(tmp_path, caplog):
    skip_unless_encodable("\u202e")
    folder = tmp_path / CONTROLS
    folder.mkdir()
    (folder / "hyperparams.yaml").write_text("")
    printed = CliRunner().invoke(main, ["predict", str(folder), "x.wav"])
    assert printed.exit_code and is_harmless(printed.output)
    settings = tmp_path / "can.yaml"
    settings.write_text(f'"{CONTROLS[-5]}": 1\n', encoding="utf-8")
    printed = CliRunner().invoke(main, ["hparams", str(settings)])
    assert r"\u202e" in printed.output and is_harmless(printed.output)
    folder_output = f"--output={folder}"
    printed = CliRunner().invoke(main, ["predict", "x", "x.wav", folder_output])
    assert "is a folder" in printed.output and is_harmless(printed.output)
    logging.getLogger("speechbrain_can").warning("%s is damaged", folder)
    assert is_harmless(caplog.records[-1].getMessage())
    try:
        raise ValueError(CONTROLS)
    except ValueError:
        logging.getLogger("speechbrain_can").exception("wrong")
    assert "ValueError" in caplog.text and is_harmless(caplog.text)


@pytest.mark.attack
def test_control_characters_in_tables(tmp_path):
    """The names of systems and of classes come from files."""
    write_tables(tmp_path / "x", {"md": CONTROLS, "tex": CONTROLS})
    for path in tmp_path.iterdir():
        assert is_harmless(path.read_text("utf-8"))
    assert is_harmless(as_text(CONTROLS))
    assert printable("ü 你\u3000e\u200d\xa0") == "ü 你\u3000e\u200d\xa0"
    assert printable("\ud83d\udcff\ud8ff") == r"\ud83d\udcff\ud8ff"
