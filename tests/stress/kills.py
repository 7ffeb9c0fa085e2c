"""Kill commands and run them again: each must end as if it had not been killed.

    python tests/stress/kills.py [<kills>] [--seed <seed>]

Half of the kills occur at a random time, the other half before a random file
operation, which does not depend on the speed of the processor. Results and
predictions must be byte-identical to those of an undisturbed command.
"""

import argparse
import contextlib
import os
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Tuple

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers.corpora import UTTERANCES, corpus_seed  # noqa: E402
from helpers.recipes import RECIPES, arguments_of, on  # noqa: E402
from stress import counts  # noqa: E402

# Imported once for all children. Nothing is computed here, because a process
# forked from one with threads may hang.
from speechbrain_can.__main__ import main as command_line  # noqa: E402
from speechbrain_can.controlled.generator import make_corpus  # noqa: E402
from speechbrain_can.inference import recognizer  # noqa: E402, F401
from speechbrain_can.training import recipe  # noqa: E402, F401

LIMIT = 240  # timeout of a command in seconds
KILLED = -signal.SIGKILL
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"}


@dataclass(frozen=True)
class Command:
    """A command to kill.

    Arguments
    ---------
    name : str
        Name in the report.
    run : callable
        Runs the command in an output folder.
    results : tuple of str
        Patterns of the files that must not differ.
    """

    name: str
    run: Callable
    results: Tuple[str, ...]


def train(corpus, *arguments):
    """Return a run of preparation, features, training and recording of folds."""

    def run(folder):
        recipe_folder = RECIPES["IEMOCAP"]
        os.chdir(recipe_folder)
        sys.path.insert(0, str(recipe_folder))
        every = [*on(corpus), "--draw_attention=True", *arguments]
        sys.argv = ["train.py", *arguments_of(folder, *every)]
        runpy.run_path("train.py", run_name="__main__")

    return run


def call(*arguments):
    """Return a command of ``speechbrain-can``."""

    def run(folder):
        os.chdir(RECIPES["IEMOCAP"])
        command_line([a.replace("{folder}", str(folder)) for a in arguments])

    return run


def compare_arguments(corpus):
    """Return the arguments of ``compare`` for two small systems."""
    own = ("--seed=", "--output_folder=", "--features_folder=")
    return [
        *("hparams/can.yaml", "hparams/text_model.yaml"),
        *("--seeds=1", "--output-folder={folder}", "--fold=1"),
        *("--features_folder={folder}/features", *on(corpus)),
        *(a for a in arguments_of("")[1:] if not a.startswith(own)),
    ]


def commands(corpus, model, table, short):
    """Return the commands and their shares of the kills."""
    return {
        Command(
            "train.py",
            train(corpus, *(["--fold=1"] if short else [])),
            ("results.json", "fold_*/result.json", "fold_*/*predictions.csv"),
        ): 0.5,
        Command(
            "train.py, checkpoints within epochs",
            train(
                corpus,
                *("--fold=1", "--batch_size=4"),
                *("--ckpt_interval_steps=1", "--number_of_epochs=2"),
            ),
            ("results.json", "fold_*/result.json", "fold_*/*predictions.csv"),
        ): 0.2,
        Command(
            "predict",
            call(
                *("predict", str(model), str(table), "--format=csv"),
                *("--output={folder}/out.csv", "--html={folder}/out.html"),
            ),
            ("out.csv", "out.html"),
        ): 0.2,
        Command(
            "compare",
            call("compare", *compare_arguments(corpus)),
            ("*/1/results.json", "*/1/fold_1/predictions.csv", "*.csv"),
        ): 0 if short else 0.1,
    }


def start(function, folder, before=None):
    """Fork a child that dies before its ``before``-th file operation."""
    folder.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    status = 1
    with open(folder.with_suffix(".log"), "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    with contextlib.suppress(BaseException):
        count_changes(folder.with_suffix(".changes"), before)
        try:
            function(folder)
            status = 0
        except SystemExit as error:
            status = int(bool(error.code))
            print(error.code, file=sys.stderr)
        except BaseException:
            import traceback

            traceback.print_exc()
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def count_changes(path, before):
    """Count file operations; kill this process and its children before one of them."""
    changes = 0
    counter = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)

    def hook(event, arguments):
        nonlocal changes
        writes = event == "open" and isinstance(arguments[2], int)
        if event in CHANGES or (
            writes and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        ):
            changes += 1
            os.pwrite(counter, b"%9d" % changes, 0)
            if changes == before:
                os.killpg(0, signal.SIGKILL)

    sys.addaudithook(hook)


def wait(pid, seconds):
    """Return the exit status of a child, or None if it does not end in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


def kill(pid):
    """Kill a child and all of its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def finish(command, folder):
    """Run a command until it ends; return its exit status, None for a hang."""
    pid = start(command.run, folder)
    status = wait(pid, LIMIT)
    if status is None:
        kill(pid)
    return status


