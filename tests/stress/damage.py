"""Damage valid corpora and check how each preparation ends.

It must end in a helpful error, or list all skipped and adjusted utterances.

    python tests/stress/damage.py <corpora> [--seed <seed>]
"""

import argparse
import contextlib
import csv
import gzip
import io
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers.corpora import Release, bad_audio, wdseg  # noqa: E402
from helpers.recipes import RECIPES, load_module  # noqa: E402
from stress import counts  # noqa: E402
from stress.driver import try_kinds  # noqa: E402

from speechbrain_can.corpus.manifest import read_manifest  # noqa: E402
from speechbrain_can.io.files import InputError, decode

SECONDS = 20  # timeout of a preparation
FAILURES = ("silent", "traceback", "hang")


def make_release(folder):
    """Write two speakers in each of five sessions, three turns each."""
    release = Release(folder)
    labels = iter("ang exc hap sad fru sur neu".split() * 5)
    for session in range(1, 6):
        for talker in "FM":
            for i in range(3):
                release.add(
                    f"Ses0{session}F_impro01_{talker}{i:03d}",
                    label=next(labels),
                    words=("so", "what(2)", "now"),
                )
    return release


def _bytes(kind, change):
    """Return damage to the bytes of an utterance's file."""

    def damage(release, name, draw):
        path = kind(release, name)
        if path.is_file():  # not a pipe that other damage created
            path.write_bytes(change(path.read_bytes(), draw))

    return damage


def _flip(content, draw):
    content = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        if content:
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(content)


def _cut(content, draw):
    return content[: draw.randrange(len(content))] if content else b""


def _zeros(content, draw):
    first = draw.randrange(max(1, len(content)))
    return content[:first] + bytes(64) + content[first + 64 :]


def _twice(content, draw):
    return content + content


def _lines(content, draw):
    lines = content.splitlines(keepends=True)
    draw.shuffle(lines)
    return b"".join(lines)


BYTES = {
    "cut": _cut,
    "flipped bits": _flip,
    "zeros": _zeros,
    "empty": lambda content, draw: b"",
    "twice": _twice,
    "lines shuffled": _lines,
    "UTF-16": lambda content, draw: content.decode("latin-1").encode("utf-16"),
    "a mark of UTF-8": lambda content, draw: b"\xef\xbb\xbf" + content,
    "CRLF": lambda content, draw: content.replace(b"\n", b"\r\n"),
    "compressed": lambda content, draw: gzip.compress(content, mtime=0),
    "random": lambda content, draw: draw.randbytes(len(content)),
}


def _alignment(release, name):
    return release.wdseg(name)


def _wav(release, name):
    return release.wav(name)


def _text_of(kind):
    def path(release, name):
        dialog = name.rpartition("_")[0]
        session = f"Session{int(name[3:5])}"
        return release.folder / session / "dialog" / kind / f"{dialog}.txt"

    return path


FILES = {
    "alignment": _alignment,
    "wav": _wav,
    "labels": _text_of("EmoEvaluation"),
    "transcription": _text_of("transcriptions"),
}
NOT_TEXT = ("UTF-16", "a mark of UTF-8", "CRLF", "lines shuffled")


def _words(*rows):
    """Return an alignment with these rows."""

    def damage(release, name, draw):
        release.wdseg(name).write_text(wdseg(*rows), encoding="utf-8")

    return damage


def _audio(kind):
    def damage(release, name, draw):
        release.wav(name).unlink()
        bad_audio(release.wav(name), kind)

    return damage


def _no_file(kind):
    def damage(release, name, draw):
        kind(release, name).unlink()

    return damage


def _pipe(kind):
    def damage(release, name, draw):
        kind(release, name).unlink()
        os.mkfifo(kind(release, name))

    return damage


def _folder(kind):
    def damage(release, name, draw):
        kind(release, name).unlink()
        kind(release, name).mkdir()

    return damage


def _loop(kind):
    def damage(release, name, draw):
        kind(release, name).unlink()
        kind(release, name).symlink_to(kind(release, name))

    return damage


