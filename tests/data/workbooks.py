"""Workbooks of the old format (.xls), as small as they can be."""

import struct

#: Number formats by their place.
FORMATS = (b"General", b"0.00E+00")


def _record(kind, body):
    return struct.pack("<HH", kind, len(body)) + body


def old_workbook(rows):
    """The bytes of one sheet of text and numbers, as Excel 2 wrote them; a tuple is a number shown as 2.00E+01."""
    out = _record(0x09, struct.pack("<HH", 2, 0x10))
    out += b"".join(_record(0x1E, bytes([len(name)]) + name) for name in FORMATS)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            if cell is None:
                continue
            value, shown = (cell[0], 1) if isinstance(cell, tuple) else (cell, 0)
            head = struct.pack("<HH", i, j) + bytes([0, shown, 0])
            if isinstance(value, str):
                out += _record(0x04, head + bytes([len(value)]) + value.encode("ascii"))
            else:
                out += _record(0x03, head + struct.pack("<d", value))
    return out + _record(0x0A, b"")
