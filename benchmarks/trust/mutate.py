"""Mutations of files that know their format, so that many mutants get past the header."""

from __future__ import annotations

import csv
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

#: Values that readers meet rarely; "OUTSIDE" is replaced by a place that must not be written.
TEXTS = (
    *(
        "",
        " ",
        "0",
        "-1",
        "1e309",
        "nan",
        "inf",
        "9" * 400,
        "1.5",
        "true",
        "null",
        "../../x",
        "OUTSIDE/x",
        "..",
        "/",
        "a/b",
    ),
    *("\u202eabc", "\ud83d\ude00", "=1+1", "'", '"', "a" * 5000, "CON", "x\ty", "12L+4", "1,5", "\u0661", "\x07"),
    # What takes long where a pattern is tried in many ways.
    *("1" * 30_000 + "x", " " * 30_000 + "x", "0." * 15_000, "(4" * 10_000, "a1" * 15_000, "[" * 5_000),
)
VALUES: tuple[Any, ...] = (
    *TEXTS,
    None,
    True,
    0,
    -1,
    1,
    2**31,
    2**63,
    10**30,
    1e308,
    0.5,
    [],
    {},
    [[]],
    {"a": 1},
    [1, 2, 3],
)
_INTEGERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def mutate(kind: str, data: bytes, rng: random.Random) -> bytes:
    """One mutant.

    Args:
        kind: how the file is built: "biff" (.xls), "csv", "json", "zip", "png", "safetensors", "text", or
            "bytes" and others, which are changed byte by byte.
        data: the sample.
        rng: what draws.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        knows = _KNOWS.get(kind)
        if knows is None or rng.random() < 0.2:
            data = _bytes(data, rng, _HEADS.get(kind, 0.02))
        else:
            try:
                data = knows(data, rng)
            except Exception:  # of a mutant of before, which is damaged
                data = _bytes(data, rng, 0.0)
    return data


def _bytes(data: bytes, rng: random.Random, head: float) -> bytes:
    """Change some bytes behind the head, which is a share of the file; the head too, now and then."""
    found = bytearray(data)
    if not found:
        return bytes(rng.randrange(256) for _ in range(8))
    low = 0 if rng.random() < 0.15 else min(len(found) - 1, int(len(found) * head))
    at = rng.randrange(low, len(found))
    how = rng.randrange(7)
    if how == 0:
        found[at] ^= 1 << rng.randrange(8)
    elif how == 1:
        found[at] = rng.randrange(256)
    elif how == 2:
        size, order = rng.choice((1, 2, 4)), rng.choice(("little", "big"))
        value = rng.choice(_INTEGERS) & (256**size - 1)
        found[at : at + size] = value.to_bytes(size, order)
    elif how == 3:
        del found[at : at + rng.randrange(1, 64)]
    elif how == 4:
        found[at:at] = found[at : at + rng.randrange(1, 64)]
    elif how == 5:
        del found[at:]
    else:
        end = min(len(found), at + rng.randrange(1, 256))
        found[at:end] = bytes(rng.randrange(256) for _ in range(end - at))
    return bytes(found)


def _text(data: bytes, rng: random.Random) -> bytes:
    words = data.decode("utf-8").split(" ")
    words[rng.randrange(len(words))] = rng.choice(TEXTS)
    return " ".join(words).encode("utf-8", "surrogatepass")


def _csv(data: bytes, rng: random.Random) -> bytes:
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    how, row = rng.randrange(8), rng.randrange(1, len(rows)) if len(rows) > 1 else 0
    if how < 4:
        rows[row][rng.randrange(len(rows[row]))] = rng.choice(TEXTS)
    elif how == 4:
        column = rng.randrange(len(rows[row]))
        for each in rows[1:]:
            each[column] = rng.choice(TEXTS)
    elif how == 5:
        rows.insert(row, list(rows[rng.randrange(len(rows))]))
    elif how == 6:
        del rows[row][rng.randrange(len(rows[row]))]
    else:
        rows[0][rng.randrange(len(rows[0]))] = rng.choice((*rows[0], *TEXTS))
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=rng.choice(",,,,;\t")).writerows(rows)
    return out.getvalue().encode("utf-8", "surrogatepass")


def _json(data: bytes, rng: random.Random) -> bytes:
    if b"\n{" in data.strip():  # one document a line
        lines = data.strip().split(b"\n")
        at = rng.randrange(len(lines))
        lines[at] = _json(lines[at], rng)
        return b"\n".join(lines) + b"\n"
    content = json.loads(data)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys:
            places.append((node, key))
            walk(node[key])

    walk(content)
    if not places:
        return json.dumps(rng.choice(VALUES)).encode()
    node, key = rng.choice(places)
    how = rng.randrange(8)
    if how < 4:
        node[key] = rng.choice(VALUES)
    elif how == 4:
        del node[key]
    elif how == 5 and isinstance(node[key], (int, float)):
        node[key] = node[key] * rng.choice((-1, 0, 1e9, 1e300, 0.1))
    elif how == 6:
        deep = rng.choice((5, 60))
        for _ in range(deep):
            node[key] = [node[key]] if rng.random() < 0.5 else {"a": node[key]}
    else:
        other = rng.choice(places)
        node[key] = json.loads(json.dumps(other[0][other[1]]))
    return json.dumps(content).encode()


def _zip(data: bytes, rng: random.Random) -> bytes:
    """Another member, with a sum that fits."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    at = rng.randrange(len(members))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, (info, content) in enumerate(members):
            name = info.filename
            if number == at:
                if rng.random() < 0.1:
                    name = rng.choice(("../../x", "/x", name + "x", "a" * 300))
                else:
                    known = _xml if content.startswith(b"<") else None
                    content = (known or (lambda c, r: _bytes(c, r, 0.0)))(content, rng)
            archive.writestr(name, content, info.compress_type)
    return out.getvalue()


