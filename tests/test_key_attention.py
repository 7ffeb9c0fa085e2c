import json

import pytest

from speechbrain_can.alignment import Word
from speechbrain_can.key_attention import key_attention, main
from speechbrain_can.manifest import Utterance, write_manifest
from speechbrain_can.results import read_attention, write_attention


def utterance(name, *words):
    return Utterance(
        id=name,
        duration=1.0,
        wav="$data_root/a.wav",
        speaker="1",
        session="",
        dialog="",
        scripted=False,
        emotion="sad",
        words=[
            Word(word, i / len(words), (i + 1) / len(words))
            for i, word in enumerate(words)
        ],
        transcription=" ".join(words),
    )


def turn(name, key, *words):
    return {"utt": name, "key": key, "words": list(words)}


UTTERANCES = {
    "a": utterance("a", "so", "sad"),
    "b": utterance("b", "all", "is", "too", "sad"),
    "c": utterance("c", "yes"),
    "d": utterance("d", "some", "other", "words"),
    "untested": utterance("untested", "not", "here"),
}
TURNS = [
    turn("a", 1, "so", "sad"),
    turn("b", 0, "all", "is", "too", "sad"),
    turn("c", 0, "yes"),
    turn("d", 0, "the", "planned", "words"),
    turn("untested", 0, "not", "here"),
]
WEIGHTS = {"a": [0.2, 0.8], "b": [0.25, 0.35, 0.2, 0.2], "c": [1.0]}
WEIGHTS["d"] = [0.5, 0.3, 0.2]


def test_attention_on_the_key_against_chance():
    table, others = key_attention(TURNS, UTTERANCES, WEIGHTS)
    assert table["attention"].tolist() == [0.8, 0.25]
    assert table["chance"].tolist() == [0.5, 0.25]
    assert table["first"].tolist() == [True, False]
    assert others == 2


def test_command(tmp_path, capsys):
    (tmp_path / "plan.json").write_text(json.dumps(TURNS))
    run = tmp_path / "run"
    (run / "prepared").mkdir(parents=True)
    write_manifest(run / "prepared" / "manifest.csv", UTTERANCES.values())
    with pytest.raises(SystemExit):
        main([str(tmp_path), str(run)])
    assert "no finished fold" in capsys.readouterr().err
    for fold, names in enumerate(("ad", "bc")):
        (run / f"fold_{fold}").mkdir()
        write_attention(
            run / f"fold_{fold}" / "attention.csv",
            list(names),
            [{"text": WEIGHTS[name], "audio": WEIGHTS[name]} for name in names],
        )
    main([str(tmp_path), str(run)])
    printed = capsys.readouterr().out
    assert (
        "| text       |            2 |             0.525 |    0.375 |"
        in printed
    )
    assert "| audio " in printed and "2 utterances of one word" in printed


def test_attention_reads_as_it_was_written(tmp_path):
    path = tmp_path / "attention.csv"
    write_attention(path, ["b", "a"], [{"text": [0.25, 0.75]}, {"text": [1.0]}])
    assert path.read_text().splitlines()[1].startswith("a,text,")
    assert read_attention(path, "text") == {"a": [1.0], "b": [0.25, 0.75]}
    assert read_attention(path, "audio") == {}
