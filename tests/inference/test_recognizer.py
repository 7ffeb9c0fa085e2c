"""A model folder predicts what its fold predicted in the test, also after moving."""

import shutil

import pytest
import soundfile
import torch
from helpers.recipes import read_predictions

from speechbrain_can.alignment.words import AlignmentError, Word
from speechbrain_can.corpus.manifest import read_manifest, resolve_wav
from speechbrain_can.inference.recognizer import EmotionRecognizer
from speechbrain_can.io.audio import AudioError, read_waveform

pytestmark = pytest.mark.training

CLASSES = "ang exc hap sad fru sur neu".split()


@pytest.fixture(scope="module")
def utterances(trained, controlled_corpus):
    """Return path and manifest row of the test utterances."""
    manifest = read_manifest(trained / "prepared" / "manifest.csv")
    rows = [manifest[row["ID"]] for row in read_predictions(trained, 1)]
    return [(resolve_wav(row, controlled_corpus), row) for row in rows]


@pytest.fixture(scope="module")
def recognizer(trained):
    return EmotionRecognizer.from_hparams(
        str(trained / "fold_1" / "model"), overrides={"temperature": 1.0}
    )


def as_row(prediction):
    return [prediction.probabilities[name] for name in CLASSES]


def test_moved_model_folder_predicts_the_same(trained, utterances, tmp_path):
    folder = tmp_path / "moved"
    shutil.copytree(trained / "fold_1" / "model", folder)
    hidden = trained.with_name("hidden")
    trained.rename(hidden)
    try:
        moved = EmotionRecognizer.from_hparams(
            str(folder), overrides={"temperature": 1.0}
        )
    finally:
        hidden.rename(trained)
    assert moved.classes == CLASSES
    for row, (wav, utterance) in zip(read_predictions(trained, 1), utterances):
        prediction = moved.classify_file(wav, alignment=utterance.words)
        assert prediction.label == row["predicted"]
        assert as_row(prediction) == pytest.approx(
            [float(row[name]) for name in CLASSES], abs=2e-6
        )


def test_temperature_changes_confidence(trained, utterances):
    folder = str(trained / "fold_1" / "model")
    (wav, utterance), *_ = utterances
    cool, hot = (
        EmotionRecognizer.from_hparams(
            folder, overrides={"temperature": temperature}
        ).classify_file(wav, alignment=utterance.words)
        for temperature in (0.5, 5.0)
    )
    assert cool.label == hot.label
    assert cool.confidence > hot.confidence
    assert cool.decisions == hot.decisions
    text = (trained / "fold_1" / "model" / "hyperparams.yaml").read_text()
    assert "temperature: 1.0\n" not in text  # fitted, not the default


def test_predictions_do_not_depend_on_the_batch(recognizer, utterances):
    chosen = utterances[:3]
    waveforms = [read_waveform(wav, 16000) for wav, _ in chosen]
    longest = max(map(len, waveforms))
    wavs = torch.stack(
        [torch.nn.functional.pad(w, (0, longest - len(w))) for w in waveforms]
    )
    batch = recognizer.classify_batch(
        wavs,
        torch.tensor([len(w) / longest for w in waveforms]),
        alignments=[utterance.words for _, utterance in chosen],
    )
    for prediction, (wav, utterance) in zip(batch, chosen):
        alone = recognizer.classify_file(wav, alignment=utterance.words)
        assert as_row(prediction) == pytest.approx(as_row(alone), abs=1e-5)
        assert prediction.end == alone.end


def test_prediction_record(recognizer, utterances):
    (wav, utterance), *_ = utterances
    prediction = recognizer.classify_file(wav, alignment=utterance.words)
    log_probabilities, score, index, labels = prediction
    assert log_probabilities.shape == (1, 7)
    assert labels == [prediction.label] == [CLASSES[int(index)]]
    assert score.exp().item() == pytest.approx(prediction.confidence)
    assert set(prediction.decisions) == {"joint", "text", "audio"}
    assert [w.text for w in prediction.words] == [
        w.text for w in utterance.words
    ]
    for modality in ("text", "audio"):
        heads = zip(*(word.attention[modality] for word in prediction.words))
        assert [sum(head) for head in heads] == pytest.approx([1] * 4, abs=1e-5)