def _xml(data: bytes, rng: random.Random) -> bytes:
    """Another text or attribute of an XML file."""
    pieces = data.replace(b'"', b">").split(b">")
    at = rng.randrange(len(pieces))
    start = sum(len(piece) + 1 for piece in pieces[:at])
    text = rng.choice(TEXTS).encode("utf-8", "ignore").replace(b"<", b"").replace(b"\x07", b"")
    inner = pieces[at].split(b"<")[0]
    return data[:start] + text + data[start + len(inner) :]


def _png(data: bytes, rng: random.Random) -> bytes:
    """Another chunk, with a sum that fits."""
    at, chunks = 8, []
    while at + 12 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    number = rng.randrange(len(chunks))
    name, content = chunks[number]
    if name == b"IHDR" and rng.random() < 0.7:
        small = bytearray(content)
        small[rng.choice((3, 7, 8, 9, 12))] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 32, 96, 255))
        content = bytes(small)
    elif name == b"IDAT" and rng.random() < 0.7:
        content = zlib.compress(_bytes(zlib.decompress(content), rng, 0.0))
    elif rng.random() < 0.5:
        content = _bytes(content, rng, 0.0) if content else b"x"
    chunks[number] = (name, content)
    if rng.random() < 0.15:
        chunks.insert(rng.randrange(1, len(chunks) + 1), rng.choice(chunks))
    parts = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    return data[:8] + b"".join(parts)


def _biff(data: bytes, rng: random.Random) -> bytes:
    """Another cell or record of an old workbook, with a length that fits; the first, which says the version, stays."""
    at, records = 0, []
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, at)
        records.append((kind, data[at + 4 : at + 4 + size]))
        at += 4 + size
    number = rng.randrange(1, len(records))
    kind, content = records[number]
    how = rng.randrange(6)
    if how == 0:
        kind = rng.choice((0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x0A, 0x1E, 0x43, rng.randrange(256)))
    elif how == 1:
        records.insert(number, records[rng.randrange(len(records))])
    elif content:
        content = _bytes(content, rng, 0.0)[:8000]
    records[number] = (kind, content)
    return b"".join(struct.pack("<HH", kind, len(content)) + content for kind, content in records)


def _safetensors(data: bytes, rng: random.Random) -> bytes:
    """Another header of the right length, or other numbers."""
    size = struct.unpack("<Q", data[:8])[0]
    head, rest = data[8 : 8 + size], data[8 + size :]
    chance = rng.random()
    if chance < 0.4:
        at = rng.randrange(len(rest))
        return data[: 8 + size] + rest[:at] + bytes([rng.randrange(256)]) + rest[at + 1 :]
    content = json.loads(head)
    texts = [key for key, text in content.get("__metadata__", {}).items() if text[:1] in "{["]
    if chance < 0.8 and texts:  # JSON in JSON
        key = rng.choice(texts)
        content["__metadata__"][key] = _json(content["__metadata__"][key].encode(), rng).decode()
        head = json.dumps(content).encode()
    else:
        head = _json(head, rng)
    return struct.pack("<Q", len(head)) + head + rest


_KNOWS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "biff": _biff,
    "csv": _csv,
    "json": _json,
    "zip": _zip,
    "png": _png,
    "safetensors": _safetensors,
    "text": _text,
}
#: Share of a file that its header is, for formats that are changed byte by byte.
_HEADS = {"picture": 0.1, "video": 0.2}
