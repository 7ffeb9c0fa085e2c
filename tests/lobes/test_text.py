import logging

import pytest
import torch
from helpers.seeds import shifted

from speechbrain_can.lobes.text import (
    UNKNOWN,
    WordEmbedding,
    logger,
    read_glove,
    split_contraction,
)

pytestmark = pytest.mark.training


@pytest.mark.parametrize(
    "word, pieces",
    [
        ("i'm", ("i", "'m")),
        ("don't", ("do", "n't")),
        ("can't", ("ca", "n't")),
        ("won't", ("wo", "n't")),
        ("she's", ("she", "'s")),
        ("they're", ("they", "'re")),
        ("i've", ("i", "'ve")),
        ("you'll", ("you", "'ll")),
        ("he'd", ("he", "'d")),
        ("dogs'", ("dogs", "'")),
        ("gonna", ("gon", "na")),
        ("'em", ("'em",)),
        ("apple", ("apple",)),
        ("o'clock", ("o'clock",)),
    ],
)
def test_contractions_are_split_as_the_treebank_does(word, pieces):
    assert split_contraction(word) == pieces


@pytest.fixture
def glove(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text(
        "i 1 2 3\n'm 3 4 5\napple -1 0 1e-1\n. . . 9 9 9\nüber 7 7 7\n",
        encoding="utf-8",
    )
    return path


def test_glove_file_location(glove):
    vectors = read_glove(glove, {"apple", "über", "pear"}, 3)
    assert sorted(vectors) == ["apple", "über"]
    assert vectors["apple"].tolist() == pytest.approx([-1, 0, 0.1])


def test_word2vec_header_is_skipped(glove):
    glove.write_text("5 3\n" + glove.read_text(encoding="utf-8"), "utf-8")
    assert list(read_glove(glove, {"i", "5"}, 3)) == ["i"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("i 1 2\n", "line 1: 'i' has 2 values, but embedding_size is 3"),
        ("a 1 2 3\ni 1 2\n", "line 2: 'i' has 2 values"),
        ("a 1 2 3\ni 1 2 x\n", "line 2: could not convert"),
    ],
)
def test_bad_glove_names_file_and_line(tmp_path, text, message):
    path = tmp_path / "glove.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_glove(path, {"i"}, 3)


def test_missing_glove_file():
    embedding = WordEmbedding(3, "/no/such/file")
    with pytest.raises(FileNotFoundError, match="/no/such/file"):
        embedding.fit_vocabulary(["i"])


def test_glove_vectors(glove, caplog):
    embedding = WordEmbedding(3, glove)
    with caplog.at_level(logging.INFO):
        embedding.fit_vocabulary(
            ["i", "i'm", "pear", "i"], other_words=["apple", "plum"]
        )
    rows = {w: embedding.weight[i].tolist() for w, i in embedding.index.items()}
    assert rows["i"] == [1, 2, 3]
    assert rows["i'm"] == [2, 3, 4]
    # test words have vectors only if GloVe contains them
    assert rows["apple"] == pytest.approx([-1, 0, 0.1])
    assert "plum" not in rows and "pear" in rows
    trained = [rows[word] for word in ("i", "i'm", "pear")]
    mean = torch.tensor(trained).mean(0).tolist()
    assert rows[UNKNOWN] == pytest.approx(mean)
    assert "GloVe covers 3 of 5 distinct words and 66.7%" in caplog.text
    assert torch.equal(
        embedding([["plum"], ["i"]]),
        embedding.weight[[0, embedding.index["i"]]],
    )


def test_one_clear_warning_without_a_file(caplog):
    logger.warning_once.cache_clear()
    for _ in range(2):
        WordEmbedding(3).fit_vocabulary(["i", "pear"])
    warnings = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "--glove_file" in warnings[0].getMessage()


def test_vocabulary_does_not_depend_on_the_order_of_words(glove):
    tables = []
    for words in (["pear", "i", "plum"], ["plum", "pear", "i"]):
        torch.manual_seed(shifted(1))
        embedding = WordEmbedding(3, glove)
        embedding.fit_vocabulary(words)
        tables.append(embedding.state_dict())
    assert tables[0]["_extra_state"] == tables[1]["_extra_state"]
    assert torch.equal(tables[0]["weight"], tables[1]["weight"])


def test_vocabulary_uses_only_training_words(glove):
    """Other words change neither vectors of training words nor later random numbers."""
    found = []
    for others in ([], ["apple", "über", "plum"]):
        torch.manual_seed(shifted(1))
        embedding = WordEmbedding(3, glove)
        embedding.fit_vocabulary(["pear", "i", "zebra"], others)
        rows = [0, *(embedding.index[word] for word in ("i", "pear", "zebra"))]
        found.append((embedding.weight[rows].detach(), torch.rand(1)))
    for (weight, drawn), (other_weight, other_drawn) in zip(found, found[1:]):
        assert torch.equal(weight, other_weight) and drawn == other_drawn


def test_vocabulary_is_saved_with_the_weights(glove, tmp_path):
    embedding = WordEmbedding(3, glove)
    embedding.fit_vocabulary(["i", "pear"])
    model = torch.nn.Sequential(embedding)
    torch.save(model.state_dict(), tmp_path / "model.ckpt")
    copy = torch.nn.Sequential(WordEmbedding(3))
    copy.load_state_dict(torch.load(tmp_path / "model.ckpt"))
    words = [["i", "pear", "plum"]]
    assert torch.equal(copy(words), model(words))


def test_loading_the_same_vocabulary_keeps_the_parameter():
    embedding = WordEmbedding(3)
    embedding.fit_vocabulary(["i", "pear"])
    parameter = embedding.weight
    embedding.load_state_dict(embedding.state_dict())
    assert embedding.weight is parameter


def test_glove_covers_packaged_sentences(data):
    from speechbrain_can.controlled.generator import SENTENCES, read_sentences

    glove = data / "glove" / "glove.6B.300d.subset.txt"
    words = [w for s in read_sentences(SENTENCES) for w in s.words]
    embedding = WordEmbedding(300, glove)
    embedding.fit_vocabulary(words)
    assert embedding.weight.shape == (len(set(words)) + 1, 300)
    vectors = read_glove(glove, {"good"}, 300)
    assert torch.equal(embedding([["good"]])[0].detach(), vectors["good"])
