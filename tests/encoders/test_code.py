"""Pretrained models cannot execute their own code, not even after a question."""

import json
import os
import pty
import shutil
import subprocess
import sys

import pytest

from speechbrain_can.encoders.hub import PretrainedError
from speechbrain_can.encoders.loading import load_pretrained

CODE = """
import pathlib
pathlib.Path({mark!r}).touch()
class Evil: pass
"""
CONFIG = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}
# File, entries that name code, and the loaders that read the file
FILES = {
    "config.json": {"model_type": "evil", "auto_map": CONFIG},
    "tokenizer_config.json": {
        "tokenizer_class": "Evil",
        "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]},
    },
    "preprocessor_config.json": {
        "feature_extractor_type": "Evil",
        "auto_map": {"AutoFeatureExtractor": "evil.Evil"},
    },
    "processor_config.json": {
        "processor_class": "Evil",
        "feature_extractor_type": "Evil",
        "auto_map": {
            "AutoProcessor": "evil.Evil",
            "AutoFeatureExtractor": "evil.Evil",
        },
    },
}
LOADERS = """
import os, sys
from functools import partial
from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2
from speechbrain_can.encoders.ctc import HuggingFaceCTC
from speechbrain_can.encoders.speech import FrontEnd, hidden_layers
from speechbrain_can.encoders.text import PretrainedWords
for folder in sys.argv[2:]:
    build = partial(Wav2Vec2, source=folder, save_path=sys.argv[1])
    for load in (
        lambda: PretrainedWords(folder, sys.argv[1]),
        lambda: FrontEnd(build),
        lambda: hidden_layers(build),
        lambda: HuggingFaceCTC(folder).encode("so"),
    ):
        try:
            load()
            print("loaded", folder)
        except Exception as error:
            print(type(error).__name__, error)
"""


def names_code(folder, file, mark):
    """Make a file of a model name code that leaves a mark."""
    path = folder / file
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, **FILES[file]}))
    (folder / "evil.py").write_text(CODE.format(mark=str(mark)))


@pytest.mark.attack
def test_code_is_not_executed_at_a_terminal(tiny, tmp_path):
    """Answer "y" to every question."""
    mark = tmp_path / "pwned"
    folders = []
    for kind in ("bert", "wav2vec2"):
        for file in FILES:
            folder = tmp_path / f"{kind}-{file}"
            shutil.copytree(tiny / kind, folder)
            names_code(folder, file, mark)
            folders.append(str(folder))
    parent, child = pty.openpty()
    os.write(parent, b"y\n" * 200)
    done = subprocess.run(
        [sys.executable, "-c", LOADERS, str(tmp_path / "save"), *folders],
        stdin=child,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert not mark.exists()
    assert "y/N" not in done.stdout
    lines = done.stdout.splitlines()
    refused = [line for line in lines if line.startswith("PretrainedError")]
    assert len(refused) == 4 * len(folders)
    assert all("names code (auto_map)" in line for line in refused)


@pytest.mark.attack
@pytest.mark.parametrize("file", FILES)
def test_code_on_the_hub_is_not_executed(file, tiny, tmp_path):
    """The model is already in the cache, because tests cannot download it."""
    cache = tmp_path / "models--someone--bert"
    snapshot = cache / "snapshots" / "0123"
    shutil.copytree(tiny / "bert", snapshot)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0123")
    assert load_pretrained(str, "someone/bert", str(tmp_path))
    names_code(snapshot, file, tmp_path / "pwned")
    with pytest.raises(PretrainedError, match=f"{file} names code"):
        load_pretrained(str, "someone/bert", str(tmp_path))
