"""Write a custom corpus as different tools and people write it, and prepare it.

Each utterance must be prepared as in the original corpus, or be listed in ``skipped.csv``
or ``adjusted.csv``, or the preparation must end in a helpful error.

    python tests/stress/tables.py <corpora> [--seed <seed>]
"""

import argparse
import contextlib
import csv
import io
import json
import random
import sys
import tempfile
import traceback
import unicodedata
from pathlib import Path

import numpy as np
import soundfile
from praatio import textgrid

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers.recipes import ROOT, load_module  # noqa: E402
from stress import counts  # noqa: E402
from stress.driver import try_kinds  # noqa: E402

from speechbrain_can.corpus.manifest import read_manifest  # noqa: E402
from speechbrain_can.io.files import InputError  # noqa: E402

FAILURES = ("silent", "traceback")
HEADER = ["wav", "emotion", "speaker", "transcript", "alignment"]
WORDS = [("it's", 0.1, 0.3), ("so", 0.3, 0.5), ("prächtig", 0.6, 0.9)]
SPEAKERS = ["Müller", "Ånna", "ben", "Zoë"]
EMOTIONS = ["wütend", "fröhlich"]


class Mine:
    """A custom corpus that damage changes before it is written."""

    def __init__(self, folder):
        self.folder = folder
        self.rows = []
        for speaker in SPEAKERS:
            for emotion in EMOTIONS:
                name = f"{speaker}_{emotion}"
                noise = np.random.default_rng(len(self.rows)).normal(size=16000)
                soundfile.write(folder / f"{name}.wav", 0.1 * noise, 16000)
                self.rows.append(
                    dict(
                        zip(
                            HEADER,
                            [
                                f"{name}.wav",
                                emotion,
                                speaker,
                                "",
                                f"{name}.csv",
                            ],
                        )
                    )
                )
                self.align(self.rows[-1], ".csv", _csv(WORDS))
        self.header = list(HEADER)
        self.edit = lambda text: text
        self.encoding = "utf-8"

    def align(self, row, extension, content, encoding="utf-8"):
        """Replace the alignment of a row."""
        row["alignment"] = Path(row["wav"]).stem + extension
        path = self.folder / row["alignment"]
        path.write_text(content, encoding=encoding)

    def write(self):
        """Write the table."""
        stream = io.StringIO()
        writer = csv.DictWriter(stream, HEADER, lineterminator="\n")
        writer.writerows(self.rows)
        text = ",".join(self.header) + "\n" + stream.getvalue()
        path = self.folder / "recordings.csv"
        path.write_text(self.edit(text), encoding=self.encoding, newline="")


def _csv(words):
    return "word,start,end\n" + "".join(f"{w},{s},{e}\n" for w, s, e in words)


