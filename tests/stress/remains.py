"""Damage the output of a run, or change its input, and run its command again.

It must end with the same results, or report the problem.

    python tests/stress/remains.py [--seed <seed>] [--kinds 3]
"""

import argparse
import os
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import soundfile
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers.corpora import UTTERANCES, corpus_seed  # noqa: E402
from helpers.recipes import attempt, on  # noqa: E402
from stress import counts  # noqa: E402
from stress.damage import BYTES  # noqa: E402

from speechbrain_can.__main__ import main as command_line  # noqa: E402
from speechbrain_can.controlled.generator import make_corpus  # noqa: E402

KINDS = {
    name: BYTES[name]
    for name in ("cut", "flipped bits", "zeros", "empty", "twice", "random")
}
# by folder, without figures and logs
FILES = (
    *("prepared/manifest.csv", "prepared/folds_*.csv", "prepared/corpus.json"),
    *(
        "prepared/checksums.json",
        "prepared/leaks_*.json",
        "prepared/skipped.csv",
    ),
    *("features/*/frames.f32", "features/*/index.npz", "hyperparams.yaml"),
    *("results.json", "fold_1/result.json", "fold_1/predictions.csv"),
    *("fold_1/valid_predictions.csv", "fold_1/attention.csv"),
    *("fold_1/provenance.json", "fold_1/hyperparams.yaml"),
    "fold_1/save/CKPT*/*",
)
RESULTS = ("results.json", "fold_1/result.json", "fold_1/predictions.csv")


def results(folder):
    """Return the files that must not differ."""
    return {
        name: (folder / name).read_bytes()
        for name in RESULTS
        if (folder / name).exists()
    }


def unfinish(folder):
    """Make a fold trained, but not yet tested."""
    for name in (*RESULTS, "fold_1/valid_predictions.csv"):
        (folder / name).unlink()
    shutil.rmtree(folder / "fold_1" / "model")


def judge(folder, arguments, expected):
    """Return the outcome of the command and its output."""
    failed, printed = attempt(folder, *arguments)
    if "Traceback (most recent call last)" in printed:
        return "traceback", printed
    if failed:
        # the name of the error, followed by its message
        told = re.search(r"^\w*Error: .{20}.*", printed, re.M | re.S)
        if not told:
            return "traceback", printed
        return ("refused" if advises(told[0]) else "without advice"), printed
    same = results(folder) == expected
    return ("survived" if same else "silent"), printed


def advises(text):
    """Return whether a message contains a remedy."""
    return bool(
        re.search(r"\b(Delete|delete|Pass|Restore|Correct|Repair|Copy)\b", text)
    )


