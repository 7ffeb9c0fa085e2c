import pytest
import torch

from speechbrain.utils.checkpoints import Checkpointer
from speechbrain_can.training.checkpoints import (
    AtomicCheckpointer,
    EarlyStoppingCounter,
    recover_tested,
    save_epoch,
    training_effort,
)


class Torn(torch.nn.Linear):
    """Dies while it is saved."""

    def state_dict(self, *args, **kwargs):
        raise KeyboardInterrupt


def checkpointer(folder, model, cls=AtomicCheckpointer):
    return cls(folder, {"a": torch.nn.Linear(1, 1), "model": model})


def test_a_torn_checkpoint_does_not_count(tmp_path):
    model = torch.nn.Linear(2, 2)
    saver = checkpointer(tmp_path, model)
    whole = saver.save_checkpoint(meta={"epoch": 1})
    with pytest.raises(KeyboardInterrupt):
        checkpointer(tmp_path, Torn(2, 2)).save_checkpoint(meta={"epoch": 2})
    assert len(list(tmp_path.iterdir())) == 2
    found = saver.find_checkpoint()
    assert found.path == whole.path and found.meta["epoch"] == 1
    saver.recover_if_possible()


def test_speechbrains_own_would_count_it(tmp_path):
    """Once this fails, AtomicCheckpointer is not needed any more."""
    with pytest.raises(KeyboardInterrupt):
        checkpointer(tmp_path, Torn(2, 2), Checkpointer).save_checkpoint()
    assert checkpointer(tmp_path, torch.nn.Linear(2, 2)).find_checkpoint()


def test_the_best_and_the_last_are_kept_and_the_best_is_tested(tmp_path):
    """The first of equally good ones; one within an epoch does not count."""
    model = torch.nn.Linear(2, 2)
    saver = checkpointer(tmp_path, model)
    with pytest.raises(FileNotFoundError, match="to test; train first"):
        recover_tested(saver)
    saver.save_checkpoint(end_of_epoch=False)
    with pytest.raises(FileNotFoundError, match="to test; train first"):
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


def test_patience_goes_on_where_it_stopped(tmp_path):
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


def test_a_finished_training_does_not_go_on(tmp_path):
    finished = counter()
    for epoch in finished:
        finished.update_metric(0.5)
    Checkpointer(tmp_path, {"counter": finished}).save_checkpoint()
    resumed = counter()
    Checkpointer(tmp_path, {"counter": resumed}).recover_if_possible()
    assert list(resumed) == []
