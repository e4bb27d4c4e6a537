"""Which cases of a parametrized test are slow."""

import pytest


def slow_if(wanted, cases):
    """The cases, one value each; those for which ``wanted(case)`` contains are marked slow."""
    return [pytest.param(case, marks=pytest.mark.slow) if wanted(case) else case for case in cases]
