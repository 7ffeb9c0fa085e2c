import csv
import json

import numpy as np
import pytest
import soundfile
from helpers.corpora import WDSEG_HEADER, wdseg, write_wav

from speechbrain_can.alignment.words import Word
from speechbrain_can.corpus import preparation
from speechbrain_can.corpus.manifest import read_manifest, read_votes
from speechbrain_can.corpus.prepared import Corpus, CorpusError

GOOD = "Ses01F_impro01_F000"
BAD = "Ses03M_impro05a_F001"


@pytest.fixture
def prepare(iemocap_prepare, release, tmp_path):
    def run(**changes):
        settings = {"protocol": "leave_one_session_out", **changes}
        folder = tmp_path / "prepared"
        iemocap_prepare.prepare_iemocap(release.folder, folder, **settings)
        with open(folder / "skipped.csv", newline="") as stream:
            skipped = {r["ID"]: r["reason"] for r in csv.DictReader(stream)}
        return read_manifest(folder / "manifest.csv"), skipped

    return run


def test_valid_turn(release, prepare):
    utterances, skipped = prepare()
    assert len(utterances) == 10 and skipped == {}
    row = utterances[GOOD]
    assert row.words == [Word("so", 0.0, 0.5), Word("what", 0.5, 1.0)]
    assert (row.speaker, row.session, row.dialog) == (
        "Ses01F",
        "1",
        "Ses01F_impro01",
    )
    assert row.emotion == "ang" and not row.scripted
    assert row.transcription == "So, what?"
    assert row.wav == (
        "$data_root/Session1/sentences/wav/Ses01F_impro01/"
        "Ses01F_impro01_F000.wav"
    )
    assert row.duration == 1.0


def test_speaker_of_a_turn(release, prepare):
    release.add(BAD)
    release.add("Ses01M_script01_1b_F003")
    utterances, _ = prepare()
    assert utterances[BAD].speaker == "Ses03F"
    assert utterances["Ses01M_script01_1b_F003"].speaker == "Ses01F"
    assert utterances["Ses01M_script01_1b_F003"].scripted


def damage_missing_alignment(release):
    release.wdseg(BAD).unlink()


def damage_empty_alignment(release):
    release.wdseg(BAD).write_text("")


