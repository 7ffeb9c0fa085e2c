"""Invalid settings are refused before any work starts."""

import gzip
from dataclasses import replace

import pytest
from helpers.recipes import RECIPES, on, run

from speechbrain_can.io.files import InputError
from speechbrain_can.settings.hparams import SettingsError, read_settings
from speechbrain_can.settings.validation import check_glove, check_settings

CAN = RECIPES["IEMOCAP"] / "hparams" / "can.yaml"
LINE = "so " + " ".join(["0.5"] * 5)


@pytest.mark.parametrize(
    "key, value, reason",
    [
        ("batch_size", 0, "an integer of at least 1"),
        ("batch_size", "many", "an integer of at least 1"),
        ("number_of_epochs", 0, "an integer of at least 1"),
        ("heads", 0, "an integer of at least 1"),
        ("n_mfcc", 0, "an integer of at least 1"),
        ("classes", "7", "an integer of at least 2"),
        ("classes", True, "an integer of at least 2"),
        ("sample_rate", "16k", "an integer of at least 1000"),
        ("lr", "fast", "a number above 0"),
        ("lr", -1, "a number above 0"),
        ("lr", float("nan"), "a number above 0"),
        ("align_weight", -1, "a number from 0 to 1"),
        ("align_weight", 5, "a number from 0 to 1"),
        ("align_weight", float("nan"), "a number from 0 to 1"),
        ("overlap", -3, "a number from 0 to 1"),
        ("overlap", 9, "a number from 0 to 1"),
        ("stop_gradient", "False", "True or False"),
        ("protocol", "random11", "unknown protocol 'random11'"),
        ("strict", "loud", "strict='loud'. Pass True, False or some of"),
        ("heads", 3, "can: cannot build .*3"),
        ("glove_file", "nowhere.txt", "file not found"),
    ],
)
def test_invalid_settings_are_refused(key, value, reason):
    settings = read_settings(CAN, {"data_folder": "x", key: value})
    with pytest.raises(InputError, match=reason):
        check_settings(settings)


def test_trained_layers_may_be_null():
    """As documented in ``can_whisper_finetuned.yaml``."""
    settings = read_settings(CAN, {"data_folder": "x"})
    for value in ("null", "2"):
        check_settings(
            replace(settings, text=f"{settings.text}trained_layers: {value}\n")
        )
    with pytest.raises(
        SettingsError, match="=0. Pass an integer of at least 1, or null"
    ):
        check_settings(
            replace(settings, text=f"{settings.text}trained_layers: 0\n")
        )


@pytest.mark.parametrize("limits", [[1], [5, 1], ["low", "high"], 5])
def test_invalid_ranges_of_dimensions(limits):
    path = CAN.with_name("can_dimensions.yaml")
    settings = read_settings(
        path, {"data_folder": "x", "dimension_range": limits}
    )
    with pytest.raises(SettingsError, match="invalid value dimension_range"):
        check_settings(settings)


@pytest.mark.parametrize("fold", [True, -1, 1.5, "one"])
def test_invalid_fold_lists(fold):
    with pytest.raises(SettingsError, match="invalid fold .*. Pass the number"):
        read_settings(CAN, {"data_folder": "x", "fold": fold}).asked_folds(5)


def test_every_hparams_file_is_accepted():
    for name in ("can", "can_fast", "can_small_data", "no_align_loss"):
        check_settings(
            read_settings(CAN.with_name(f"{name}.yaml"), {"data_folder": "x"})
        )


@pytest.mark.parametrize(
    "content, reason",
    [
        (LINE.encode("utf-16"), "must be UTF-8 text"),
        (gzip.compress(LINE.encode(), mtime=0), "is compressed"),
        ("über 1 2 3 4 5".encode("latin-1"), "must be UTF-8 text"),
        (b"so 1 2 3 4\n", "the first line has 4"),
        (b"", "the first line has 0"),
        (b"5 5\n", "the first line has 0"),
    ],
)
def test_invalid_glove_files(tmp_path, content, reason):
    path = tmp_path / "glove.txt"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=reason):
        check_glove(path, 5)


def test_numbers(tmp_path):
    path = tmp_path / "glove.txt"
    for content in (LINE, f"\ufeff{LINE}\n", f"1 5\n{LINE}\n"):
        path.write_text(content, encoding="utf-8")
        check_glove(path, 5)
    # truncated within a character
    path.write_bytes(f"{LINE}\n".encode() + "ü".encode() * 70_000)
    check_glove(path, 5)


def test_errors_without_traceback(tmp_path):
    printed = run(tmp_path, *on("nowhere"), "--lr=fast", fails=True)
    assert (
        printed
        == "SettingsError: invalid value lr='fast'. Pass a number above 0."
    )
    assert not list(tmp_path.iterdir())


def test_debug_prints_the_traceback(tmp_path):
    printed = run(tmp_path, *on("nowhere"), "--lr=fast", "--debug", fails=True)
    assert "Traceback" in printed and "lr='fast'" in printed


def test_non_finite_loss_ends_training(controlled_corpus, tmp_path):
    printed = run(
        tmp_path, *on(controlled_corpus), "--fold=0", "--lr=1e30", fails=True
    )
    assert "TrainingError: " in printed
    assert "the loss of Ses" in printed and "smaller --lr" in printed
    assert not (tmp_path / "fold_0" / "result.json").exists()
