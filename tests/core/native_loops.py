"""A loop that numba compiles in a moment, for the tests of `htnet.core.native`."""

from numba import cfunc, types


@cfunc(types.int64(types.CPointer(types.float32), types.CPointer(types.int64)), error_model="numpy", _nrt=False)
def running_sums(values, count):
    for k in range(1, count[0]):
        values[k] += values[k - 1]
    return count[0]
