"""Rules of the fields of `htnet.core.types.PreprocessSpec`."""

from __future__ import annotations

from htnet.core.fields import Rule, each, real, whole

#: Five (x, y), see `htnet.core.types.POINT_NAMES`.
FIVE_POINTS = Rule(each(each(real(), 2), 5).allows, "five (x, y) in 28 px units, finite numbers")
# The upper bounds only stop what a damaged file may contain: such a side or count would end in an error of NumPy.
SIDE = whole(4, 4096, even=True)
CHANNELS = Rule(lambda names: sorted(names) == ["strain", "u", "v"], "an order of strain, v, u")
MOMENTS = Rule(lambda count: whole(0, 4096).allows(count) and count != 1, "a whole number from 2 to 4096, or 0")
