"""Short version of ``make stress``: every kind of damage once."""

from stress.damage import DAMAGES, FAILURES, stress


def test_corpus_damage_is_reported():
    assert len(DAMAGES) >= 40
    outcomes, failures = stress(
        len(DAMAGES) + 10, seed=1, report=lambda _: None
    )
    assert failures == []
    assert not any(outcomes[name] for name in FAILURES)
    # most damage is not harmless
    assert outcomes["refused"] + outcomes["listed"] > len(DAMAGES) / 2
