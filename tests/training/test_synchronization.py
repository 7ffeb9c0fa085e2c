"""A training step does not wait for its device.

The device "meta" has no data: an operation that needs values of a tensor on the CPU,
for which a GPU would have to be synchronized, raises an error there.
"""

import pytest
import torch
from helpers.recipes import RECIPES
from torch.utils._python_dispatch import TorchDispatchMode

import speechbrain as sb
from speechbrain.utils.run_opts import RunOptions
from speechbrain_can.io.files import InputError
from speechbrain_can.lobes.ragged import WordFrames
from speechbrain_can.settings.hparams import read_settings
from speechbrain_can.training.brain import EmotionBrain
from speechbrain_can.training.data import Batch
from speechbrain_can.training.statistics import StageStatistics, TrainingError

WORDS = [["oh", "really"], ["yes"], ["so", "what", "now"]]
SYSTEMS = [
    *("can", "can_small_data", "no_cross_attention", "text_model"),
    *("audio_model", "multi_hop", "encoders/can_ecapa_glove"),
]


def make_batch():
    """Return three utterances on the CPU."""
    word_counts = torch.tensor([len(words) for words in WORDS])
    frame_counts = torch.randint(2, 9, (int(word_counts.sum()),))
    return Batch(
        ids=["a", "b", "c"],
        words=WORDS,
        audio=WordFrames(
            torch.randn(int(frame_counts.sum()), 40), frame_counts, word_counts
        ),
        targets=torch.tensor([0, 3, 6]),
    )


def make_brain(name, folder, device):
    """Return a Brain whose modules are on a device, at the start of an epoch."""
    settings = read_settings(
        RECIPES["IEMOCAP"] / "hparams" / f"{name}.yaml",
        {"output_folder": str(folder), "data_folder": "x"},
    )
    hparams = settings.build()
    hparams["model"].fit_vocabulary([w for words in WORDS for w in words])
    brain = EmotionBrain(
        modules=hparams["modules"],
        opt_class=hparams["opt_class"],
        hparams=hparams,
        run_opts=RunOptions(device="cpu", overridden_args={"device"}),
    )
    brain.modules.to(device)
    brain.device = brain.device_type = device
    brain.init_optimizers()
    brain.on_stage_start(sb.Stage.TRAIN, epoch=1)
    brain.modules.train()
    brain.step = 1
    return brain


class Copies(TorchDispatchMode):
    """Copies from the CPU to another device that are not asynchronous."""

    def __init__(self):
        super().__init__()
        self.blocking = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Record blocking copies."""
        kwargs = kwargs or {}
        copy = function is torch.ops.aten._to_copy.default
        if copy and args[0].device.type == "cpu":
            device = kwargs.get("device")
            moved = device is not None and device.type != "cpu"
            if moved and not kwargs.get("non_blocking"):
                self.blocking.append(args[0].shape)
        return function(*args, **kwargs)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_step_does_not_wait(name, tmp_path):
    brain = make_brain(name, tmp_path, "meta")
    batch = make_batch()
    with Copies() as copies:
        for _ in range(3):
            brain.fit_batch(batch)
    assert copies.blocking == []
    with pytest.raises(NotImplementedError, match="meta"):
        brain.stats.check_losses()  # waits, after many steps


def test_waiting_is_noticed(tmp_path):
    """The other tests would fail if a step waited."""
    brain = make_brain("can", tmp_path, "meta")
    output = brain.compute_forward(make_batch(), sb.Stage.TRAIN)
    logits = output.logits["joint"]
    for wait in (
        lambda: logits.cpu(),
        lambda: logits.sum().item(),
        lambda: bool(logits.isfinite().all()),
        lambda: logits[logits > 0],
        lambda: logits.nonzero(),
    ):
        with pytest.raises((NotImplementedError, RuntimeError)):
            wait()
    with Copies() as copies:
        torch.zeros(3).to("meta")
    assert len(copies.blocking) == 1


def test_steps_equal_those_of_the_other_buckets(tmp_path, monkeypatch):
    """A step with the buckets of a GPU, computed on the CPU."""
    from speechbrain_can.lobes import ragged

    found = []
    for costs in (ragged.CPU, ragged.GPU):
        monkeypatch.setattr(ragged, "CPU", costs)
        torch.manual_seed(0)
        brain = make_brain("can", tmp_path, "cpu")
        batch = make_batch()
        for _ in range(2):
            loss = brain.fit_batch(batch)
        found.append([loss, *brain.modules.parameters()])
    for ours, theirs in zip(*found):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_late_checks_name_the_utterance():
    losses = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, torch.nan])]
    stats = StageStatistics("train, epoch 3", checked_steps=3)
    stats.watch(losses[0], ["a", "b"])
    assert stats.last_loss == 0
    stats.watch(losses[1], ["c", "d"])
    message = "train, epoch 3: the loss of d is nan .1 of the 6 utterances"
    with pytest.raises(TrainingError, match=message):
        stats.watch(losses[0], ["e", "f"])
    assert issubclass(TrainingError, InputError)
    stats = StageStatistics("train, epoch 3", checked_steps=3)
    stats.watch(losses[0], ["a", "b"])
    stats.check_losses()
    assert stats.last_loss == 1.5


def test_counts_stay_on_the_cpu():
    batch = make_batch().to("meta")
    assert batch.audio.frames.is_meta and batch.targets.is_meta
    assert not batch.audio.frame_counts.is_meta
    assert not batch.audio.word_counts.is_meta
