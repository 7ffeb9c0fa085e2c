import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import soundfile
from helpers.corpora import UTTERANCES, corpus_seed

from speechbrain_can.alignment.readers.sphinx import read_wdseg
from speechbrain_can.alignment.words import clean_words
from speechbrain_can.controlled.generator import (
    CUES,
    SENTENCES,
    act,
    make_corpus,
    plan_corpus,
    read_sentences,
)
from speechbrain_can.controlled.speech import (
    Synthesizer,
    _share_merged,
    equalize,
)
from speechbrain_can.corpus.prepared import CorpusError


def test_packaged_sentences():
    sentences = read_sentences(SENTENCES)
    counts = Counter(sentence.emotion for sentence in sentences)
    assert set(counts) == set(CUES) and min(counts.values()) >= 20
    assert len({tuple(s.words) for s in sentences}) == len(sentences)
    for sentence in sentences:
        spoken = "".join(c for c in sentence.text.lower() if c.isalpha())
        assert "".join(sentence.words).replace("'", "") == spoken


def test_custom_sentences(data):
    sentences = read_sentences(data / "sentences" / "goemotions_dev.tsv")
    assert len(sentences) == 1123  # 1,159 without fear and disgust


@pytest.mark.parametrize(
    "row, message",
    [
        ("a\tang\t2\tso what\tSo what", "line 3: key '2' is not"),
        ("a\tang\t\tso what\tSo what", "line 3: key '' is not"),
        ("a\tang\t0\t\t", "line 3: key '0' is not"),
    ],
)
def test_bad_sentences_name_file_and_line(tmp_path, row, message):
    path = tmp_path / "sentences.tsv"
    header = "id\temotion\tkey\twords\ttext\n"
    path.write_text(header + "b\tsad\t0\toh\tOh.\n" + row + "\n")
    with pytest.raises(CorpusError, match=message):
        read_sentences(path)
    path.write_text("id\temotion\twords\ttext\n")
    with pytest.raises(CorpusError, match=r"missing columns: key"):
        read_sentences(path)
    path.write_text(header + "b\tbor\t0\toh\tOh.\n")
    with pytest.raises(
        CorpusError, match="no sentence has one of the emotions ang"
    ):
        read_sentences(path)


def plan(utterances=700, seed=1, agree=0.6):
    return plan_corpus(read_sentences(SENTENCES), utterances, seed, agree)


def test_plan():
    turns = plan()
    assert len(turns) == len({turn.utterance_id for turn in turns}) == 700
    agreed = np.mean([turn.emo == turn.text_emotion for turn in turns])
    assert abs(agreed - 0.6) < 0.06
    assert Counter(turn.session for turn in turns) == dict.fromkeys(
        range(1, 6), 140
    )
    for turn in turns:
        assert turn.plan[turn.key] == turn.emo
        decoys = [e for place, e in turn.plan.items() if place != turn.key]
        assert turn.emo not in decoys
        assert len(decoys) == (1 if len(turn.words) < 8 else 2)
        talker = turn.utterance_id.rpartition("_")[2][0]
        assert turn.voice == f"{turn.session}{talker}"


def test_scripts_repeat_in_every_session():
    turns = plan()
    said = {
        session: [
            turn.uid
            for turn in turns
            if turn.session == session and "script" in turn.dialog
        ]
        for session in range(1, 6)
    }
    assert len(said[1]) == 70
    assert all(script == said[1] for script in said.values())


def test_sentences_come_in_rounds():
    counts = Counter(turn.uid for turn in plan() if "impro" in turn.dialog)
    assert max(counts.values()) - min(counts.values()) <= 2


@pytest.mark.parametrize("utterances", [5, 6, 11, 599])
def test_any_layer_size(utterances):
    turns = plan(utterances)
    assert len({turn.utterance_id for turn in turns}) == utterances
    assert {turn.session for turn in turns} == set(range(1, 6))


def test_corpus_of_too_few_utterances():
    with pytest.raises(CorpusError, match="too few for 5 sessions"):
        plan(4)


def test_seed_of_folds():
    assert plan(seed=1) == plan(seed=1)
    assert plan(seed=1) != plan(seed=2)
    assert all(t.emo == t.text_emotion for t in plan(agree=1.0))
    assert not any(t.emo == t.text_emotion for t in plan(agree=0.0))


def test_equalize():
    rate = 16000
    times = np.arange(rate) / rate
    for frequency, gain in ((1000, 6.0), (2000, 9.0), (500, 3.0)):
        tone = np.sin(2 * np.pi * frequency * times)
        louder = equalize(tone, rate, level=6.0, tilt=3.0)
        assert 20 * np.log10(louder.std() / tone.std()) == pytest.approx(
            gain, abs=0.05
        )


def test_merged_words_share_their_time():
    # "in the" is spoken as one word: "the" is marked at the start of "house"
    starts = _share_merged(["in", "the", "house"], [0, 1000, 1000], 2000)
    assert starts.tolist() == [0, 400, 1000]
    starts = _share_merged(["the", "house"], [0, 0], 800)
    assert starts.tolist() == [0, 300]


