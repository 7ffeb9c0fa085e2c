"""Property-based tests: hypothesis searches the simplest failure."""

import sys

import hypothesis
from helpers.seeds import shifted

from speechbrain.utils.importutils import LazyModule


def search(check, *strategies, examples, seed=0):
    """Call ``check`` with generated values; raise its simplest failure."""
    # hypothesis reads __file__ of all modules, which would load lazy ones
    for module in list(sys.modules.values()):
        if isinstance(module, LazyModule):
            module.__file__ = None
    settings = hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.seed(shifted(seed))(
        settings(hypothesis.given(*strategies)(check))
    )()
