"""Training with two processes equals training with one."""

import csv
import os
import signal
import subprocess
import time

import pytest
import torch
from helpers.recipes import DDP, command, copy_recipe, on, read_predictions, run
from helpers.training import logged

from speechbrain_can.corpus.fold_lists import read_folds, write_folds
from speechbrain_can.training.distributed import SharedBatches

pytestmark = pytest.mark.training

GLOO = ("--device=cpu", "--distributed_backend=gloo")


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 16])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_processes_share_every_batch(n, processes):
    shares = [
        SharedBatches(range(n), 2, rank, processes) for rank in range(processes)
    ]
    together = 2 * processes
    steps = list(zip(*shares))
    assert len(steps) == len(shares[0]) == -(-n // together)
    for step, batches in enumerate(steps):
        expected = list(range(n))[step * together : (step + 1) * together]
        counts = [share.counts(step) for share in shares]
        assert {total for _, total in counts} == {len(expected)}
        counted = [
            i
            for batch, (own, _) in zip(batches, counts)
            for i in (batch if own else [])
        ]
        assert sorted(counted) == expected
        # an idle process gets an utterance with weight 0
        assert all(
            len(batch) == max(own, 1)
            for batch, (own, _) in zip(batches, counts)
        )


def test_idle_process_knows_the_losses():
    """Otherwise it would not take part in the reduction, and all would wait."""
    shares = [SharedBatches(range(2), 2, rank, 3) for rank in range(3)]
    assert [share.counts(0) for share in shares] == [(1, 2), (1, 2), (0, 2)]


def draw_in_a_process(rank, folder):
    """Write the batches of one of two processes that draw differently."""
    torch.distributed.init_process_group(
        "gloo", f"file://{folder}/store", rank=rank, world_size=2
    )
    torch.manual_seed(rank)
    sampler = torch.utils.data.RandomSampler(range(20))
    batches = list(SharedBatches(sampler, 3, rank, 2))
    torch.save(batches, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_processes_share_the_vocabulary(tmp_path):
    torch.multiprocessing.spawn(draw_in_a_process, (tmp_path,), nprocs=2)
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    assert sorted(i for share in shares for own in share for i in own) == list(
        range(20)
    )


def test_samplers_receive_the_epoch():
    class Told(torch.utils.data.Sampler):
        epoch = None

        def __len__(self):
            return 4

        def __iter__(self):
            return iter(range(4))

        def set_epoch(self, epoch):
            self.epoch = epoch

    sampler = Told()
    SharedBatches(sampler, 2, 0, 2).set_epoch(3)
    assert sampler.epoch == 3


@pytest.fixture(scope="module")
def odd_folds(controlled_corpus, tmp_path_factory):
    """Write a fold list with 27 training utterances: with batches of 26, one is left."""
    folder = tmp_path_factory.mktemp("folds")
    run(folder / "prepared", *on(controlled_corpus), "--fold=none")
    folds = read_folds(
        folder / "prepared/prepared/folds_leave_one_session_out.csv"
    )
    train = sorted(
        name for name, f in folds.items() if f.test != 0 and f.valid != 0
    )
    assert len(train) == 28
    write_folds(
        folder / "odd.csv", {n: f for n, f in folds.items() if n != train[0]}
    )
    return folder / "odd.csv"


def test_two_processes_train_as_one(controlled_corpus, odd_folds, tmp_path):
    recipe = copy_recipe(tmp_path / "recipe")
    # Adam would hide a wrong scale of the gradients and amplify rounding
    (recipe / "hparams" / "sgd.yaml").write_text(
        "base: can.yaml\nopt_class: !name:torch.optim.SGD\n    lr: !ref <lr>\n"
        "max_grad_norm: 1000.0\nvocab_size: 60\n"
        "embedding: !new:speechbrain_can.lobes.subwords.SubwordEmbedding\n"
        "    model_folder: !ref <fold_folder>/tokenizer\n"
        "    vocab_size: !ref <vocab_size>\n"
        "    embedding_size: !ref <embedding_size>\n"
    )
    arguments = (
        f"--data_folder={controlled_corpus}",
        f"--protocol=file:{odd_folds}",
        *("--fold=0", "--dropout=0.0", "--number_of_epochs=3", "--lr=0.3"),
        f"--features_folder={tmp_path / 'features'}",
        "--use_tensorboard=True",
    )
    how = {"model": "sgd", "recipe": recipe}
    run(tmp_path / "one", *arguments, "--batch_size=26", **how)
    printed = run(
        *(tmp_path / "two", *arguments, *GLOO, "--batch_size=13"),
        **{"python": DDP, **how},
    )
    assert printed.count("sgd on controlled corpus") == 1
    for part in ("train", "valid"):
        for name in ("loss", "joint", "text", "audio"):
            one, two = (
                logged(tmp_path / folder, name, part)
                for folder in ("one", "two")
            )
            assert len(one) == 3 and two == pytest.approx(one, rel=1e-4)
    ours, theirs = (
        read_predictions(tmp_path / name, 0) for name in ("one", "two")
    )
    assert [row["ID"] for row in ours] == [row["ID"] for row in theirs]
    assert len({row["ID"] for row in theirs}) == len(theirs) == 8
    for left, right in zip(ours, theirs):
        for key in "ang exc hap sad fru sur neu".split():
            assert float(left[key]) == pytest.approx(
                float(right[key]), abs=2e-5
            )
    path = tmp_path / "two" / "fold_0" / "valid_predictions.csv"
    with open(path, newline="") as stream:
        names = [row["ID"] for row in csv.DictReader(stream)]
    assert len(set(names)) == len(names) == 4


def test_killed_process_ends_all_processes(controlled_corpus, tmp_path):
    process = subprocess.Popen(
        **command(
            tmp_path,
            *on(controlled_corpus),
            *("--fold=0", "--number_of_epochs=1000", "--patience=1000"),
            *GLOO,
            python=DDP,
        ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        log = tmp_path / "fold_0" / "train_log.txt"
        deadline = time.time() + 120
        while not log.exists():
            assert process.poll() is None and time.time() < deadline
            time.sleep(0.2)
        workers = subprocess.run(
            ["pgrep", "-P", str(process.pid)],
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.split()
        assert len(workers) == 2
        os.kill(int(workers[1]), signal.SIGKILL)
        assert process.wait(timeout=90) != 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert not (tmp_path / "fold_0" / "result.json").exists()
    # the saved checkpoint can be resumed
    assert list((tmp_path / "fold_0" / "save").glob("CKPT*"))
