"""JSON of speech recognizers and aligners, as each tool writes it."""

import json

import pytest
from helpers.alignments import WORDS, read

from speechbrain_can.alignment.readers.formats import read_alignment
from speechbrain_can.alignment.words import Word


def timed(text="word", score=None):
    return [
        {text: w.text, "start": w.start, "end": w.end}
        | ({score: 0.5} if score else {})
        for w in WORDS
    ]


# files as each tool writes them
JSON = {
    "whisperX": {
        "segments": [
            {"start": 0.1, "end": 0.95, "words": timed(score="score")}
        ],
        "word_segments": [],
    },
    "Whisper": {
        "text": " oh really",
        "segments": [
            {"id": 0, "words": [word]} for word in timed(score="probability")
        ],
    },
    "whisper-timestamped": {
        "segments": [{"words": timed("text", "confidence")}]
    },
    "gentle": {
        "transcript": "oh really",
        "words": [
            {"case": "success", "alignedWord": w["word"], **w} for w in timed()
        ],
    },
    "Vosk": {"result": timed(score="conf"), "text": "oh really"},
    "MFA": {
        "start": 0,
        "end": 1,
        "tiers": {
            "words": {
                "type": "interval",
                "entries": [[w.start, w.end, w.text] for w in WORDS],
            },
            "phones": {"type": "interval", "entries": []},
        },
    },
    "a list": timed(),
    "faster-whisper": [
        {"start": 0.1, "end": 0.95, "text": " oh really", "words": timed()}
    ],
    "Vosk, several results": [
        {"result": [word], "text": word["word"]} for word in timed()
    ],
    "speechcatcher": [{"content": "oh really", "words": timed()}],
    "transformers": {
        "text": " oh really",
        "chunks": [
            {"text": f" {w.text}", "timestamp": [w.start, w.end]} for w in WORDS
        ],
    },
    "whisper.cpp, one word per segment": {
        "transcription": [
            {
                "text": f" {w.text}",
                "offsets": {"from": 1000 * w.start, "to": 1000 * w.end},
            }
            for w in WORDS
        ]
    },
    "whisper.cpp, tokens": {
        "transcription": [
            {
                "text": " oh really",
                "offsets": {"from": 100, "to": 950},
                "tokens": [
                    {"text": "[_BEG_]", "offsets": {"from": 0, "to": 0}},
                    {"text": " oh", "offsets": {"from": 100, "to": 400}},
                    {"text": " real", "offsets": {"from": 400, "to": 700}},
                    {"text": "ly", "offsets": {"from": 700, "to": 950}},
                    {"text": "[_TT_47]", "offsets": {"from": 950, "to": 950}},
                ],
            }
        ]
    },
    "AssemblyAI": {
        "audio_duration": 1,
        "words": [
            {
                "text": w.text,
                "start": round(1000 * w.start),
                "end": round(1000 * w.end),
                "confidence": 0.5,
            }
            for w in WORDS
        ],
    },
    "Google": {
        "results": [
            {
                "alternatives": [
                    {
                        "transcript": "oh really",
                        "words": [
                            {
                                "startTime": f"{w.start}s",
                                "endTime": f"{w.end}s",
                                "word": w.text,
                            }
                            for w in WORDS
                        ],
                    },
                    {"transcript": "oh rarely"},
                ]
            }
        ]
    },
    "Google, protocol buffers": {
        "results": [
            {
                "alternatives": [
                    {
                        "words": [
                            {
                                "start_time": {"nanos": int(1e9 * w.start)},
                                "end_time": {
                                    "seconds": 0,
                                    "nanos": 1e9 * w.end,
                                },
                                "word": w.text,
                            }
                            for w in WORDS
                        ],
                    }
                ]
            }
        ]
    },
    "AWS": {
        "results": {
            "transcripts": [{"transcript": "oh really."}],
            "items": [
                *(
                    {
                        "type": "pronunciation",
                        "start_time": str(w.start),
                        "end_time": str(w.end),
                        "alternatives": [{"content": w.text}],
                    }
                    for w in WORDS
                ),
                {"type": "punctuation", "alternatives": [{"content": "."}]},
            ],
        }
    },
    "gentle, a word that was not found": {
        "words": [
            *timed(),
            {
                "word": "",
                "case": "not-found-in-audio",
                "startOffset": 9,
                "endOffset": 9,
            },
        ]
    },
    "Google, with speakers": {
        "results": [
            {"alternatives": [{"words": timed()}]},
            {
                "alternatives": [
                    {"words": [w | {"speakerTag": 1} for w in timed()]}
                ]
            },
        ]
    },
    "whisperX, scores without values": {
        "segments": [{"words": [w | {"score": float("nan")} for w in timed()]}]
    },
    "Deepgram": {
        "results": {"channels": [{"alternatives": [{"words": timed()}]}]}
    },
}


@pytest.mark.parametrize("tool", JSON)
def test_json(tmp_path, tool):
    found = read(tmp_path, "a.json", json.dumps(JSON[tool]))
    assert found == WORDS
    scored = tool in (
        *("whisperX", "Whisper", "whisper-timestamped", "Vosk"),
        "AssemblyAI",
    )
    assert [w.score for w in found] == [0.5 if scored else None] * 2


def test_letters_that_whisper_cpp_divides(tmp_path):
    tokens = [(b" f", 100), (b"\xc3", 200), (b"\xbcr", 300)]
    parts = b",".join(
        b'{"text": "%s", "offsets": {"from": %d, "to": %d}}' % (t, at, at + 100)
        for t, at in [*tokens, (b" dich", 400)]
    )
    path = tmp_path / "a.json"
    path.write_bytes(
        b'{"transcription": [{"text": "", "tokens": [' + parts + b"]}]}"
    )
    assert read_alignment(path) == [
        Word("für", 0.1, 0.4),
        Word("dich", 0.4, 0.5),
    ]


def test_words_without_times(tmp_path):
    """WhisperX omits the times of numbers, gentle those of missed words."""
    words = [
        {"word": "in", "start": 0.0, "end": 0.2},
        {"word": "2014."},
        {"word": "or"},
        {"word": "so", "start": 1.0, "end": 1.2},
    ]
    found = read(tmp_path, "a.json", json.dumps(words))
    assert found[1:3] == [Word("2014.", 0.2, 0.6), Word("or", 0.6, 1.0)]
    assert [word.note is None for word in found] == [True, False, False, True]
    assert found[1].note.startswith(
        "missing times repaired: '2014.' now covers"
    )