def _rate(factor):
    def damage(release, name, draw):
        samples, rate = soundfile.read(release.wav(name))
        soundfile.write(release.wav(name), samples, round(rate * factor))

    return damage


def _labeled(label):
    def damage(release, name, draw):
        path = FILES["labels"](release, name)
        line = f"[6.2901 - 8.2357]\t{name}\t{label}\t[2.5, 2.5, 2.5]\n"
        if path.is_file():
            path.write_bytes(path.read_bytes() + line.encode())

    return damage


def _replaced(label):
    def damage(release, name, draw):
        path = FILES["labels"](release, name)
        if not path.is_file():
            return
        lines = decode(path.read_bytes()).splitlines(keepends=True)
        fields = f"\t{name}\t"
        path.write_text(
            "".join(
                f"[6.2901 - 8.2357]\t{name}\t{label}\t[2.5, 2.5, 2.5]\n"
                if fields in line
                else line
                for line in lines
            )
        )

    return damage


def _copied(kind):
    """Return damage that copies a file of a dialog, as a browser names copies."""

    def damage(release, name, draw):
        path = FILES[kind](release, name)
        if path.is_file():
            copy = path.with_name(f"{path.stem} (1){path.suffix}")
            copy.write_bytes(path.read_bytes())

    return damage


def _spaced(release, name, draw):
    path = FILES["labels"](release, name)
    if path.is_file():
        path.write_bytes(path.read_bytes().replace(b"\t", b" "))


def _metadata(kind):
    """Return damage that adds a metadata file of macOS."""

    def damage(release, name, draw):
        path = FILES[kind](release, name)
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7Mac OS X")

    return damage


DAMAGES = {
    **{
        f"{kind}: copied": _copied(kind) for kind in ("labels", "transcription")
    },
    **{f"{kind}: metadata of macOS": _metadata(kind) for kind in FILES},
    "labels: spaces": _spaced,
    "words: quotation marks": _words(
        (0, 33, '"so'), (34, 66, "what(2)"), (67, 99, 'now"')
    ),
    **{
        f"{kind}: {how}": _bytes(path, change)
        for kind, path in FILES.items()
        for how, change in BYTES.items()
        if kind != "wav" or how not in NOT_TEXT
    },
    **{f"{kind}: missing": _no_file(path) for kind, path in FILES.items()},
    **{f"{kind}: a pipe": _pipe(path) for kind, path in FILES.items()},
    **{f"{kind}: a folder": _folder(path) for kind, path in FILES.items()},
    **{
        f"{kind}: a link to itself": _loop(path) for kind, path in FILES.items()
    },
    "words: reversed": _words((50, 40, "so"), (51, 99, "what")),
    "words: out of order": _words((50, 60, "so"), (0, 49, "what")),
    "words: beyond the audio": _words((0, 50, "so"), (51, 400, "what")),
    "words: far beyond the audio": _words((0, 10**9, "so")),
    "words: 400 digits": _words((0, 10**400, "so")),
    "words: negative": _words((-20, 50, "so"), (51, 99, "what")),
    "words: none": _words((0, 99, "<sil>")),
    "words: noise alone": _words((0, 50, "++LAUGHTER++"), (51, 99, "</s>")),
    "words: without letters": _words((0, 50, "\u200b"), (51, 99, "so")),
    "words: NUL": _words((0, 50, "so\0"), (51, 99, "what")),
    "words: a long one": _words((0, 50, "a" * 150_000), (51, 99, "so")),
    "words: thousands": _words(*((i, i, f"w{i}") for i in range(0, 99))),
    "words: overlapping": _words((0, 80, "so"), (40, 99, "what")),
    "words: end early": _words((0, 5, "so"), (6, 12, "what")),
    **{
        f"audio: {kind}": _audio(kind)
        for kind in (
            *("unreadable", "no samples", "silent", "not numbers"),
            *("constant", "antiphase", "too loud"),
        )
    },
    "audio: rate halved": _rate(0.5),
    "audio: rate doubled": _rate(2),
    "audio: rate of 1 Hz": _rate(1 / 16000),
    "label: twice": _labeled("ang"),
    "label: unknown": _replaced("joy"),
    "label: of no class": _replaced("xxx"),
    "label: empty": _replaced(""),
}
# Damage that cannot be detected: another valid file
PLAUSIBLE = (
    "flipped bits",
    "zeros",
    "lines shuffled",
    "random",
    "cut",
    "twice",
)