def test_a_transcript_is_aligned(recognizer, utterances):
    (wav, utterance), *_ = utterances
    prediction = recognizer.classify_file(
        wav, transcript=utterance.transcription
    )
    assert prediction.aligned_by == "pocketsphinx"
    assert [w.text for w in prediction.words] == [
        w.text for w in utterance.words
    ]


def test_prediction_errors(recognizer, utterances, tmp_path):
    (wav, utterance), *_ = utterances
    with pytest.raises(
        AlignmentError, match="the transcript .* contains no words"
    ):
        recognizer.classify_file(wav, transcript="😀 …")
    with pytest.raises(
        ValueError, match="1 lengths, transcripts, .* for 2 wave"
    ):
        recognizer.classify_batch(torch.randn(2, 9), transcripts=["so"])
    with pytest.raises(AlignmentError, match="the alignment ends at 99.00 s"):
        recognizer.classify_file(wav, alignment=[Word("so", 0.0, 99.0)])
    with pytest.raises(
        AlignmentError, match="utterance 1: .*contains no words"
    ):
        recognizer.classify_batch(
            torch.randn(2, 16000),
            alignments=[[Word("so", 0.0, 1.0)], None],
            transcripts=[None, ""],
        )
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF and no more")
    with pytest.raises(AudioError, match="the audio cannot be decoded"):
        recognizer.classify_file(broken)


def test_the_model_card_has_the_figures_of_the_fold(trained):
    card = (trained / "fold_1" / "model" / "README.md").read_text()
    printed = read_predictions(trained, 1)
    right = sum(row["true"] == row["predicted"] for row in printed)
    assert f"WA {right / len(printed):.3f}" in card
    assert "ang, exc, hap, sad, fru, sur, neu" in card
    assert "leave_one_session_out" in card


@pytest.fixture
def long(utterances, tmp_path):
    """Return three utterances, each followed by a second of silence, and their words."""
    pieces, words, start = [], [], 0.0
    for wav, utterance in utterances[:3]:
        waveform = read_waveform(wav, 16000)
        pieces += [waveform, torch.zeros(16000)]
        words += [
            Word(w.text, start + w.start, start + w.end)
            for w in utterance.words
        ]
        start += len(waveform) / 16000 + 1
    path = tmp_path / "long.wav"
    soundfile.write(path, torch.cat(pieces).numpy(), 16000)
    return path, words


def test_long_recordings_are_split_at_pauses(recognizer, utterances, long):
    path, words = long
    timeline = recognizer.timeline(path, alignment=words)
    assert not timeline.skipped
    assert [
        " ".join(word.text for word in p.words) for p in timeline.predictions
    ] == [
        " ".join(word.text for word in utterance.words)
        for _, utterance in utterances[:3]
    ]
    for prediction in timeline.predictions:
        assert prediction.start < prediction.words[0].end
        assert prediction.words[-1].end <= prediction.end + 1e-6
    starts = [p.start for p in timeline.predictions]
    assert starts == sorted(starts)


def test_timeline_keeps_all_words(recognizer, long):
    path, words = long
    # in the silence after the last utterance
    stray = [*words, Word("stray", words[-1].end + 0.3, words[-1].end + 0.5)]
    timeline = recognizer.timeline(path, alignment=stray)
    said = [word for p in timeline.predictions for word in p.words]
    assert [w.text for w in said] == [w.text for w in stray]
    assert [w.start for w in said] == pytest.approx([w.start for w in stray])


def test_recording_without_speech(recognizer, tmp_path):
    soundfile.write(tmp_path / "noise.wav", 1e-3 * torch.randn(48000), 16000)
    timeline = recognizer.timeline(tmp_path / "noise.wav")
    assert (timeline.predictions, timeline.skipped) == ([], [])
