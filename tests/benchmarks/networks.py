"""Training steps of CAN and of alternatives with random weights on the same utterances, and
prediction (group 5).
"""

import copy
import tempfile

import torch
from measure import HOP, Row, draw_lengths, draw_segments, median_seconds
from training import HPARAMS

from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN
from speechbrain_can.alignment.words import Word
from speechbrain_can.lobes.audio import LayerWeights, WordEncoder
from speechbrain_can.lobes.convolutions import SubsampledFrameBLSTM
from speechbrain_can.lobes.losses import cross_entropies, decide, total_loss
from speechbrain_can.lobes.ragged import WordFrames
from speechbrain_can.settings.hparams import read_settings
from speechbrain_can.settings.run_options import lstm_runs_in

RATE = 16000
# layers and features of wav2vec2-base
LAYERS, HIDDEN = 13, 768


class Predictor(torch.nn.Module):
    """CAN with the settings of its hparams file, from waveforms and words to logits."""

    def __init__(self):
        super().__init__()
        with tempfile.TemporaryDirectory() as scratch:
            hparams = read_settings(
                HPARAMS,
                {"output_folder": scratch, "data_folder": "x", "fold": 0},
            ).build()
        self.compute_features = hparams["compute_features"]
        self.segment = hparams["segment"]
        self.normalize = hparams["normalize"]
        self.model = hparams["model"]
        self.model.fit_vocabulary([f"w{i}" for i in range(3000)])

    def features(self, utterances):
        """Return the features of pairs of waveform and words."""
        found = [
            self.compute_features(
                waveform, torch.from_numpy(self.segment(words))
            )
            for waveform, words in utterances
        ]
        return WordFrames(
            torch.cat([frames for frames, _ in found]),
            torch.cat([counts for _, counts in found]),
            torch.tensor([len(counts) for _, counts in found]),
        )

    def forward(self, words, audio):
        """Return the logits of a batch with computed features."""
        audio = audio._replace(frames=self.normalize(audio.frames))
        return self.model(words, audio)


def draw_utterances(n, seed=0):
    """Draw pairs of noise and words."""
    word_counts, frame_counts = draw_lengths(n, seed)
    utterances = []
    for counts in torch.from_numpy(frame_counts).split(word_counts.tolist()):
        segments = draw_segments(counts.numpy())
        waveform = 0.1 * torch.randn(int(segments[-1, 1] * RATE))
        utterances.append((waveform, words_at(segments)))
    return utterances


def seconds_of(utterances):
    """Return the total duration of utterances."""
    return sum(len(waveform) for waveform, _ in utterances) / RATE


def words_at(segments):
    """Return meaningless words at the times of segments."""
    bounds = enumerate(segments.tolist())
    return [Word(f"w{i}", start, end) for i, (start, end) in bounds]


def texts_of(utterances):
    """Return the texts of the words of each utterance."""
    return [[word.text for word in words] for _, words in utterances]


def training_step(forward, parameters):
    """Run forward and backward pass of a batch."""
    parameters = [p for p in parameters if p.requires_grad]

    def step():
        torch.autograd.grad(forward().sum(), parameters, allow_unused=True)

    return step


def with_stored_layers(can):
    """Return CAN with the cached layers of ``SegmentHidden``, one frame per word."""
    model = copy.deepcopy(can)
    model.audio_encoder = WordEncoder(LayerWeights(LAYERS, LAYERS * HIDDEN))
    return model


def loss_of(output, targets):
    """Return the training loss."""
    return total_loss(cross_entropies(output, targets), output.weights)


