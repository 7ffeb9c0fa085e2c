"""The script of ``make test-seeds`` and ``make test-portable``."""

import sys

import variants

TESTS = """
import os
import pytest

def test_environment():
    assert os.environ["OMP_NUM_THREADS"] == "4"

def test_failure():
    assert False

@pytest.mark.skip
def test_skipped():
    pass
"""


def test_counts_of_a_variant(tmp_path):
    (tmp_path / "test_three.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", str(tmp_path)]
    variant = variants.Variant("four threads", [], variants.FOUR_THREADS)
    row = variants.run(variant, command)
    assert (row["passed"], row["failed"], row["skipped"]) == (1, 1, 1)
    assert row["exit status"] == 1


def test_every_condition_is_covered():
    conditions = [v.environment for v in variants.VARIANTS["portable"]]
    assert {c["OMP_NUM_THREADS"] for c in conditions} == {"1", "4"}
    for name, values in (
        ("ATEN_CPU_CAPABILITY", {None, "avx2", "default"}),
        ("ONEDNN_MAX_CPU_ISA", {None, "AVX2", "SSE41"}),
    ):
        assert {c.get(name) for c in conditions} == values
    offsets = [v.arguments[-1] for v in variants.VARIANTS["seeds"]]
    assert len(set(offsets)) >= 5
