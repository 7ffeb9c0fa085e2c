"""Fold lists in the format of EmoBox."""

import json
from collections import Counter

import pytest
from helpers.corpora import utterance

from speechbrain_can.corpus.fold_lists import split_fold
from speechbrain_can.corpus.protocols import is_changing, make_folds
from speechbrain_can.io.files import InputError

N = 40


def entry(name, folder="wav"):
    return {
        "key": f"emodb-{name}",
        "wav": f"downloads/emodb/{folder}/{name}.wav",
        "emo": "anger",
    }


def write_list(folder, fold, part, names):
    path = folder / f"fold_{fold}" / f"emodb_{part}_fold_{fold}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(entry(n) if isinstance(n, str) else n) for n in names]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def rows():
    return {
        f"u{i}": utterance(
            f"u{i}",
            wav=f"$data_root/wav/u{i}.wav",
            emotion=["ang", "sad"][i % 2],
        )
        for i in range(N)
    }


@pytest.fixture
def folder(tmp_path, rows):
    """Write four folds without validation lists."""
    for fold in range(4):
        names = {"train": [], "test": []}
        for i, name in enumerate(rows):
            names["test" if i // 2 % 4 == fold else "train"].append(name)
        for part, own in names.items():
            write_list(tmp_path, fold + 1, part, own)
    return tmp_path


def test_validation_sets_are_drawn(folder, rows):
    protocol = f"emobox:{folder}"
    folds = make_folds(protocol, rows, seed=1)
    assert is_changing(protocol)
    validated = Counter()
    for fold in range(4):
        parts = split_fold(folds, fold)
        expected = {n for i, n in enumerate(rows) if i // 2 % 4 == fold}
        assert set(parts["test"]) == expected
        # a fifth of the training set, of both emotions
        assert len(parts["valid"]) == pytest.approx(0.2 * 30, abs=2)
        assert {rows[name].emotion for name in parts["valid"]} == {"ang", "sad"}
        validated.update(parts["valid"])
    assert set(validated.values()) == {1}
    assert folds == make_folds(protocol, rows, seed=1)
    assert folds != make_folds(protocol, rows, seed=2)


def test_official_validation_set(tmp_path, rows):
    names = list(rows)
    for part, own in (
        *(("train", names[:20]), ("valid", names[20:30])),
        ("test", names[30:39]),
    ):
        write_list(tmp_path, 1, part, own)
    folds = make_folds(f"emobox:{tmp_path}", rows, seed=1)
    parts = split_fold(folds, 0)
    assert set(parts["valid"]) == set(names[20:30])
    assert set(parts["test"]) == set(names[30:39])
    assert names[39] not in folds


def test_equal_file_names_are_distinguished_by_their_folder(tmp_path):
    rows = {
        part: utterance(part, wav=f"$data_root/{part}_splits/dia0_utt0.wav")
        for part in ("train", "dev", "test")
    }
    for part, name in (("train", "train"), ("valid", "dev"), ("test", "test")):
        wav = f"downloads/meld/{name}/{name}_splits/dia0_utt0.mp4"
        write_list(tmp_path, 1, part, [{"wav": wav}])
    parts = split_fold(make_folds(f"emobox:{tmp_path}", rows, 1), 0)
    assert parts == {"train": ["train"], "valid": ["dev"], "test": ["test"]}


def test_entries_without_an_utterance_are_reported(folder, rows, caplog):
    del rows["u7"]
    make_folds(f"emobox:{folder}", rows, seed=1)
    assert "1 entries" in caplog.text and "u7.wav" in caplog.text


def test_unusable_lists_are_refused(folder, rows, tmp_path_factory):
    nowhere = tmp_path_factory.mktemp("nowhere")
    with pytest.raises(InputError, match="no fold_1 there"):
        make_folds(f"emobox:{nowhere}", rows, 1)
    other = {"x": utterance("x", wav="$data_root/x.wav")}
    with pytest.raises(InputError, match="lists no utterance of this corpus"):
        make_folds(f"emobox:{folder}", other, 1)
    path = folder / "fold_2" / "emodb_test_fold_2.jsonl"
    text = path.read_text()
    path.write_text(text + '{"key": "a"}\n')
    with pytest.raises(InputError, match="line 11: expected a JSON object"):
        make_folds(f"emobox:{folder}", rows, 1)
    path.write_text(text + json.dumps(entry("u4")) + "\n")
    with pytest.raises(InputError, match="u4.wav is in several sets"):
        make_folds(f"emobox:{folder}", rows, 1)
    write_list(folder, 1, "valid", ["u4"])
    path.write_text(text)
    with pytest.raises(InputError, match="u4.wav is in several sets"):
        make_folds(f"emobox:{folder}", rows, 1)
    path.unlink()
    with pytest.raises(InputError, match="fold_2 has no file .*_test_fold_2"):
        make_folds(f"emobox:{folder}", rows, 1)