def damage_truncated_alignment(release):
    text = release.wdseg(BAD).read_text()
    release.wdseg(BAD).write_text(text[: len(text) // 2])


def damage_end_before_start(release):
    release.wdseg(BAD).write_text(wdseg((0, 50, "so"), (60, 55, "what")))


def damage_past_the_audio(release):
    release.wdseg(BAD).write_text(wdseg((0, 50, "so"), (51, 199, "what")))


def damage_no_words(release):
    release.wdseg(BAD).write_text(wdseg((0, 99, "<sil>")))


def damage_only_a_header(release):
    release.wdseg(BAD).write_text(WDSEG_HEADER + " Total score: 0\n")


def damage_missing_audio(release):
    release.wav(BAD).unlink()


def damage_unreadable_audio(release):
    release.wav(BAD).write_bytes(b"RIFF....")


def damage_silent_audio(release):
    soundfile.write(release.wav(BAD), np.zeros(16000), 16000)


def damage_empty_audio(release):
    soundfile.write(release.wav(BAD), np.zeros(0), 16000)


@pytest.mark.parametrize(
    "damage, reason",
    [
        (damage_missing_alignment, "alignment file not found"),
        (damage_empty_alignment, "the alignment is empty"),
        (damage_truncated_alignment, "truncated"),
        (damage_end_before_start, "line 3: 'what' ends at 0.56 s, not after"),
        (damage_past_the_audio, "ends at 2.00 s but the audio is 1.00 s long"),
        (damage_no_words, "the alignment contains no words"),
        (damage_only_a_header, "the alignment is empty"),
        (damage_missing_audio, "audio file not found"),
        (damage_unreadable_audio, "the audio cannot be decoded"),
        (damage_silent_audio, "the audio is silent"),
        (damage_empty_audio, "contains no samples"),
    ],
)
def test_unusable_utterances_are_listed(release, prepare, damage, reason):
    release.add(BAD)
    damage(release)
    utterances, skipped = prepare()
    assert len(utterances) == 10 and list(skipped) == [BAD]
    assert reason in skipped[BAD] and BAD in skipped[BAD]


@pytest.mark.parametrize(
    "label, reason",
    [
        ("fea", "label 'fea' is not one of the classes"),
        ("dis", "label 'dis' is not one of the classes"),
        ("oth", "label 'oth' is not one of the classes"),
        ("xxx", "label 'xxx' is not one of the classes"),
        ("joy", "unknown label 'joy'"),
    ],
)
def test_other_labels_are_listed(release, prepare, label, reason):
    release.add(BAD, label=label)
    utterances, skipped = prepare()
    assert BAD not in utterances and skipped == {BAD: reason}


@pytest.mark.parametrize(
    "line",
    [
        f"[6.29 - 8.23]\t{BAD}\tang",
        f"[6.29 to 8.23]\t{BAD}\tang\t[2.5, 2.5, 2.5]",
    ],
)
def test_label_lines_that_cannot_be_read_are_listed(release, prepare, line):
    release.add(BAD)
    path = release.folder / "Session3/dialog/EmoEvaluation/Ses03M_impro05a.txt"
    path.write_text("% [START_TIME - END_TIME] TURN_NAME EMOTION\n" + line)
    utterances, skipped = prepare()
    assert len(utterances) == 10
    assert "unreadable label line" in skipped["Ses03M_impro05a.txt, line 2"]
    # the recording is listed as well
    assert skipped[BAD] == "no label in EmoEvaluation"


@pytest.mark.parametrize("space", ["\t", " ", "  "])
def test_label_lines_with_spaces(release, prepare, space):
    release.add(BAD)
    path = release.folder / "Session3/dialog/EmoEvaluation/Ses03M_impro05a.txt"
    fields = ["[6.29 - 8.23]", BAD, "ang", "[2.5, 2.5, 2.5]"]
    path.write_text(space.join(fields) + "\nC-E1:\tAnger;\t()\n")
    utterances, skipped = prepare()
    assert utterances[BAD].emotion == "ang" and BAD not in skipped


@pytest.mark.parametrize("name", ["{} (1).txt", "{} copy.txt", "{}_copy.txt"])
def test_copies_of_label_files_do_not_vote(release, prepare, name):
    release.add(BAD)
    path = release.folder / "Session3/dialog/EmoEvaluation/Ses03M_impro05a.txt"
    line = f"[6.29 - 8.23]\t{BAD}\tang\t[2.5, 2.5, 2.5]\n"
    path.write_text(f"{line}C-E1:\tAnger;\t()\nC-E2:\tSadness;\t()\n")
    copy = path.with_name(name.format(path.stem))
    copy.write_text(path.read_text())
    utterances, skipped = prepare()
    assert utterances[BAD].votes == "ang:1 sad:1"
    assert skipped == {copy.name: "the file is a copy of another one"}


def test_a_transcription_in_latin_1(release, prepare):
    path = release.folder / "Session1/dialog/transcriptions/Ses01F_impro01.txt"
    path.write_bytes(
        f"{GOOD} [006.2901-008.2357]: Caf\xe9?\n".encode("latin-1")
    )
    utterances, _ = prepare()
    assert utterances[GOOD].transcription == "Café?"


def test_duplicate_labels(release, prepare):
    release.add(BAD, label="sad")
    release.add(BAD, label="ang")
    utterances, skipped = prepare()
    assert utterances[BAD].emotion == "sad"
    assert skipped == {BAD: "duplicate ID, as 'ang'"}


@pytest.mark.parametrize(
    "classes, kept",
    [
        (7, {"ang", "exc", "hap", "sad", "fru", "sur", "neu"}),
        (6, {"ang", "exc", "hap", "sad", "fru", "neu"}),
        (4, {"ang", "hap", "sad", "neu"}),
    ],
)
def test_class_sets(release, prepare, tmp_path, classes, kept):
    labels = "ang exc hap sad fru sur neu fea".split()
    for i, label in enumerate(labels):
        release.add(f"Ses02F_impro02_M{i:03d}", label=label)
    utterances, _ = prepare(classes=classes)
    assert {row.emotion for row in utterances.values()} == kept
    corpus = Corpus.load(tmp_path / "prepared", "leave_one_session_out")
    assert set(corpus.classes) == kept and len(corpus.classes) == classes
    if classes == 4:
        assert utterances["Ses02F_impro02_M001"].emotion == "hap"


@pytest.mark.parametrize("last", ["</s>", "what"])
def test_audio_after_the_alignment_is_reported(
    release, prepare, tmp_path, last
):
    release.add(BAD)
    write_wav(release.wav(BAD), 3.0)
    release.wdseg(BAD).write_text(wdseg((0, 50, "so"), (51, 99, last)))
    prepare()
    adjusted = (tmp_path / "prepared" / "adjusted.csv").read_text()
    assert f'{BAD},"audio continues after the words: the last word' in adjusted
    assert "ends at 1.00 s, the audio at 3.00 s" in adjusted


def test_unknown_class_set(prepare):
    with pytest.raises(CorpusError, match=r"classes is 5.*\[4, 6, 7\]"):
        prepare(classes=5)


def test_missing_folder(iemocap_prepare, tmp_path):
    with pytest.raises(CorpusError, match="nowhere does not exist"):
        iemocap_prepare.prepare_iemocap(tmp_path / "nowhere", tmp_path)


def test_wrong_level_of_the_release(iemocap_prepare, release, tmp_path):
    with pytest.raises(CorpusError, match="Session1 is a single session") as e:
        iemocap_prepare.prepare_iemocap(release.folder / "Session1", tmp_path)
    assert (
        str(release.folder) in str(e.value).split("Pass its parent folder")[1]
    )
    with pytest.raises(CorpusError, match="has no Session1 to .*Pass") as e:
        iemocap_prepare.prepare_iemocap(release.folder.parent, tmp_path)
    assert str(e.value).endswith(f"Pass {release.folder}.")


def test_incomplete_release(iemocap_prepare, release, tmp_path):
    (release.folder / "Session6" / "dialog").mkdir(parents=True)
    with pytest.raises(CorpusError, match="transcriptions does not exist"):
        iemocap_prepare.prepare_iemocap(release.folder, tmp_path / "prepared")


def test_nothing_usable(iemocap_prepare, release, tmp_path):
    for path in release.folder.rglob("*.wdseg"):
        path.unlink()
    with pytest.raises(CorpusError, match="all 10 utterances were skipped"):
        iemocap_prepare.prepare_iemocap(release.folder, tmp_path / "prepared")
    rows = (tmp_path / "prepared" / "skipped.csv").read_text().splitlines()
    assert len(rows) == 11


@pytest.mark.parametrize("classes, total", [(7, 7486), (6, 7379), (4, 5530)])
def test_counts_beside_those_of_the_paper(prepare, capsys, classes, total):
    prepare(classes=classes)
    out = capsys.readouterr().out
    lines = (line.split() for line in out.splitlines())
    rows = {fields[0]: fields[1:] for fields in lines if fields}
    assert rows["here"] == ["paper"] and rows["ang"] == ["10", "1103"]
    assert rows["total"] == ["10", str(total)]
    assert "10 utterances in" in out and "0 skipped utterances" in out


def test_prepared_once_until_a_setting_changes(
    release, prepare, tmp_path, capsys
):
    prepare()
    manifest = tmp_path / "prepared" / "manifest.csv"
    written = manifest.stat().st_mtime_ns
    prepare()
    assert manifest.stat().st_mtime_ns == written
    prepare(protocol="random10")
    assert manifest.stat().st_mtime_ns == written
    assert (tmp_path / "prepared" / "folds_leave_one_session_out.csv").exists()
    release.add(BAD, label="fea")
    prepare(fold_seed=5)
    assert manifest.stat().st_mtime_ns != written
    assert "Preparing it again" in capsys.readouterr().out
    # fold lists of other settings are deleted
    assert not (tmp_path / "prepared" / "folds_random10.csv").exists()


def test_new_version_prepares_again(prepare, tmp_path, monkeypatch, capsys):
    prepare()
    manifest = tmp_path / "prepared" / "manifest.csv"
    written = manifest.stat().st_mtime_ns
    monkeypatch.setattr(preparation, "VERSION", "another")
    prepare()
    assert manifest.stat().st_mtime_ns != written
    assert "prepared with different settings" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["manifest.csv", "folds_leave_one_session_out.csv"]
)
def test_modified_prepared_files_are_refused(prepare, tmp_path, name):
    prepare()
    path = tmp_path / "prepared" / name
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(
        CorpusError, match=f"{name} was modified after preparation"
    ):
        Corpus.load(tmp_path / "prepared", "leave_one_session_out")


def test_folds_of_a_changed_manifest_are_refused(prepare, tmp_path):
    prepare()
    with open(tmp_path / "prepared" / "manifest.csv", "a") as stream:
        stream.write("\n")
    with pytest.raises(CorpusError, match="manifest.csv was modified"):
        prepare(protocol="random10")


def test_a_label_outside_the_classes_is_refused(prepare, tmp_path):
    prepare()
    path = tmp_path / "prepared" / "corpus.json"
    description = json.loads(path.read_text())
    description["classes"] = ["sad", "neu"]
    path.write_text(json.dumps(description))
    with pytest.raises(CorpusError, match="has the label 'ang'"):
        Corpus.load(tmp_path / "prepared", "leave_one_session_out")


def test_a_transcription_with_nul_characters_is_listed(release, prepare):
    path = release.folder / "Session1/dialog/transcriptions/Ses01F_impro01.txt"
    path.write_text(path.read_text().replace("what", "wh\0t", 1))
    utterances, skipped = prepare()
    ((name, reason),) = skipped.items()
    assert name not in utterances and len(utterances) == 9
    assert "the transcription contains a NUL character" in reason


def test_a_whole_controlled_corpus(data, iemocap_prepare, tmp_path):
    iemocap_prepare.prepare_iemocap(
        data / "iemocap_layout", tmp_path, protocol="leave_one_session_out"
    )
    utterances = read_manifest(tmp_path / "manifest.csv")
    with open(tmp_path / "skipped.csv", newline="") as stream:
        skipped = {r["ID"]: r["reason"] for r in csv.DictReader(stream)}
    assert len(utterances) == 966 and len(skipped) == 33
    plan = json.loads((data / "iemocap_layout" / "plan.json").read_text())
    for turn in plan:
        if turn["lost"] or turn["emo"] in ("fea", "dis"):
            assert turn["utt"] in skipped
        elif turn["utt"] in utterances:
            row = utterances[turn["utt"]]
            assert row.emotion == turn["emo"]
            # apostrophes at the edges of words are quotation marks
            expected = [word.strip("'") for word in turn["words"]]
            assert [word.text for word in row.words] == expected


def test_votes_of_the_raters(iemocap_prepare, release, tmp_path):
    """Each rater has one vote, for classes only; self-assessments are ignored."""
    (path, *_) = sorted(
        (release.folder / "Session1" / "dialog" / "EmoEvaluation").glob(
            "S*.txt"
        )
    )
    path.write_text(
        "[6.2901 - 8.2357]\tSes01F_impro01_F000\tfru\t[2.5, 2.5, 2.5]\n"
        "C-E2:\tFrustration;\t()\n"
        "C-E3:\tAnger; Frustration;\t(angry, but not so)\n"
        "C-E4:\tNeutral state;\t()\n"
        "C-E1:\tDisgust;\t()\n"
        "C-F1:\tSadness;\t()\n"
        "A-E3:\tval 4; act 2; dom  2;\t()\n"
        "[8.5 - 9.0]\tSes01F_impro01_M000\tang\t[2.5, 2.5, 2.5]\n"
        "C-E2:\tOther;\t()\n"
    )
    iemocap_prepare.prepare_iemocap(
        release.folder, tmp_path / "prepared", protocol="leave_one_session_out"
    )
    rows = read_manifest(tmp_path / "prepared" / "manifest.csv")
    votes = read_votes(rows["Ses01F_impro01_F000"])
    assert votes == {"fru": 1.5, "ang": 0.5, "neu": 1.0}
    # no rater chose one of the classes: the label is used
    assert read_votes(rows["Ses01F_impro01_M000"]) == {"ang": 1.0}
    assert rows["Ses02F_impro01_F000"].votes == "ang:1"