def copy(origin, folder):
    """Copy a folder with its time stamps."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(origin, folder, symlinks=True)


def stress_remains(scratch, seed, most, every=1, report=print):
    """Damage every n-th file of a run in several ways.

    Returns outcomes and failures.
    """
    draw = random.Random(seed)
    corpus, run = scratch / "corpus", scratch / "run"
    arguments = [*on(corpus), "--fold=1"]
    expected = results(run)
    outcomes, failures = Counter(), []
    copy(run, scratch / "finished")
    for state in ("finished", "trained"):
        copy(scratch / "finished", scratch / "origin")
        if state == "trained":
            unfinish(scratch / "origin")
        # paths in the settings refer to the current folder
        names = sorted(
            path.relative_to(scratch / "origin")
            for pattern in FILES
            for path in (scratch / "origin").glob(pattern)
        )
        for name in names[::every]:
            for kind in draw.sample([*KINDS, "missing"], most):
                copy(scratch / "origin", run)
                path = run / name
                before = path.read_bytes()
                if kind == "missing":
                    path.unlink()
                else:
                    path.write_bytes(KINDS[kind](before, draw))
                    if path.read_bytes() == before:
                        continue
                outcome, printed = judge(run, arguments, expected)
                outcomes[outcome] += 1
                if outcome not in ("survived", "refused"):
                    failures.append((state, str(name), kind, outcome))
                    report(f"{failures[-1]}\n{printed[-1500:]}")
    copy(scratch / "finished", run)
    return outcomes, failures


def stress_model(scratch, seed, most, report=print):
    """Damage each file of a model folder in several ways and predict."""
    draw = random.Random(seed)
    model, origin = scratch / "model", scratch / "run" / "fold_1" / "model"
    wav, alignment = _wav(scratch / "corpus"), _alignment(scratch / "corpus")
    table = scratch / "corpus" / "one.csv"
    table.write_text(f"wav,alignment\n{wav},{alignment}\n")
    copy(origin, model)
    expected = predict(model, table)
    assert expected.exit_code == 0, expected.output
    outcomes, failures = Counter(), []
    for name in sorted(path.name for path in origin.iterdir()):
        for kind in draw.sample([*KINDS, "missing"], most):
            copy(origin, model)
            path = model / name
            before = path.read_bytes()
            if kind == "missing":
                path.unlink()
            else:
                path.write_bytes(KINDS[kind](before, draw))
                if path.read_bytes() == before:
                    continue
            found = predict(model, table)
            told = found.output.startswith("Error: ") and str(model) in (
                found.output
            )
            if found.exit_code:
                outcome = "refused" if told else "traceback"
            elif found.stdout == expected.stdout:
                outcome = "survived"
            else:
                # text that may be changed, with a warning
                warned = f"{name} was modified" in found.stderr
                outcome = "adjusted" if warned else "silent"
            outcomes[outcome] += 1
            if outcome in ("silent", "traceback"):
                failures.append((name, kind, outcome))
                report(f"{failures[-1]}\n{found.output[-1500:]}")
    table.unlink()
    return outcomes, failures


def predict(model, table):
    """Return the outcome of ``speechbrain-can predict``."""
    arguments = ["predict", str(model), str(table), "--format=csv"]
    return CliRunner().invoke(command_line, arguments)


def _wav(corpus):
    return sorted(corpus.glob("Session1/sentences/wav/*/*.wav"))[0]


def _alignment(corpus):
    return sorted(corpus.glob("Session1/sentences/ForcedAlignment/*/*"))[0]


def _text(corpus, kind):
    return sorted(corpus.glob(f"Session1/dialog/{kind}/*.txt"))[0]


def _louder(corpus, folder):
    samples, rate = soundfile.read(_wav(corpus))
    soundfile.write(_wav(corpus), samples / 2, rate)


def _longer(corpus, folder):
    samples, rate = soundfile.read(_wav(corpus))
    soundfile.write(_wav(corpus), [*samples, *samples], rate)


def _gone(corpus, folder):
    _wav(corpus).unlink()


def _edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def _other_word(corpus, folder):
    lines = _alignment(corpus).read_text().splitlines()
    fields = [line.split() for line in lines]
    spoken = [f[3] for f in fields[1:-1] if len(f) == 4 and f[3].isalpha()]
    _edit(_alignment(corpus), f" {spoken[0]}", " zebra")


def _other_label(corpus, folder):
    path = _text(corpus, "EmoEvaluation")
    label = path.read_text().split("\t")[2]
    _edit(path, f"\t{label}\t", "\tneu\t" if label != "neu" else "\tsad\t")


def _other_text(corpus, folder):
    _edit(_text(corpus, "transcriptions"), "]: ", "]: well ")


def _manifest(corpus, folder):
    path = folder / "prepared" / "manifest.csv"
    _edit(path, "Ses", "Set")


def _folds(corpus, folder):
    (path,) = (folder / "prepared").glob("folds_*.csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1]]) + "\n")


# Changes of the input, and whether results can stay the same
CHANGES = {
    "a recording, of the same length": (_louder, False),
    "a recording, of another length": (_longer, False),
    "a recording is gone": (_gone, False),
    "a word of an alignment": (_other_word, False),
    "a label": (_other_label, False),
    "a transcription": (_other_text, False),
    "the manifest": (_manifest, False),
    "the list of folds": (_folds, False),
    "the time of a recording alone": (
        lambda corpus, folder: os.utime(_wav(corpus)),
        True,
    ),
}


def stress_stale(scratch, report=print):
    """Change the input of a finished fold and train another one."""
    corpus, run = scratch / "corpus", scratch / "run"
    copy(corpus, scratch / "whole corpus")
    copy(run, scratch / "origin")
    outcomes, failures = Counter(), []
    for name, (change, harmless) in CHANGES.items():
        copy(scratch / "whole corpus", corpus)
        copy(scratch / "origin", run)
        change(corpus, run)
        failed, printed = attempt(run, *on(corpus), "--fold=2")
        outcome = "refused" if failed else "survived"
        if "Traceback (most" in printed:
            outcome = "traceback"
        elif failed == harmless:
            outcome = "silent" if not failed else "refused for nothing"
        elif failed and "elete" not in printed.splitlines()[-1]:
            outcome = "without advice"
        outcomes[outcome] += 1
        if outcome not in ("refused", "survived"):
            failures.append((name, outcome))
            report(f"{failures[-1]}\n{printed[-1500:]}")
    copy(scratch / "whole corpus", corpus)
    copy(scratch / "origin", run)
    return outcomes, failures


def prepare(scratch):
    """Write a corpus and a run with a finished fold."""
    make_corpus(scratch / "corpus", utterances=UTTERANCES, seed=corpus_seed())
    failed, printed = attempt(
        scratch / "run", *on(scratch / "corpus"), "--fold=1"
    )
    assert not failed, printed


def main():
    """Parse the command line and damage runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--kinds",
        type=int,
        default=3,
        help=f"kinds of damage per file, at most {len(KINDS) + 1} (default 3)",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        prepare(scratch)
        stale, failures = stress_stale(scratch)
        damaged, more = stress_remains(scratch, options.seed, options.kinds)
        models, most = stress_model(scratch, options.seed, len(KINDS) + 1)
    print(counts.line("change an input of a run", stale))
    print(counts.line("damage the output of a run", damaged))
    print(counts.line("damage a model folder", models))
    sys.exit(1 if failures or more or most else 0)


if __name__ == "__main__":
    main()
