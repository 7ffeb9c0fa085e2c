"""The prediction page: self-contained, and functional in a real browser."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from helpers.corpora import utterance

from speechbrain_can.inference.prediction import AttendedWord, Prediction
from speechbrain_can.metrics.metrics import evaluate
from speechbrain_can.report.fold_page import choose_examples
from speechbrain_can.report.pages import confusion_cells
from speechbrain_can.report.prediction_page import (
    PAGE_RATE,
    PageEntry,
    encode_audio,
    outline,
    write_page,
)


def prediction(start=0.0, label="ang", texts=("so", "<b>what</b>")):
    words = [
        AttendedWord(
            text,
            start + 0.5 * i,
            start + 0.5 * i + 0.4,
            None,
            {"text": (0.25 + 0.5 * i,), "audio": (0.75 - 0.5 * i,)},
        )
        for i, text in enumerate(texts)
    ]
    probabilities = {"ang": 0.2, "sad": 0.2, label: 0.6}
    probabilities = {
        name: value / sum(probabilities.values())
        for name, value in probabilities.items()
    }
    return Prediction(
        "a.wav",
        start,
        start + 1.0,
        label,
        probabilities,
        {"joint": probabilities, "text": probabilities},
        words,
        "given",
    )


@pytest.fixture
def page(tmp_path):
    tone = torch.sin(torch.arange(2 * PAGE_RATE) / 10) / 2
    entries = [
        PageEntry("first & <best>", tone[:PAGE_RATE], [prediction()], "sad"),
        PageEntry("long", tone, [prediction(), prediction(1.0, "sad")]),
    ]
    path = tmp_path / "page.html"
    write_page(path, "A page", entries, "A note.")
    return path


class Outline(HTMLParser):
    """HTML parser that counts elements and refuses unclosed ones."""

    VOID = {"meta", "polygon"}

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.links = [], {}, []

    def handle_starttag(self, tag, attributes):
        self.seen[tag] = self.seen.get(tag, 0) + 1
        self.links += [v for k, v in attributes if k in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.mark.attack
def test_page_is_self_contained(page):
    text = page.read_text()
    found = Outline()
    found.feed(text)
    assert not found.open
    assert found.seen["article"] == 2 and found.seen["audio"] == 2
    assert all(link.startswith("data:audio/") for link in found.links)
    assert "url(" not in text and "@import" not in text
    # user text is escaped
    assert "&lt;b&gt;what&lt;/b&gt;" in text and "<b>" not in text
    assert "first &amp; &lt;best&gt;" in text
    assert 'class="wrong">sad' in text
    shares = re.findall(r'strip text" style="opacity: ([\d.]+)', text)
    assert shares[:2] == ["0.33", "1.00"]


def test_audio_is_small():
    uri = encode_audio(torch.randn(4 * PAGE_RATE) / 10)
    assert len(uri) < 4 * 15_000


def test_outline():
    waveform = torch.zeros(1000)
    waveform[250] = 0.5
    points = [
        tuple(map(float, point.split(",")))
        for point in outline(waveform, columns=4).split()
    ]
    assert [y for _, y in points[:4]] == [0, -1, 0, 0]
    assert outline(torch.zeros(3), columns=4).count(" ") == 7


@pytest.fixture
def opened(browser, page):
    tab = browser.new_page()
    errors = []
    tab.on("pageerror", lambda error: errors.append(error))
    tab.on("console", lambda message: errors.append(message.text))
    tab.on("request", lambda request: errors.append(request.url))
    tab.goto(page.as_uri())
    tab.wait_for_function("document.querySelector('audio').readyState > 0")
    yield tab
    assert [
        e for e in errors if not str(e).startswith(("file:", "data:"))
    ] == []


def position(tab):
    return tab.evaluate("document.querySelector('audio').currentTime")


def test_clicking_a_word_plays_it(opened):
    # it starts at the word, regardless of delays
    opened.evaluate(
        "document.querySelector('audio').addEventListener("
        "'play', event => { window.begun = event.target.currentTime; })"
    )
    word = opened.locator("button.word").nth(1)
    word.click()
    opened.wait_for_function("!document.querySelector('audio').paused")
    assert word.get_attribute("aria-current") == "true"
    assert 0.5 <= opened.evaluate("window.begun") < 0.9
    # and stops at its end
    opened.wait_for_function("document.querySelector('audio').paused")
    assert position(opened) < 0.99
    assert opened.locator("[aria-current]").count() <= 1


def test_the_keyboard_reaches_every_word(opened):
    opened.locator("button.word").first.focus()
    opened.keyboard.press("ArrowRight")
    focused = "document.activeElement.textContent.trim()"
    assert opened.evaluate(focused) == "<b>what</b>"
    opened.keyboard.press("Enter")
    opened.wait_for_function(
        "document.querySelector('audio').currentTime >= 0.5"
    )
    opened.keyboard.press("ArrowLeft")
    assert opened.evaluate(focused) == "so"


def test_one_recording_plays_at_a_time(opened):
    opened.locator("article").nth(1).locator("button.part").nth(1).click()
    opened.wait_for_function("!document.querySelectorAll('audio')[1].paused")
    part = opened.locator("button.part[aria-current]")
    assert part.get_attribute("aria-label").startswith("sad, ")
    opened.locator("button.word").first.click()
    opened.wait_for_function("document.querySelectorAll('audio')[1].paused")


def test_recordings_have_an_overview(opened):
    article = opened.locator("article").nth(1)
    rows = article.locator(".overview tr").all_inner_texts()
    assert [row.split() for row in rows] == [
        ["ang", "1.0", "s"],
        ["sad", "1.0", "s"],
    ]
    assert article.locator(".overview rect").count() == 4
    assert article.locator("details[open] tbody tr").count() == 2
    zoomed = article.locator(".zoomed")
    width = zoomed.bounding_box()["width"]
    article.get_by_role("button", name="Zoom in").click()
    assert zoomed.bounding_box()["width"] == pytest.approx(2 * width, rel=0.01)
    article.get_by_role("button", name="Whole recording").click()
    assert zoomed.bounding_box()["width"] == pytest.approx(width, rel=0.01)


@pytest.fixture
def fold_page(tmp_path):
    tone = torch.sin(torch.arange(PAGE_RATE) / 10) / 2
    true = ["ang", "sad", "sad"]
    entries = [
        PageEntry(f"u{i}", tone, [prediction()], name, f"s{i}")
        for i, name in enumerate(true)
    ]
    summary = {
        "scores": {**evaluate(true, ["ang"] * 3), "errors": 2},
        "classes": ["ang", "sad"],
        "confusion": confusion_cells(true, ["ang"] * 3, ["ang", "sad"]),
        "speakers": ["s0", "s1", "s2"],
    }
    path = tmp_path / "fold.html"
    write_page(path, "A fold", entries, "A note.", summary)
    return path


def test_examples_can_be_filtered(browser, fold_page):
    tab = browser.new_page()
    tab.goto(fold_page.as_uri())

    def shown():
        return tab.locator("article:visible h2").all_inner_texts()

    assert "errors 2" in tab.locator("#summary + p").inner_text()
    assert shown() == ["u0", "u1", "u2"]
    for label, value, expected in (
        ("Reference label", "sad", ["u1", "u2"]),
        ("Prediction", "sad", []),
        ("Result", "correct", ["u0"]),
        ("Speaker", "s2", ["u2"]),
    ):
        tab.get_by_label(label).select_option(value)
        assert shown() == expected
        assert f"{len(expected)} of 3" in tab.locator("output").inner_text()
        tab.get_by_role("button", name="Reset").click()
        tab.wait_for_function(
            "document.querySelector('output').textContent.startsWith('3')"
        )
    tab.get_by_label("Minimum probability").fill("95")
    assert shown() == []


def found_with(labels):
    """Return utterances labeled ang with predictions of decreasing confidence."""
    return [
        (
            utterance(f"u{i}"),
            replace(
                prediction(label=label),
                probabilities={label: 0.9 - 0.05 * i, "x": 0.1 + 0.05 * i},
            ),
        )
        for i, label in enumerate(labels)
    ]


def names_of(pairs):
    return [utterance.utterance_id for utterance, _ in pairs]


def test_examples_are_errors_and_correct_predictions():
    found = found_with(["ang", "sad", "ang", "sad", "ang", "ang", "sad"])
    assert names_of(choose_examples(found[::-1], 4)) == ["u1", "u3", "u0", "u5"]
    # with few of one kind, there are more of the other
    few = found_with(["sad", "ang", "ang", "ang"])
    assert names_of(choose_examples(few, 3)) == ["u0", "u1", "u3"]
    few = found_with(["ang", "sad", "sad", "sad"])
    assert names_of(choose_examples(few, 3)) == ["u1", "u2", "u0"]
    assert len(choose_examples(found, 100)) == len(found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["page", "fold_page"])
def test_prediction_page_is_accessible(browser, request, which, scheme):
    tab = browser.new_page(color_scheme=scheme)
    tab.goto(request.getfixturevalue(which).as_uri())
    found = Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("which", ["page", "fold_page"])
def test_prediction_page_fits(browser, request, which, width):
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.goto(request.getfixturevalue(which).as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