def contents(command, folder):
    """Return the files that must not differ, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for pattern in command.results
        for path in sorted(folder.glob(pattern))
    }


def stage(folder):
    """Return the stage at which a run was killed."""
    if not (folder / "prepared" / "corpus.json").exists():
        return "preparation"
    if not list(folder.glob("features/*/index.npz")):
        return "storing features"
    for fold in sorted(folder.glob("fold_*")):
        if not (fold / "result.json").exists():
            recorded = (fold / "valid_predictions.csv").exists()
            return "recording" if recorded else "training"
    return "between folds"


def stress(command, kills, seed, scratch, report=print):
    """Kill a command repeatedly; return outcomes, stages and failures."""
    draw = random.Random(seed)
    alone = scratch / "alone"
    begun = time.monotonic()
    if finish(command, alone) != 0:
        log = alone.with_suffix(".log").read_text(errors="replace")
        raise RuntimeError(f"{command.name} does not run:\n{log}")
    seconds = time.monotonic() - begun
    changes = int(alone.with_suffix(".changes").read_bytes())
    expected = contents(command, alone)
    assert expected, f"{command.name} wrote none of {command.results}"
    outcomes, stages, failures = Counter(), Counter(), []
    killed = 0
    while killed < kills:
        folder = scratch / f"killed_{killed}"
        own = 0  # kills of this folder
        for turn in range(min(kills - killed, draw.randint(1, 3))):
            timed = (killed + turn) % 2
            if timed:
                after = draw.uniform(0, seconds)
                moment = f"at {after:.2f} s"
                pid = start(command.run, folder)
                ended = wait(pid, after)
            else:
                # the first operations, most of which belong to training
                change = round(changes ** draw.random())
                moment = f"before change {change}"
                pid = start(command.run, folder, before=change)
                ended = wait(pid, LIMIT)
            kill(pid)
            # a resumed command may end earlier
            if ended == 0:
                break
            if ended not in ((None,) if timed else (KILLED,)):
                raise RuntimeError(
                    f"{command.name}, {moment}: it ended by itself, or not at all "
                    f"({ended})\n{folder.with_suffix('.log').read_text()[-3000:]}"
                )
            own += 1
            name = command.name
            stages[stage(folder) if name.startswith("train.py") else name] += 1
        killed += own
        status = finish(command, folder)
        found = contents(command, folder)
        if (status, found) == (0, expected):
            outcomes["survived"] += own
            shutil.rmtree(folder)
            continue
        other = sorted(
            name
            for name in {*found, *expected}
            if found.get(name) != expected.get(name)
        )
        outcomes["lost"] += max(1, own)
        log = folder.with_suffix(".log").read_text(errors="replace")
        failures.append((command.name, moment, status, other, log[-3000:]))
        report(
            f"{command.name}, killed {moment}: {status}, {other}\n{log[-3000:]}"
        )
    return outcomes, stages, failures


def prepare(scratch, short):
    """Write a corpus, a model and a table of recordings."""
    corpus = scratch / "corpus"

    def make(folder):
        make_corpus(corpus, utterances=UTTERANCES, seed=corpus_seed())
        train(corpus, "--fold=1")(scratch / "model")

    if finish(Command("", make, ()), scratch / "made") != 0:
        raise RuntimeError((scratch / "made.log").read_text(errors="replace"))
    table = corpus / "recordings.csv"
    wavs = sorted(corpus.glob("Session1/sentences/wav/*/*.wav"))
    rows = [
        f"{wav},{wav.parents[2]}/ForcedAlignment/{wav.parent.name}/{wav.stem}.wdseg"
        for wav in wavs
    ]
    table.write_text("wav,alignment\n" + "\n".join(rows) + "\n")
    return commands(
        corpus, scratch / "model" / "fold_1" / "model", table, short
    )


def stress_all(kills, seed, report=print, short=False):
    """Kill all commands, each with its share of the kills; ``short`` uses one fold."""
    outcomes, stages, failures = Counter(), Counter(), []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        for command, part in prepare(scratch, short).items():
            if not part:
                continue
            counted, reached, failed = stress(
                command,
                max(2, round(part * kills)),
                seed,
                scratch / command.name,
                report,
            )
            outcomes += counted
            stages += reached
            failures += failed
    return outcomes, stages, failures


def main():
    """Parse the command line and kill commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int, nargs="?", default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="one fold")
    options = parser.parse_args()
    outcomes, stages, failures = stress_all(
        options.kills, options.seed, short=options.short
    )
    print(f"killed in: {dict(stages.most_common())}")
    print(counts.line("kill a command and run it again", outcomes))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