def pitch(samples, rate):
    """Return the pitch at the highest peak of the autocorrelation."""
    samples = samples[: round(0.1 * rate)] - samples.mean()
    correlation = np.correlate(samples, samples, "full")[len(samples) - 1 :]
    lags = np.arange(rate // 400, rate // 60)
    return rate / lags[correlation[lags].argmax()]


SPEAK = """
import sys
import numpy as np
from speechbrain_can.controlled.speech import Synthesizer

synthesizer = Synthesizer()
semitones = [int(sys.argv[2])] * 5
words = ["we", "are", "now", "in", "may"]
samples, starts = synthesizer.speak(words, "en-us+f1", 50, 150, semitones)
np.savez(sys.argv[1], samples=samples[starts[2]:], rate=synthesizer.sample_rate)
"""


def test_semitones_change_the_pitch(tmp_path):
    """Each value runs in its own process, because eSpeak NG depends on what it spoke before."""
    heard = {}
    for semitones in (-4, 0, 4, 8):
        path = str(tmp_path / f"{semitones}.npz")
        subprocess.run(
            [sys.executable, "-c", SPEAK, path, str(semitones)], check=True
        )
        spoken = np.load(path)
        heard[semitones] = pitch(spoken["samples"], int(spoken["rate"]))
    for semitones in (-4, 4, 8):
        moved = 12 * np.log2(heard[semitones] / heard[0])
        assert moved == pytest.approx(semitones, abs=1.5)


@pytest.mark.parametrize("end", [".", "?", "!"])
def test_punctuation_is_not_spoken(end):
    """The duration of a word does not depend on a following full stop."""
    synthesizer = Synthesizer()
    words = ["we", "are", "now", "in", "may"]
    lengths = {}
    for mark in ("", end):
        samples, starts = synthesizer.speak(
            words, "en-us+f1", 50, 150, [0] * len(words), mark
        )
        lengths[mark] = (len(samples) - starts[-1]) / synthesizer.sample_rate
    assert lengths[end] == pytest.approx(lengths[""], abs=0.1)


def test_unknown_voice():
    with pytest.raises(ValueError, match="no voice 'no-such-voice'"):
        Synthesizer().speak(["so"], "no-such-voice", 50, 150, [0])


def test_every_word_has_time(controlled_corpus):
    plan = json.loads((controlled_corpus / "plan.json").read_text())
    assert len(plan) == 40
    for turn in plan:
        folder = controlled_corpus / f"Session{turn['session']}" / "sentences"
        place = f"{turn['dialog']}/{turn['utt']}"
        rows = read_wdseg(folder / "ForcedAlignment" / f"{place}.wdseg")
        info = soundfile.info(folder / "wav" / f"{place}.wav")
        assert info.samplerate == 16000 and info.channels == 1
        assert [row.text for row in clean_words(rows)] == turn["words"]
        assert rows[0].text == "<s>" and rows[-1].text == "</s>"
        assert 0 <= info.duration - rows[-1].end < 0.02


def test_the_cue_is_on_the_key_word():
    """A word with the cue of anger is louder than without."""
    (turn,) = [t for t in plan() if t.emo == "ang" and len(t.words) >= 7][:1]
    synthesizer = Synthesizer()
    levels = {}
    for emotion in ("ang", "neu"):
        changed = type(turn)(
            **{**vars(turn), "emo": emotion, "plan": {turn.key: emotion}}
        )
        waveform, bounds = act(changed, synthesizer, seed=0)
        pieces = [
            waveform[round(a * 16000) : round(b * 16000)].std()
            for a, b in zip(bounds[:-1], bounds[1:])
        ]
        levels[emotion] = 20 * np.log10(pieces)
    gain = levels["ang"] - levels["neu"]
    others = np.delete(gain, turn.key)
    assert gain[turn.key] > 4 and others.max() < 4


def test_corpus_does_not_depend_on_workers(tmp_path, controlled_corpus):
    again = tmp_path / "again"
    make_corpus(again, UTTERANCES, seed=corpus_seed(), workers=1)
    files = [p for p in controlled_corpus.rglob("*") if p.is_file()]
    assert len(files) > 80
    for path in files:
        copy = again / path.relative_to(controlled_corpus)
        assert copy.read_bytes() == path.read_bytes(), path


def test_existing_corpora_are_kept(controlled_corpus):
    before = (controlled_corpus / "plan.json").stat().st_mtime_ns
    make_corpus(controlled_corpus, UTTERANCES, seed=corpus_seed())
    assert (controlled_corpus / "plan.json").stat().st_mtime_ns == before
    with pytest.raises(CorpusError, match="another folder"):
        make_corpus(controlled_corpus, UTTERANCES, seed=corpus_seed() + 1)


def test_a_script_without_a_guard_ends(tmp_path):
    """Every process imports the script, which would start processes again."""
    script = tmp_path / "script.py"
    script.write_text(
        "from speechbrain_can.controlled.generator import make_corpus\n"
        f"make_corpus({str(tmp_path / 'corpus')!r}, utterances=40)\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    assert "below 'if __name__ == \"__main__\":'" in done.stderr
    assert not (tmp_path / "corpus").exists()


def test_recipe_prepares_all_utterances(
    controlled_corpus, iemocap_prepare, tmp_path
):
    iemocap_prepare.prepare_iemocap(
        controlled_corpus, tmp_path, protocol="leave_one_session_out"
    )
    lines = (tmp_path / "skipped.csv").read_text().splitlines()
    assert lines == ["ID,reason"]
    description = json.loads((tmp_path / "corpus.json").read_text())
    assert description["corpus"] == "controlled corpus (IEMOCAP layout)"
