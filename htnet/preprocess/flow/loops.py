"""Common parts of the loops that numba compiles. Only those loops import this file, when they are compiled."""

from __future__ import annotations

from typing import Any

from numba import njit, types
from numba.extending import intrinsic

#: Sums may be reordered, so that they can be vectorized. NaN and infinity keep their meaning.
OPTIONS: dict[str, Any] = {"fastmath": {"contract", "reassoc", "nsz"}, "error_model": "numpy", "_nrt": False}
FLOATS, DOUBLES, INTS, BYTES = (
    types.CPointer(kind) for kind in (types.float32, types.float64, types.int64, types.uint8)
)


@intrinsic
def at(typingctx, pointer, places):  # type: ignore[no-untyped-def]
    """The pointer, advanced by ``places`` elements."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.intp), codegen


@intrinsic
def floats_at(typingctx, address):  # type: ignore[no-untyped-def]
    """Pointer to the float32 numbers at an address (int64)."""

    def codegen(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], context.get_value_type(FLOATS))

    return FLOATS(types.int64), codegen


def jit(function: Any) -> Any:
    """Compile a loop that other loops call."""
    return njit(**OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
