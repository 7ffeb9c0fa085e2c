import numpy as np
import torch
from helpers.corpora import utterance
from matplotlib.image import imread

from speechbrain_can.alignment.words import Word
from speechbrain_can.runs.attention_figure import plot_utterance


def test_figure_is_written(tmp_path):
    words = [Word("so", 0.0, 0.4), Word("what", 0.4, 1.0)]
    path = tmp_path / "attention.png"
    plot_utterance(
        path,
        utterance("a", words),
        torch.randn(16000),
        16000,
        {"text": [0.9, 0.1], "audio": [0.2, 0.8]},
        np.array([[0.0, 0.5], [0.5, 1.0]]),
        {"ang": 0.7, "sad": 0.3},
    )
    picture = imread(path)
    assert picture.shape[0] > 400 and picture.shape[1] > 800

    def pixels(red, green, blue):
        near = np.abs(picture[..., :3] - [red, green, blue]).max(-1) < 0.02
        return near.sum()

    # bars of both modalities, and the label's bar in green
    assert pixels(0x1F / 255, 0x77 / 255, 0xB4 / 255) > 1000
    assert pixels(0xD9 / 255, 0x5F / 255, 0x02 / 255) > 1000
    assert pixels(0x2A / 255, 0x9D / 255, 0x4B / 255) > 1000
