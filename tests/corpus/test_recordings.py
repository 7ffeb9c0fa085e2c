"""Preparation of corpora without word timings: alignment, transcription, resuming."""

import csv
import json

import pytest
from helpers.corpora import write_wav

from speechbrain_can.alignment.aligners.equal import EqualSegments
from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.corpus.manifest import read_manifest
from speechbrain_can.corpus.preparation import CorpusSource, prepare_corpus
from speechbrain_can.corpus.prepared import CorpusError
from speechbrain_can.corpus.recordings import LabeledRecording


class Counting(EqualSegments):
    """Aligner that records its transcripts and refuses one of them."""

    def __init__(self):
        self.asked = []

    def __call__(self, waveform, transcript):
        self.asked.append(transcript)
        if transcript == "wrong":
            raise AlignmentError("the transcript does not fit the audio")
        return super().__call__(waveform, transcript)


class Hearing:
    """Speech recognizer that returns one word."""

    name = "hearing"
    sample_rate = 16000

    def __repr__(self):
        return "Hearing()"

    def __call__(self, waveform):
        return [Word("Heard.", 0.1, 0.3, 0.9)]


@pytest.fixture
def corpus(tmp_path):
    for number, name in enumerate("abcdef"):
        write_wav(tmp_path / "corpus" / f"{name}.wav", 0.6, seed=number)
    return tmp_path / "corpus"


def recording(name, transcript="So what?", **known):
    return LabeledRecording(
        utterance_id=name,
        wav=f"{name}.wav",
        emotion="ang" if name in "ace" else "sad",
        speaker=name,
        transcript=transcript,
        **known,
    )


def prepare(corpus, recordings, aligner, **settings):
    prepare_corpus(
        CorpusSource("mine", corpus, recordings, []),
        corpus.parent / "prepared",
        protocol="random10",
        fold_seed=1,
        **{"aligner": aligner, "workers": 1, **settings},
    )
    return read_manifest(corpus.parent / "prepared" / "manifest.csv")


def test_source_of_words(corpus):
    (corpus / "c.csv").write_text("word,start,end\nno,0.1,0.2\nway,0.3,0.6\n")
    rows = prepare(
        corpus,
        [
            recording("a"),
            recording("b", None),
            recording("c", alignment="c.csv"),
            recording("d", "wrong"),
            recording("nowhere"),
        ],
        Counting(),
        transcriber=Hearing(),
    )
    assert [w.text for w in rows["a"].words] == ["so", "what"]
    assert rows["b"].words == [Word("heard", 0.0, 0.6)]
    assert [w.end for w in rows["c"].words] == [0.25, 0.6]
    assert {name: row.aligned_by for name, row in rows.items()} == {
        "a": "equal segments",
        "b": "hearing, equal segments",
        "c": "given",
    }
    with open(corpus.parent / "prepared" / "skipped.csv", newline="") as stream:
        reasons = {row["ID"]: row["reason"] for row in csv.DictReader(stream)}
    assert reasons["d"] == "the transcript does not fit the audio"
    assert "audio file not found" in reasons["nowhere"]


def test_interrupted_preparation_resumes(corpus):
    recordings = [recording(name) for name in "abcde"]
    first = Counting()
    rows = prepare(corpus, recordings, first)
    assert len(first.asked) == 5
    words = corpus.parent / "prepared" / "words"
    # interrupted, with one word corrected by hand
    (corpus.parent / "prepared" / "corpus.json").unlink()
    (words / "e.json").unlink()
    content = json.loads((words / "a.json").read_text())
    content["words"][0]["word"] = "corrected"
    (words / "a.json").write_text(json.dumps(content))
    second = Counting()
    again = prepare(corpus, recordings, second)
    assert len(second.asked) == 1
    assert again["a"].words[0].text == "corrected"
    assert again["e"] == rows["e"]
    third = Counting()
    prepare(corpus, recordings, third)
    assert not third.asked


def test_changed_transcripts_are_aligned_again(corpus):
    prepare(corpus, [recording(name) for name in "abc"], Counting())
    aligner = Counting()
    changed = [recording("a", "Another one"), recording("b"), recording("c")]
    rows = prepare(corpus, changed, aligner)
    assert aligner.asked == ["Another one"]
    assert [w.text for w in rows["a"].words] == ["another", "one"]


def test_repaired_files_are_prepared_again(corpus):
    recordings = [recording("a"), recording("b"), recording("new")]
    rows = prepare(corpus, recordings, Counting())
    assert "new" not in rows
    write_wav(corpus / "new.wav", 0.5)
    write_wav(corpus / "b.wav", 0.9, seed=9)
    aligner = Counting()
    rows = prepare(corpus, recordings, aligner)
    assert len(aligner.asked) == 2
    assert rows["new"].duration == 0.5 and rows["b"].duration == 0.9


def test_damaged_word_files_are_named(corpus):
    prepare(corpus, [recording("a")], Counting())
    prepared = corpus.parent / "prepared"
    (prepared / "corpus.json").unlink()
    (prepared / "words" / "a.json").write_text('{"words": [}')
    with pytest.raises(
        CorpusError, match="a.json cannot be read .* Correct it"
    ):
        prepare(corpus, [recording("a")], Counting())


class Breaking(Counting):
    """Aligner that raises an unexpected error for one transcript."""

    def __call__(self, waveform, transcript):
        if transcript == "odd":
            raise RuntimeError("nobody thought of this")
        return super().__call__(waveform, transcript)


def test_unexpected_errors_skip_one_recording(corpus):
    long = "x" * 300
    write_wav(corpus / "x.wav", 0.5)
    rows = prepare(
        corpus,
        [
            recording("a", "odd"),
            recording("b"),
            LabeledRecording(
                long, str(corpus / "x.wav"), "ang", transcript="so", speaker="x"
            ),
            recording("c"),
        ],
        Breaking(),
    )
    assert set(rows) == {"b", "c", long}
    # absolute paths are kept
    assert rows[long].wav == str(corpus / "x.wav")
    skipped = (corpus.parent / "prepared" / "skipped.csv").read_text()
    assert "RuntimeError: nobody thought of this" in skipped


def test_parallel_alignment_gives_the_same_words(corpus):
    recordings = [recording(name) for name in "abcdef"]
    alone = prepare(corpus, recordings, EqualSegments())
    for path in (corpus.parent / "prepared").rglob("*.json"):
        path.unlink()
    assert prepare(corpus, recordings, EqualSegments(), workers=2) == alone


def test_an_empty_list_is_refused(corpus):
    with pytest.raises(CorpusError, match="lists no recordings"):
        prepare(corpus, [], EqualSegments())


def test_transcript_without_aligner(corpus):
    with pytest.raises(CorpusError, match="all 1 utterances were skipped"):
        prepare(corpus, [recording("a")], None)
    skipped = (corpus.parent / "prepared" / "skipped.csv").read_text()
    assert "a transcript needs an aligner" in skipped