def run(threads, quick):
    """Measure training steps of networks, and predictions of CAN.

    Returns the rows, and the largest difference of the logits in bfloat16 from those in
    float32, relative to the largest logit.
    """
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    min_run_time = 0 if quick else 3
    batch = draw_utterances(2 if quick else 64)
    # Similar lengths, as from a bucketing sampler, need little padding.
    few = sorted(batch, key=lambda utterance: len(utterance[0]))
    few = few[len(few) // 2 - 1 :][: 2 if quick else 8]
    can = Predictor()
    waveforms = torch.nn.utils.rnn.pad_sequence(
        [waveform for waveform, _ in few], batch_first=True
    )
    stored = {
        len(utterances): (
            texts_of(utterances),
            can.features(utterances),
            torch.arange(len(utterances)) % 7,
        )
        for utterances in (few, batch)
    }

    def loss_of_can(n, bfloat16=False):
        words, audio, targets = stored[n]
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            output = can(words, audio)
        return loss_of(output, targets)

    on_layers = with_stored_layers(can.model)
    words, audio, targets = stored[len(batch)]
    layers = WordFrames(
        torch.randn(len(audio.frame_counts), LAYERS * HIDDEN),
        torch.ones_like(audio.frame_counts),
        audio.word_counts,
    )

    subsampled = copy.deepcopy(can)
    subsampled.model.audio_encoder = WordEncoder(SubsampledFrameBLSTM())

    ecapa = ECAPA_TDNN(80, lin_neurons=192)
    ecapa_features = Fbank(n_mels=80)(waveforms)
    config = Wav2Vec2Config()
    if quick:
        config = Wav2Vec2Config(num_hidden_layers=1, hidden_size=96)
    wav2vec2 = Wav2Vec2Model(config)
    n = len(few)
    cases = {
        "CAN, features stored": (
            few,
            lambda: loss_of_can(n),
            can.parameters(),
        ),
        "ECAPA-TDNN (SpeechBrain), features stored": (
            few,
            lambda: ecapa(ecapa_features),
            ecapa.parameters(),
        ),
        "wav2vec2-base, fine-tuned": (
            few,
            lambda: wav2vec2(waveforms).last_hidden_state,
            wav2vec2.parameters(),
        ),
        "CAN with MFCC": (
            batch,
            lambda: loss_of_can(len(batch)),
            can.parameters(),
        ),
        "CAN with MFCC, subsampled (can_fast.yaml)": (
            batch,
            lambda: loss_of(
                subsampled(stored[len(batch)][0], stored[len(batch)][1]),
                targets,
            ),
            subsampled.parameters(),
        ),
        "CAN with cached layers of wav2vec2-base": (
            batch,
            lambda: loss_of(on_layers(words, layers), targets),
            on_layers.parameters(),
        ),
    }
    bfloat16 = lstm_runs_in("bf16")
    if bfloat16:
        cases["CAN with MFCC, bfloat16"] = (
            batch,
            lambda: loss_of_can(len(batch), bfloat16=True),
            can.parameters(),
        )
    rows = []
    for case, (utterances, forward, parameters) in cases.items():
        step = training_step(forward, list(parameters))
        seconds = median_seconds(step, threads, min_run_time)
        rows.append(
            Row(
                f"training step, {len(utterances)} utterances",
                case,
                seconds,
                seconds_of(utterances),
            )
        )

    can.eval()
    words, audio, _ = stored[len(batch)]
    difference = None
    if bfloat16:
        with torch.no_grad():
            full = can(words, audio).logits["joint"]
            with torch.autocast("cpu", torch.bfloat16):
                half = can(words, audio).logits["joint"]
        difference = float((full - half).abs().max() / full.abs().max())

    @torch.no_grad()
    def predict(utterances, words):
        return decide(can(words, can.features(utterances)))

    # one utterance of four seconds and ten words
    segments = draw_segments(torch.full((10,), int(4 / HOP / 10)).numpy())
    one = [(0.1 * torch.randn(4 * RATE), words_at(segments))]
    for case, utterances in {
        "one utterance of 4 s": one,
        f"a batch of {len(batch)}": batch,
    }.items():
        texts = texts_of(utterances)
        seconds = median_seconds(
            lambda: predict(utterances, texts), threads, min_run_time
        )
        rows.append(Row("prediction", case, seconds, seconds_of(utterances)))
    return rows, difference
