"""Short version of ``make stress``: every way to write a custom corpus once."""

from stress.tables import DAMAGES, FAILURES, stress


def test_changed_tables_and_alignments_are_reported():
    assert len(DAMAGES) >= 50
    outcomes, failures = stress(
        len(DAMAGES) + 10, seed=1, report=lambda _: None
    )
    assert failures == []
    assert not any(outcomes[name] for name in FAILURES)
    assert outcomes["harmless"] > len(DAMAGES) / 4
