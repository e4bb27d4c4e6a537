import warnings

import pytest

from htnet.core import deprecated
from htnet.core.warn import warn_user


def test_a_warning_points_at_the_callers_line():
    with pytest.warns(UserWarning, match="look here") as caught:
        warn_user("look here")
    assert caught[0].filename == __file__


def test_however_deep_inside_the_library():
    def new_only(new=0):
        return new

    inner = deprecated._taking_old_names(new_only, {"old": "new"})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert inner(old=1) == 1
    assert [w.filename for w in caught] == [__file__]