def _prepared(iemocap_prepare, release, folder):
    with contextlib.redirect_stdout(io.StringIO()):
        iemocap_prepare.prepare_iemocap(
            release.folder, folder, protocol="random10"
        )
    listed = {}
    for name in ("skipped", "adjusted"):
        with open(folder / f"{name}.csv", newline="") as stream:
            listed[name] = " ".join(" ".join(row) for row in csv.reader(stream))
    return read_manifest(folder / "manifest.csv"), listed


def _is_labeled(release, name):
    path = FILES["labels"](release, name)
    return path.is_file() and name.encode() in path.read_bytes()


class Hang(BaseException):
    """Raised for a preparation that does not end."""


def _alarm(*_):
    raise Hang


def judge(iemocap_prepare, release, folder, whole, names):
    """Return the outcome of a preparation, with details of failures."""
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(SECONDS)
    try:
        found, listed = _prepared(iemocap_prepare, release, folder)
    except InputError as error:
        told = len(str(error)) > 20
        return ("refused" if told else "traceback"), str(error)
    except Hang:
        return "hang", ""
    except Exception:
        return "traceback", traceback.format_exc()
    finally:
        signal.alarm(0)
    for name, row in whole.items():
        # an utterance without recording and label is not in the corpus
        known = release.wav(name).is_file() or _is_labeled(release, name)
        if name not in found and name not in listed["skipped"] and known:
            return "silent", f"{name} is gone"
    if set(found) != set(whole):
        return "listed", ""
    changed = [name for name in whole if found[name] != whole[name]]
    if not changed:
        return "harmless", ""
    if all(name in listed["adjusted"] for name in changed):
        return "adjusted", ""
    return "changed", f"{changed} of {names}"


def stress(corpora, seed, report=print):
    """Damage a number of corpora; return outcomes and details of failures.

    Every kind of damage is applied once, and then several at a time, drawn by hypothesis,
    which reduces failures to the fewest kinds.
    """
    iemocap_prepare = load_module(RECIPES["IEMOCAP"] / "iemocap_prepare.py")
    np.random.seed(seed)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        origin = make_release(scratch / "whole")
        whole, _ = _prepared(iemocap_prepare, origin, scratch / "prepared")

        def attempt(chosen, number):
            draw = random.Random(number)
            folder = scratch / "damaged"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(scratch / "whole", folder)
            release = Release(folder)
            names = draw.sample(sorted(whole), len(chosen))
            for kind, name in zip(chosen, names):
                with contextlib.suppress(FileNotFoundError, OSError):
                    DAMAGES[kind](release, name, draw)
            shutil.rmtree(scratch / "out", ignore_errors=True)
            outcome, detail = judge(
                iemocap_prepare, release, scratch / "out", whole, names
            )
            if outcome == "changed":
                known = any(
                    word in kind for kind in chosen for word in PLAUSIBLE
                )
                known = known or _is_content(chosen)
                outcome = "harmless" if known else "silent"
            return outcome, detail

        return try_kinds(DAMAGES, corpora, seed, attempt, FAILURES, report)


# Damage that results in another valid file
CONTENT = (
    *("words: overlapping", "words: end early", "words: thousands"),
    *("words: out of order", "words: noise alone", "words: quotation marks"),
    *("transcription: ", "label: "),
)


def _is_content(chosen):
    return any(kind.startswith(CONTENT) for kind in chosen)


def main():
    """Parse the command line and damage corpora."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=int, nargs="?", default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    outcomes, failures = stress(options.corpora, options.seed)
    print(f"{len(DAMAGES)} kinds of damage: {dict(outcomes.most_common())}")
    print(counts.line("damage a corpus", outcomes))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
