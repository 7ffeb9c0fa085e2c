import numpy as np
import pandas as pd
import pytest
from helpers.seeds import shifted

from speechbrain_can.metrics.groups import _resampled, binned, group_results
from speechbrain_can.metrics.metrics import evaluate

CLASSES = ["ang", "neu", "sad"]


def predictions(n=240, speakers=8, seed=0):
    """Return random predictions, and the speaker and sex of each row."""
    generator = np.random.default_rng(shifted(seed))
    probabilities = generator.dirichlet(np.ones(len(CLASSES)), n)
    table = pd.DataFrame(probabilities, columns=CLASSES)
    table.insert(0, "ID", [f"u{i}" for i in range(n)])
    table.insert(1, "true", generator.choice(CLASSES, n))
    table.insert(2, "predicted", table[CLASSES].idxmax(axis=1))
    speaker = pd.Series([f"s{i % speakers}" for i in range(n)])
    return table, speaker, speaker.map(lambda s: "fm"[int(s[1:]) % 2])


def test_scores_equal_those_of_each_group():
    table, speakers, sex = predictions()
    results, gap = group_results(table, binned(sex), CLASSES, speakers)
    for name in "fm":
        own = table[sex == name]
        expected = evaluate(list(own["true"]), list(own["predicted"]))
        assert results.loc[name, "UA"] == pytest.approx(expected["UA"])
        recall = (own["predicted"] == own["true"])[own["true"] == "sad"].mean()
        assert results.loc[name, "recall of sad"] == pytest.approx(recall)
        assert results.loc[name, "n"] == 120
        assert results.loc[name, "speakers"] == 4
        assert results.loc[name, "over"] == "speakers"
    difference = abs(results.loc["f", "UA"] - results.loc["m", "UA"])
    assert gap["gap"] == pytest.approx(difference)
    assert gap["low"] <= gap["gap"] <= gap["high"]


def test_intervals_equal_a_loop_over_resamples():
    table, speakers, sex = predictions(n=60, speakers=4)
    keys = sex.astype(str)
    found = _resampled(table, keys, speakers, ["f", "m"])
    names = list(dict.fromkeys(speakers))
    generator = np.random.default_rng(0)
    for i in range(50):
        times = generator.multinomial(4, np.full(4, 0.25), size=50)[i]
        drawn = np.repeat(names, times)
        rows = [j for name in drawn for j in table.index[speakers == name]]
        generator = np.random.default_rng(0)
        for column, group in enumerate("fm"):
            own = table.loc[[j for j in rows if keys[j] == group]]
            if len(own):
                scores = evaluate(list(own["true"]), list(own["predicted"]))
                assert found[i, column] == pytest.approx(scores["UA"])
            else:
                assert np.isnan(found[i, column])


def test_groups_of_one_speaker_are_resampled_by_utterance():
    table, speakers, _ = predictions()
    results, gap = group_results(table, binned(speakers), CLASSES, speakers)
    assert set(results["over"]) == {"utterances"}
    assert gap["over"] == "utterances"
    assert (results["UA low"] < results["UA high"]).all()


def test_small_groups_are_only_counted():
    table, speakers, _ = predictions(n=60)
    groups = pd.Series(["rare"] * 5 + ["often"] * 55)
    results, gap = group_results(table, binned(groups), CLASSES, speakers)
    assert results.loc["rare", "n"] == 5
    assert np.isnan(results.loc["rare", "UA"])
    assert gap == {}
    table, speakers, sex = predictions(n=10)
    results, gap = group_results(table, binned(sex), CLASSES, speakers)
    assert "UA" not in results and gap == {}


def test_numbers_are_binned_and_labels_are_ordered():
    bins = binned(pd.Series(np.arange(100) / 10))
    assert list(bins.value_counts()) == [25] * 4
    assert bins.cat.categories[0] == "0 to 2.48"
    years = binned(pd.Series(range(2010, 2020)).repeat(5))
    assert years.cat.categories[0] == "2010 to 2012"
    ages = pd.Series([*map(str, range(20, 60)), "unknown"])
    assert list(binned(ages).value_counts(sort=False)) == [10, 10, 10, 10, 1]
    assert list(binned(ages))[-1] == "unknown"
    few = binned(pd.Series(["10", "2", "1", "2"]))
    assert list(few.cat.categories) == ["1", "2", "10"]
    assert list(binned(pd.Series(["m", "f"])).cat.categories) == ["f", "m"]
