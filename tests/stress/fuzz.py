"""Coverage-guided fuzzing of every reader (atheris).

    python tests/stress/fuzz.py [--seconds 600] [<kind> ...]

There are two kinds: readers of alignments, and readers of transcripts, labels and tables.
Only the documented error may be raised. Input that raises another one is printed, and the
exit status is 1.
"""

import argparse
import inspect
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
KINDS = ("alignments", "transcripts")
INSTRUMENTED = ("speechbrain_can", "praatio", "pympi", "webvtt")


def fuzz(kind, folder, flags):
    """Try readers until the process ends; the first byte selects a reader."""
    import atheris

    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        from stress import readers

        for library in ("praatio.textgrid", "pympi", "webvtt"):
            __import__(library)
    # recipes are loaded from their files
    for name, function in vars(readers.iemocap).copy().items():
        if inspect.isfunction(function):
            setattr(readers.iemocap, name, atheris.instrument_func(function))

    wanted = kind == "alignments"
    names = [
        name
        for name in readers.READERS
        if name.startswith("alignment") == wanted
    ]

    def one(content):
        if content:
            name = names[content[0] % len(names)]
            readers.try_reader(name, content[1:], folder)

    seeds = Path(folder) / "seeds"
    seeds.mkdir()
    for number, name in enumerate(names):
        for i, whole in enumerate(readers.READERS[name][0]):
            content = bytes([number]) + whole.encode()
            (seeds / f"{number}_{i}").write_bytes(content)
    atheris.Setup([sys.argv[0], *flags, str(seeds)], one)
    atheris.Fuzz()


def main():
    """Parse the command line and run the fuzzer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=KINDS)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.alone:  # atheris ends its process
            flags = [
                f"-max_total_time={options.seconds}",
                *("-max_len=4096", "-timeout=30", "-print_final_stats=1"),
                f"-artifact_prefix={folder}/",
            ]
            fuzz(options.kinds[0], folder, flags)
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
