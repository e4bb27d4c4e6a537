"""What the test hub reads of the Xet upload protocol: xorbs (packed chunks) and shards (file recipes).

The client uploads large files this way and no other whenever `hf_xet` is installed, so a server that is to
take an upload from an unmodified client must be able to read it. Format: the public Xet protocol
specification 1.1 ("Xorb format", "MDB shard file format"). Hashes of chunks and xorbs (BLAKE3) are not
checked, as the standard library cannot; the SHA-256 of each rebuilt file is.
"""

import hashlib
import struct

_ENTRY = 48  # bytes of every record in a shard
_BOOKEND = b"\xff" * 32
_HAS_VERIFICATION = 1 << 31
_HAS_SHA256 = 1 << 30
_LZ4_MAGIC = 0x184D2204


def hash_hex(raw: bytes) -> str:
    """Write a 32-byte Xet hash as text: four little-endian 64-bit words."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))


def xorb_chunks(body: bytes) -> list[bytes]:
    """Unpack the chunks of a serialized xorb, footer or not."""
    chunks, at = [], 0
    while at < len(body) and not body.startswith(b"XETBLOB", at):
        version, scheme = body[at], body[at + 4]
        packed = int.from_bytes(body[at + 1 : at + 4], "little")
        size = int.from_bytes(body[at + 5 : at + 8], "little")
        if version != 0:
            raise ValueError(f"xorb chunk header version {version} at byte {at}: only version 0 is known")
        chunk = _unpack(body[at + 8 : at + 8 + packed], scheme, size)
        if len(chunk) != size:
            raise ValueError(f"xorb chunk at byte {at} has {len(chunk)} bytes, its header says {size}")
        chunks.append(chunk)
        at += 8 + packed
    return chunks


def shard_files(body: bytes, xorbs: dict[str, list[bytes]]) -> list[bytes]:
    """Rebuild the files that a shard describes and check them against the SHA-256 that it states."""
    files, at = [], _ENTRY  # after the shard header
    while not body.startswith(_BOOKEND, at):
        flags, n_terms = struct.unpack_from("<2I", body, at + 32)
        at += _ENTRY
        content = bytearray()
        for _ in range(n_terms):
            xorb = hash_hex(body[at : at + 32])
            _, size, first, last = struct.unpack_from("<4I", body, at + 32)
            if xorb not in xorbs:
                raise ValueError(f"shard names xorb {xorb}, which was never uploaded")
            term = b"".join(xorbs[xorb][first:last])
            if len(term) != size:
                raise ValueError(f"chunks {first}..{last} of xorb {xorb} hold {len(term)} bytes, not {size}")
            content += term
            at += _ENTRY
        if flags & _HAS_VERIFICATION:
            at += _ENTRY * n_terms
        if not flags & _HAS_SHA256:
            raise ValueError("shard describes a file without its SHA-256")
        stated = hash_hex(body[at : at + 32])
        at += _ENTRY
        actual = hashlib.sha256(content).hexdigest()
        if stated != actual:
            raise ValueError(f"rebuilt file has SHA-256 {actual}, the shard says {stated}")
        files.append(bytes(content))
    return files


def _unpack(packed: bytes, scheme: int, size: int) -> bytes:
    if scheme == 0:
        return packed
    if scheme == 1:
        return lz4_frame(packed)
    if scheme == 2:  # LZ4 over the bytes sorted by their position modulo 4
        grouped, out, at = lz4_frame(packed), bytearray(size), 0
        for lane in range(4):
            length = len(range(lane, size, 4))
            out[lane::4] = grouped[at : at + length]
            at += length
        return bytes(out)
    raise ValueError(f"xorb chunk compression scheme {scheme}: only 0 (none), 1 (LZ4), 2 (grouped LZ4) are known")


def lz4_frame(frame: bytes) -> bytes:
    """Decompress one LZ4 frame (checksums are not verified)."""
    magic, flags = struct.unpack_from("<IB", frame)
    if magic != _LZ4_MAGIC:
        raise ValueError(f"not an LZ4 frame: it starts with {frame[:4].hex()}")
    at = 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)  # content size, dictionary id
    out = bytearray()
    while word := int.from_bytes(frame[at : at + 4], "little"):
        size = word & 0x7FFFFFFF
        block = frame[at + 4 : at + 4 + size]
        if word >> 31:
            out += block
        else:
            _lz4_block(block, out)
        at += 4 + size + (4 if flags & 0x10 else 0)
    return bytes(out)


def _lz4_block(block: bytes, out: bytearray) -> None:
    at = 0

    def length(nibble: int) -> int:
        nonlocal at
        total = nibble
        if nibble == 15:
            while True:
                total += block[at]
                at += 1
                if block[at - 1] != 255:
                    break
        return total

    while at < len(block):
        token = block[at]
        at += 1
        literals = length(token >> 4)
        out += block[at : at + literals]
        at += literals
        if at >= len(block):  # the last sequence has no match
            return
        offset = int.from_bytes(block[at : at + 2], "little")
        at += 2
        match = length(token & 15) + 4
        start = len(out) - offset
        source = out[start : start + match]
        # A match may run into what it is writing: the source then repeats.
        out += (source * (match // len(source) + 1))[:match]
