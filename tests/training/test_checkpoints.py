import pytest
import torch

from speechbrain.utils.checkpoints import Checkpointer
from speechbrain_can.training.checkpoints import (
    AtomicCheckpointer,
    CheckpointError,
    EarlyStoppingCounter,
    recover_tested,
    save_epoch,
    training_effort,
)

pytestmark = pytest.mark.training


class Torn(torch.nn.Linear):
    """Object that fails while it is saved."""

    def state_dict(self, *args, **kwargs):
        raise KeyboardInterrupt


def checkpointer(folder, model, cls=AtomicCheckpointer):
    return cls(folder, {"a": torch.nn.Linear(1, 1), "model": model})


def test_incomplete_checkpoints_are_ignored(tmp_path):
    model = torch.nn.Linear(2, 2)
    saver = checkpointer(tmp_path, model)
    whole = saver.save_checkpoint(meta={"epoch": 1})
    with pytest.raises(KeyboardInterrupt):
        checkpointer(tmp_path, Torn(2, 2)).save_checkpoint(meta={"epoch": 2})
    assert len(list(tmp_path.iterdir())) == 2
    found = saver.find_checkpoint()
    assert found.path == whole.path and found.meta["epoch"] == 1
    saver.recover_if_possible()


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-20]),
    "empty": lambda path: path.write_bytes(b""),
    "a bit": lambda path: path.write_bytes(
        path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])
    ),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("name", ["model.ckpt", "CKPT.yaml"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_training_resumes_from_newest_complete_checkpoint(
    tmp_path, name, damage
):
    model = torch.nn.Linear(2, 2)
    saver = checkpointer(tmp_path, model)
    for epoch, error in enumerate((0.2, 0.5), start=1):
        torch.nn.init.constant_(model.bias, epoch)
        save_epoch(saver, epoch, error, seconds=1.0, scores={})
    newest = saver.find_checkpoint()
    assert newest.meta["epoch"] == 2
    damage(newest.path / name)
    again = checkpointer(tmp_path, torch.nn.Linear(2, 2))
    assert again.recover_if_possible().meta["epoch"] == 1
    assert again.recoverables["model"].bias.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", ["model.ckpt", "CKPT.yaml"])
def test_damaged_best_checkpoint_is_not_replaced(tmp_path, name):
    saver = checkpointer(tmp_path / "fold_0" / "save", torch.nn.Linear(2, 2))
    for epoch, error in enumerate((0.5, 0.2, 0.4), start=1):
        save_epoch(saver, epoch, error, seconds=1.0, scores={})
    (recover_tested(saver).path / name).unlink()
    with pytest.raises(
        CheckpointError, match="the best checkpoint, epoch 2, .*fold_0 to"
    ):
        recover_tested(saver)


def test_speechbrain_counts_incomplete_checkpoints(tmp_path):
    """If this fails, AtomicCheckpointer is no longer needed."""
    with pytest.raises(KeyboardInterrupt):
        checkpointer(tmp_path, Torn(2, 2), Checkpointer).save_checkpoint()
    model = torch.nn.Linear(2, 2)
    assert checkpointer(tmp_path, model, Checkpointer).find_checkpoint()


def test_best_and_last_checkpoints_are_kept(tmp_path):
    """The first of equal ones is the best; checkpoints within an epoch do not count."""
    model = torch.nn.Linear(2, 2)
    saver = checkpointer(tmp_path, model)
    with pytest.raises(FileNotFoundError, match="to test. Train first"):
        recover_tested(saver)
    saver.save_checkpoint(end_of_epoch=False)
    with pytest.raises(FileNotFoundError, match="to test. Train first"):
        recover_tested(saver)
    for epoch, error in enumerate((0.5, 0.2, 0.4, 0.2, 0.3), start=1):
        torch.nn.init.constant_(model.bias, epoch)
        save_epoch(saver, epoch, error, seconds=10.0 * epoch, scores={})
    saver.save_checkpoint(end_of_epoch=False)
    kept = [c.meta.get("epoch") for c in saver.list_checkpoints()]
    assert sorted(epoch for epoch in kept if epoch) == [2, 5]
    assert training_effort(saver) == (5, 50.0)
    assert recover_tested(saver).meta["epoch"] == 2
    assert model.bias.tolist() == [2.0, 2.0]


def counter():
    return EarlyStoppingCounter(
        limit=100, limit_to_stop=3, limit_warmup=0, direction="min"
    )


def test_patience_is_restored(tmp_path):
    errors = [0.5, 0.4, 0.45, 0.45, 0.45, 0.3]
    unbroken, epochs = counter(), []
    for epoch in unbroken:
        epochs.append(epoch)
        unbroken.update_metric(errors[epoch - 1])
    assert epochs == [1, 2, 3, 4, 5]

    broken = counter()
    for epoch in broken:
        broken.update_metric(errors[epoch - 1])
        if epoch == 3:
            Checkpointer(tmp_path, {"counter": broken}).save_checkpoint()
            break
    resumed, epochs = counter(), []
    Checkpointer(tmp_path, {"counter": resumed}).recover_if_possible()
    for epoch in resumed:
        epochs.append(epoch)
        resumed.update_metric(errors[epoch - 1])
    assert epochs == [4, 5]


def test_finished_training_does_not_continue(tmp_path):
    finished = counter()
    for epoch in finished:
        finished.update_metric(0.5)
    Checkpointer(tmp_path, {"counter": finished}).save_checkpoint()
    resumed = counter()
    Checkpointer(tmp_path, {"counter": resumed}).recover_if_possible()
    assert list(resumed) == []
