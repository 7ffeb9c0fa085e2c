"""Files: written at once or not at all, read whatever their encoding.

Authors
 * The speechbrain-can developers 2026
"""

import errno
import json
import os
import uuid
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """What was given cannot be used; the message says what to do about it."""


# Of errors of the operating system, by number: what to do about them
FULL = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Make room")
FORBIDDEN = dict.fromkeys(
    (errno.EROFS, errno.EACCES, errno.EPERM),
    "Let it be read, and its folder be written to,",
)


def advice(error):
    """What to do about an error of the operating system, to go behind its message."""
    todo = {**FULL, **FORBIDDEN}.get(getattr(error, "errno", None))
    if todo is None:
        return ""
    return (
        f"\nWhat is finished is kept. {todo} and give the same command again; or "
        "give another folder"
    )


def decode(content):
    """Text of a corpus file: UTF-8, UTF-16, or Latin-1 as older corpora have it.

    Example
    -------
    >>> decode("tü".encode("utf-8")) == decode("tü".encode("latin-1"))
    True
    """
    try:
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


@contextmanager
def parsing(path, kind, error_class=InputError):
    """Whatever a parser stumbles over, as an error that names the file.

    Parsers of other people's files raise anything: of bytes that are no text, of
    what is nested too deep, of a number with thousands of digits.
    """
    try:
        yield
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"[:200]
        raise error_class(
            f"{path}: not {kind} that can be read ({why})"
        ) from error


def is_inside(path, folder):
    """Whether a path, relative to a folder or absolute, stays in the folder.

    By its name: a link in it leads where its owner wants it to.

    Example
    -------
    >>> is_inside("wav/a.wav", "corpus"), is_inside("wav/../../a.wav", "corpus")
    (True, False)
    """
    folder = os.path.abspath(folder)
    place = os.path.abspath(os.path.join(folder, path))
    return os.path.commonpath([folder, place]) == folder


def as_text(cell):
    """A cell of a CSV table that no spreadsheet takes for a formula.

    Example
    -------
    >>> as_text("=1+1"), as_text("so what")
    ("'=1+1", 'so what')
    """
    return f"'{cell}" if cell[:1] in tuple("=+-@\t\r") and cell else cell


def state_of_files(folder, *patterns):
    """Names, sizes and times of the files in a folder, or where patterns lead to.

    What was made of files of another state was made of other files.
    """
    found = {
        path.relative_to(folder).as_posix(): path.stat()
        for pattern in patterns or ("*",)
        for path in Path(folder).glob(pattern)
        if path.is_file()
    }
    return [
        (name, stat.st_size, stat.st_mtime_ns)
        for name, stat in sorted(found.items())
    ]


@contextmanager
def atomic_write(path):
    """Opens a text file that replaces ``path`` only when written in full."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # of its own, should another run write the same file
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with open(partial, "w", newline="", encoding="utf-8") as stream:
            yield stream
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path, content):
    """Writes a JSON file atomically."""
    with atomic_write(path) as stream:
        json.dump(content, stream, indent=2, ensure_ascii=False)
        stream.write("\n")


def read_json(path):
    """Reads a JSON file that ``write_json`` wrote.

    Raises ``InputError`` if it was damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path} is damaged ({error}); delete it, and start again"
        ) from error