def _textgrid(tiers):
    grid = textgrid.Textgrid()
    for name, entries in tiers.items():
        entries = [(s, e, w) for w, s, e in entries]
        grid.addTier(textgrid.IntervalTier(name, entries, 0, 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.TextGrid"
        grid.save(str(path), "long_textgrid", includeBlankSpaces=True)
        return path.read_text(encoding="utf-8")


PHONES = [("ɪ", 0.1, 0.2), ("t", 0.2, 0.3)]


def _tiers(words, *others):
    """Return damage that writes tiers with these names."""

    def damage(mine, row, draw):
        tiers = dict.fromkeys(others, PHONES) | {words: WORDS}
        names = draw.sample(sorted(tiers), len(tiers))
        content = _textgrid({name: tiers[name] for name in names})
        mine.align(row, ".TextGrid", content, draw.choice(["utf-8", "utf-16"]))

    return damage


def _json(record, container=lambda words: words):
    """Return damage that writes JSON, one record per word."""

    def damage(mine, row, draw):
        content = container([record(*word) for word in WORDS])
        mine.align(row, ".json", json.dumps(content, ensure_ascii=False))

    return damage


def _listed(change):
    """Return damage that changes the words of a CSV alignment."""

    def damage(mine, row, draw):
        mine.align(row, ".csv", _csv(change(list(WORDS), draw)))

    return damage


def _texts(change):
    return _listed(lambda words, draw: [(change(w), s, e) for w, s, e in words])


def _inserted(*labels):
    """Return damage that inserts the label of a pause or noise into a gap."""

    def insert(words, draw):
        return [*words[:2], (draw.choice(labels), 0.5, 0.6), *words[2:]]

    return _listed(insert)


def _cell(column, change):
    """Return damage to a cell of the table."""

    def damage(mine, row, draw):
        row[column] = change(row[column])

    return damage


def _table(edit):
    """Return damage to the text of the table."""

    def damage(mine, row, draw):
        before = mine.edit
        mine.edit = lambda text: edit(before(text), draw)

    return damage


def _encoding(name):
    def damage(mine, row, draw):
        mine.encoding = name

    return damage


def _audio(change):
    def damage(mine, row, draw):
        path = mine.folder / row["wav"].replace("\\", "/")
        if path.exists():
            change(path)

    return damage


def _truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _cancel(path):
    samples, rate = soundfile.read(path, always_2d=True)
    soundfile.write(path, np.hstack([samples, -0.98 * samples]), rate)


def _nfd(text):
    return unicodedata.normalize("NFD", text)


def _cue_time(seconds):
    return f"00:00:0{seconds:.3f}"


def _youtube(mine, row, draw):
    # The format has no ends of words: the middle of the gap is a start.
    first, *rest = [(w, 0.55 if s == 0.6 else s, e) for w, s, e in WORDS]
    line = first[0] + "".join(
        f"<{_cue_time(start)}><c> {word}</c>" for word, start, _ in rest
    )
    plain = " ".join(word for word, *_ in WORDS)
    mine.align(
        row,
        ".vtt",
        f"WEBVTT\n\n{_cue_time(0.1)} --> {_cue_time(0.9)}\n{line}\n\n"
        f"{_cue_time(0.9)} --> {_cue_time(0.91)}\n{plain}\n\n",
    )


def _ctm(mine, row, draw):
    names = [Path(row["wav"]).stem.replace(" ", "_"), "other"]
    mine.align(
        row,
        ".ctm",
        "".join(
            f"{name} 1 {start} {end - start:.3f} {word} NA lex NA\n"
            f"{name} 1 {end} 0.00 <b> NA lex NA\n"
            for name in names
            for word, start, end in WORDS
        ),
    )


def _mfa_csv(mine, row, draw):
    rows = [f"{s},{e},{w},words,a" for w, s, e in WORDS]
    rows += [f"{s},{e},{w},phones,a" for w, s, e in PHONES]
    content = "\n".join(["Begin,End,Label,Type,Speaker", *rows])
    mine.align(row, ".csv", content)


DAMAGES = {
    "tiers: MFA": _tiers("words", "phones"),
    "tiers: MFA, a speaker": _tiers("anna - words", "anna - phones"),
    "tiers: WebMAUS": _tiers("ORT-MAU", "KAN-MAU", "MAU"),
    "tiers: older WebMAUS": _tiers("ORT", "KAN", "MAU"),
    "tiers: P2FA": _tiers("word", "phone"),
    "tiers: SPPAS": _tiers("TokensAlign", "PhonAlign"),
    "tiers: phones alone": _tiers("phones"),
    "tiers: MAU alone": _tiers("MAU"),
    "tiers: emotion alone": _tiers("emotion"),
    "tiers: two speakers": _tiers("a - words", "b - words"),
    "JSON: Whisper": _json(
        lambda w, s, e: {"word": f" {w.capitalize()},", "start": s, "end": e},
        lambda words: {"segments": [{"text": "", "words": words}]},
    ),
    "JSON: faster-whisper": _json(
        lambda w, s, e: {"word": f" {w}", "start": s, "end": e},
        lambda words: [{"words": words[:1]}, {"words": words[1:]}],
    ),
    "JSON: transformers": _json(
        lambda w, s, e: {"text": f" {w}.", "timestamp": [s, e]},
        lambda words: {"chunks": words},
    ),
    "JSON: milliseconds": _json(
        lambda w, s, e: {
            "text": w,
            "start": round(1000 * s),
            "end": round(1000 * e),
        },
        lambda words: {"words": words},
    ),
    "JSON: Google": _json(
        lambda w, s, e: {"word": w, "startTime": f"{s}s", "endTime": f"{e}s"},
        lambda words: {"results": [{"alternatives": [{"words": words}]}]},
    ),
    "JSON: whisper.cpp": _json(
        lambda w, s, e: {
            "text": f" {w}",
            "offsets": {"from": 1000 * s, "to": 1000 * e},
        },
        lambda words: {"transcription": words},
    ),
    "JSON: segments without words": _json(
        lambda w, s, e: {"text": f"{w} {w}", "start": s, "end": e}
    ),
    "CTM: NeMo, of a corpus": _ctm,
    "CSV: MFA": _mfa_csv,
    "CSV: decimal commas": lambda mine, row, draw: mine.align(
        row,
        ".csv",
        _csv(WORDS).replace(",", ";").replace(".", ","),
    ),
    "VTT: YouTube": _youtube,
    "words: capitals": _texts(str.upper),
    "words: punctuation": _texts(lambda word: f'"{word}!"'.replace('"', "”")),
    "words: apostrophes": _texts(lambda word: word.replace("'", "’")),
    "words: modifier letters": _texts(lambda word: word.replace("'", "ʼ")),
    "words: decomposed": _texts(_nfd),
    "words: invisible": _texts(
        lambda word: f"{word[:1]}\u200b{word[1:]}\ufe0f"
    ),
    "words: a clitic": _listed(
        lambda words, draw: [
            ("it", 0.1, 0.2),
            ("'s", 0.2, 0.3),
            *words[1:],
        ]
    ),
    "words: unknown": _listed(
        lambda words, draw: [*words[:1], ("<unk>", 0.3, 0.5), *words[2:]]
    ),
    "words: pauses": _inserted(
        "sp", "SIL", "#", "<p:>", "*", "{SL}", "—", "..."
    ),
    "words: noises": _inserted("{LG}", "[laughter]", "++BREATH++", "(coughs)"),
    "words: left out": _inserted("%", "[inaudible]", "(um)", "&"),
    "times: empty": _listed(
        lambda words, draw: [*words[:1], ("so", 0.3, 0.3), *words[2:]]
    ),
    "times: missing": _listed(
        lambda words, draw: [*words[:1], ("so", "", ""), *words[2:]]
    ),
    "times: the last one": _listed(
        lambda words, draw: [*words[:2], (words[2][0], 0.6, "")]
    ),
    "times: none": _listed(
        lambda words, draw: [(w, "", "") for w, *_ in words]
    ),
    "times: an extra cell": _listed(
        lambda words, draw: [*words[:2], ("a,b", 0.6, 0.9)]
    ),
    "speaker: decomposed": _cell("speaker", _nfd),
    "speaker: invisible": _cell("speaker", lambda name: name + "\u200b"),
    "speaker: spaces": _cell("speaker", lambda name: f"\u00a0{name} "),
    "speaker: capitals": _cell("speaker", str.upper),
    "speaker: nan": _cell("speaker", lambda name: "nan"),
    "emotion: decomposed": _cell("emotion", _nfd),
    "emotion: invisible": _cell("emotion", lambda name: "\ufeff" + name),
    "emotion: capitals": _cell("emotion", str.title),
    "emotion: nan": _cell("emotion", lambda name: "NaN"),
    "emotion: none": _cell("emotion", lambda name: ""),
    "emotion: a column": _cell("emotion", lambda name: "predicted"),
    "path: decomposed": _cell("wav", _nfd),
    "path: backslash": _cell("wav", lambda name: ".\\" + name),
    "path: spaces": _cell("wav", lambda name: f" {name} "),
    "alignment: decomposed": _cell("alignment", _nfd),
    "alignment: gone": _cell("alignment", lambda name: "gone.csv"),
    "table: semicolons": _table(lambda text, draw: text.replace(",", ";")),
    "table: tabs": _table(lambda text, draw: text.replace(",", "\t")),
    "table: capitals": _table(
        lambda text, draw: text.replace("wav,emotion", "WAV,Emotion")
    ),
    "table: spaces": _table(lambda text, draw: text.replace(",", ", ")),
    "table: CRLF": _table(lambda text, draw: text.replace("\n", "\r\n")),
    "table: empty rows": _table(
        lambda text, draw: text.replace("\n", "\n,,,,\n", draw.randint(1, 9))
    ),
    "table: empty columns": _table(
        lambda text, draw: text.replace("\n", ",,\n")
    ),
    "table: an extra cell": _table(
        lambda text, draw: text.replace(",,", ",oh, no,", draw.randint(1, 9))
    ),
    "table: a row cut off": _table(
        lambda text, draw: text[: text.rindex(",", 0, -20)] + "\n"
    ),
    "table: UTF-16": _encoding("utf-16"),
    "table: a mark of UTF-8": _encoding("utf-8-sig"),
    "audio: truncated": _audio(_truncate),
    "audio: cancelling channels": _audio(_cancel),
    "audio: a Git LFS pointer": _audio(
        lambda path: path.write_text("version https://git-lfs\n")
    ),
}


def prepared(custom, folder, out):
    """Return the manifest, and the IDs of skipped and adjusted utterances."""
    with contextlib.redirect_stdout(io.StringIO()):
        custom.prepare_custom(folder, out, protocol="random10", workers=1)
    listed = set()
    for name in ("skipped", "adjusted"):
        with open(out / f"{name}.csv", newline="") as stream:
            listed |= {_nfc(row["ID"]) for row in csv.DictReader(stream)}
    rows = read_manifest(out / "manifest.csv")
    for column in ("emotion", "speaker"):
        names = {getattr(row, column) for row in rows.values()}
        if len(names) > len({_nfc(name).casefold().strip() for name in names}):
            raise AssertionError(f"two spellings of a name: {sorted(names)}")
    return {_nfc(name): _content(row) for name, row in rows.items()}, listed


def _nfc(name):
    return unicodedata.normalize("NFC", name)


def _content(row):
    """Return what damage may change: names, words and times."""
    names = row.emotion.casefold(), row.speaker.casefold()
    return *names, [(w.text, w.start, w.end) for w in row.words]


def judge(custom, folder, out, whole):
    """Return the outcome of a preparation, with details of failures."""
    try:
        found, listed = prepared(custom, folder, out)
    except InputError as error:
        told = len(str(error)) > 20
        return ("refused" if told else "traceback"), str(error)
    except Exception:
        return "traceback", traceback.format_exc()
    changed = {n for n in whole if found.get(n) != whole[n]} - listed
    # an unknown word is meant to be another one
    changed = {
        n for n in changed if n not in found or not _is_unknown(found[n])
    }
    if changed or set(found) - set(whole):
        names = sorted(changed | (set(found) - set(whole)))
        return "silent", f"{names[0]}: {found.get(names[0])}"
    return ("listed" if listed else "harmless"), ""


def _is_unknown(content):
    return any(text == "<unk>" for text, *_ in content[2])


def stress(corpora, seed, report=print):
    """Prepare a number of changed corpora; return outcomes and details of failures."""
    custom = load_module(
        ROOT
        / "recipes/CustomCorpus/multimodal_emotion_recognition/custom_prepare.py"
    )
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        (scratch / "whole").mkdir()
        Mine(scratch / "whole").write()
        whole, listed = prepared(
            custom, scratch / "whole", scratch / "prepared"
        )
        assert len(whole) == 8 and not listed

        def attempt(chosen, number):
            draw = random.Random(number)
            folder = Path(tempfile.mkdtemp(dir=scratch))
            mine = Mine(folder)
            for kind, row in zip(chosen, draw.sample(mine.rows, len(chosen))):
                DAMAGES[kind](mine, row, draw)
            mine.write()
            return judge(custom, folder, folder / "out", whole)

        return try_kinds(DAMAGES, corpora, seed, attempt, FAILURES, report)


def main():
    """Parse the command line and prepare corpora."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=int, nargs="?", default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    outcomes, failures = stress(options.corpora, options.seed)
    print(f"{len(DAMAGES)} kinds of changes: {dict(outcomes.most_common())}")
    print(counts.line("change a table", outcomes))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
