"""Made-up bytes for every reader, led by what code they reach (atheris).

    python tests/stress/fuzz.py [--seconds 600] [<reader> ...]

Two kinds, one after the other: readers of alignments, and of transcripts, labels and
tables. Only the documented error may come out; what makes another one come out is
printed, and the run ends with 1.

Authors
 * The speechbrain-can developers 2026
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(
    include=["speechbrain_can", "praatio", "pympi", "webvtt"]
):
    from stress.readers import READERS, try_reader

    for library in ("praatio.textgrid", "pympi", "webvtt"):
        __import__(library)

KINDS = {
    "alignments": [name for name in READERS if name.startswith("alignment")],
    "transcripts": [
        name for name in READERS if not name.startswith("alignment")
    ],
}


def fuzz(kind, folder):
    """Tries readers until it is ended; the first byte chooses one of them."""
    names, scratch = KINDS[kind], Path(folder)

    def one(content):
        if content:
            name = names[content[0] % len(names)]
            try_reader(name, content[1:], scratch)

    seeds = scratch / "seeds"
    seeds.mkdir()
    for number, name in enumerate(names):
        for i, whole in enumerate(READERS[name][0]):
            content = bytes([number]) + whole.encode()
            (seeds / f"{number}_{i}").write_bytes(content)
    return one, str(seeds)


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.alone:  # atheris ends the process that it runs in
            one, seeds = fuzz(options.kinds[0], folder)
            flags = [
                f"-max_total_time={options.seconds}",
                *("-max_len=4096", "-timeout=30", "-print_final_stats=1"),
                f"-artifact_prefix={folder}/",
            ]
            atheris.Setup([sys.argv[0], *flags, seeds], one)
            atheris.Fuzz()
        status = 0
        for kind in options.kinds:
            result = subprocess.run(
                [
                    *(sys.executable, __file__, kind, "--alone"),
                    f"--seconds={options.seconds}",
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            lines = result.stdout.splitlines()
            executed = [x for x in lines if "number_of_executed_units" in x]
            covered = [x for x in lines if " cov: " in x]
            print(f"{kind}: {' '.join(executed)} {' '.join(covered[-1:])}")
            if result.returncode:
                print("\n".join(lines[-60:]))
                status = 1
        sys.exit(status)


if __name__ == "__main__":
    main()
