"""File access: atomic writes, encodings and error messages."""

import errno
import json
import os
import unicodedata
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, TextIO


class InputError(ValueError):
    """Raised for unusable input; the message says what to do."""


# Advice for operating system errors, by error number
FULL = dict.fromkeys(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Free some disk space"
)

FORBIDDEN = dict.fromkeys(
    (errno.EROFS, errno.EACCES, errno.EPERM),
    "Make the file readable and its folder writable",
)


def advice(error: Exception) -> str:
    """Return the advice to append to an operating system error, or an empty string."""
    todo = {**FULL, **FORBIDDEN}.get(getattr(error, "errno", None))
    if todo is None:
        return ""
    return (
        f"\nFinished work is kept. {todo}, then run the same command again, or "
        "choose another folder."
    )


def decode(content: bytes) -> str:
    """Decode UTF-8, UTF-16 or, for older corpora, Windows-1252 or Latin-1.

    Example
    -------
    >>> decode("tü".encode("utf-8")) == decode("tü".encode("latin-1"))
    True
    """
    try:
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:  # five bytes are undefined in it
        return content.decode("latin-1")


def read_text(path: str | Path) -> str:
    """Read and ``decode`` a text file; raise ``InputError`` for a Git LFS pointer."""
    content = Path(path).read_bytes()
    if is_lfs_pointer(content):
        raise InputError(LFS_POINTER.format(path))
    return decode(content)


def is_lfs_pointer(content: bytes) -> bool:
    """Return whether a file begins like a pointer of Git Large File Storage."""
    return content.startswith(b"version https://git-lfs")


LFS_POINTER = (
    "{}: the file is a Git LFS pointer, not the content. Run git lfs pull in its "
    "repository."
)


@contextmanager
def parsing(
    path: str | Path, kind: str, error_class: type[Exception] = InputError
) -> Iterator[None]:
    """Convert exceptions of third-party parsers to an error that names the file.

    Parsers raise arbitrary exceptions on malformed input, such as
    ``RecursionError`` for deeply nested JSON.
    """
    try:
        yield
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"[:200]
        raise error_class(
            f"{path}: cannot be read as {kind} ({why})"
        ) from error


def is_inside(path: str | Path, folder: str | Path) -> bool:
    """Return whether a path, absolute or relative to ``folder``, is inside it.

    Only names are compared; symbolic links are not resolved.

    Example
    -------
    >>> is_inside("wav/a.wav", "corpus"), is_inside("wav/../../a.wav", "corpus")
    (True, False)
    """
    folder = os.path.abspath(folder)
    place = os.path.abspath(os.path.join(folder, path))
    return os.path.commonpath([folder, place]) == folder


def portable(folder: str | Path, name: str) -> str:
    """Return a path from a table, with the backslashes of Windows replaced.

    A file whose name contains a backslash is kept.
    """
    if "\\" not in name or os.path.exists(Path(folder) / name):
        return name
    return name.replace("\\", "/")


def is_listed(path: Path) -> bool:
    """Return whether a file in a folder counts: not hidden, and not of AppleDouble.

    macOS writes metadata files, such as ``._a.wav``, next to each file on other file
    systems.
    """
    return not path.name.startswith(".")


def existing_form(path: str | Path) -> Path:
    """Return a path as its file is named: in Unicode form NFC or NFD.

    macOS and Linux tools store composed letters, such as an umlaut, differently. A path
    without a file in any form is returned unchanged.
    """
    path = Path(path)
    if str(path).isascii() or os.path.exists(path):
        return path
    found = Path(path.anchor)
    for part in path.parts[1 if path.anchor else 0 :]:
        forms = (
            part,
            *(unicodedata.normalize(f, part) for f in ("NFC", "NFD")),
        )
        for form in forms:
            if os.path.exists(found / form):
                found /= form
                break
        else:
            return path
    return found


# Joiners of letters and emoji, which are not printable on their own
LINES = "\n\t"  # characters that the layout of our own texts contains
JOINERS = "\u200c\u200d"


def printable(text: object, keep: str = "") -> str:
    r"""Escape characters that control a terminal or the direction of text.

    The escapes are those of JSON. Spaces, joiners and the characters of ``keep`` are
    unchanged.

    Example
    -------
    >>> print(printable("\x1b[2J so\r"))
    \u001b[2J so\r
    """
    return "".join(
        character
        if character.isprintable()
        or character in JOINERS
        or character in keep
        or unicodedata.category(character) == "Zs"
        else json.dumps(character)[1:-1]
        for character in str(text)
    )


def as_text(cell: str) -> str:
    """Escape a CSV cell that a spreadsheet or a terminal would interpret.

    Example
    -------
    >>> as_text("=1+1"), as_text("so what")
    ("'=1+1", 'so what')
    """
    formula = cell[:1] in tuple("=+-@\t\r") and cell
    return printable(f"'{cell}" if formula else cell)


def state_of_files(
    folder: str | Path, *patterns: str
) -> list[tuple[str, int, int]]:
    """Return names, sizes and modification times (ns) of the files in a folder.

    ``patterns`` are globs; without any, all files directly in the folder count.
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
def atomic_write(path: str | Path) -> Iterator[TextIO]:
    """Open a text file that replaces ``path`` only once it is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # a unique name, because another process may write the same file
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with open(partial, "w", newline="", encoding="utf-8") as stream:
            yield stream
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: str | Path, content: object) -> None:
    """Write a JSON file atomically."""
    with atomic_write(path) as stream:
        json.dump(content, stream, indent=2, ensure_ascii=False)
        stream.write("\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; raise ``InputError`` if it is damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path} is damaged ({error}). Delete it and run the command again."
        ) from error
