"""The messages of docs/format.md, decoded by hand: field number to (name, kind, repeated).

Kinds: n a number, s a signed one, f a fixed32, b bytes, t text, or the name of another message.
"""

import struct
from types import SimpleNamespace


class Refused(Exception):
    """An object is not what it should be. The text starts with the kind of mistake: foreign, newer, corrupt or sealed."""


MESSAGES = {
    "CheckpointID": {1: "epoch n", 2: "checkpoint n"},
    "Head": {
        1: "nonce b", 2: "epoch n", 3: "owner t", 4: "last CheckpointID", 5: "retained* Retained", 6: "pins* Pin", 7: "removed n",
        8: "written_at_ns s", 9: "fence b", 10: "last_manifest b", 12: "last_body b", 13: "key WrappedKey",
    },
    "Retained": {
        1: "id CheckpointID", 2: "manifest_nonce b", 3: "manifest_size n", 4: "manifest_crc32c f", 5: "manifest_hash b", 6: "committed_at_ns s",
        7: "stats Stats",
    },
    "Stats": {
        1: "parts n", 2: "bytes n", 3: "new_bytes n", 4: "stored_bytes n", 5: "duration_ns s", 6: "puts n", 7: "gets n", 8: "lists n", 9: "deletes n",
        10: "heads n", 11: "retries n", 12: "throttled n", 13: "read_bytes n", 14: "wait_ns s", 15: "upload_ns s", 16: "token_fetches n",
        17: "moved_bytes n",
    },
    "Pin": {1: "kind n", 2: "name t", 3: "checkpoint n", 4: "expires_at_ns s", 5: "nonce b"},
    "Manifest": {
        1: "job t", 2: "id CheckpointID", 3: "base CheckpointID", 4: "objects* Object", 5: "parts* Part", 6: "metadata* Entry", 7: "created_at_ns s",
    },
    "Entry": {1: "key t", 2: "value b"},
    "Object": {
        1: "id CheckpointID", 2: "writer t", 3: "number n", 4: "nonce b", 5: "size n", 6: "crc32c f", 7: "embedded n", 8: "manifest_nonce b",
        9: "manifest_size n", 10: "manifest_crc32c f", 11: "raw n", 12: "data_key b",
    },
    "Part": {
        1: "name b", 2: "kind n", 3: "size n", 4: "mode n", 5: "modified_ns s", 6: "link_target b", 7: "method n", 8: "reason t", 9: "new_bytes n",
        10: "identity b", 11: "segments* Segment", 12: "segment_size n", 13: "chunks n", 14: "moved_bytes n",
    },
    "Segment": {1: "inline Table", 2: "stored Location", 3: "objects* n", 4: "delta Location", 5: "used* n"},
    "Location": {1: "object n", 2: "offset n", 3: "stored n", 4: "raw n", 5: "hash b"},
    "Table": {
        1: "packs* b", 2: "chunk_pack* n", 3: "chunk_offset* n", 4: "chunk_stored* n", 5: "chunk_raw* n", 6: "chunk_hash b", 7: "extent_chunk* n",
        8: "extent_start* n", 9: "extent_length* n", 10: "page_size n", 11: "page_hash b", 12: "page_key b", 13: "extent_at* n", 14: "page_index* n",
    },
    "Sealed": {1: "nonce b", 2: "data_key b", 3: "keys* WrappedKey", 4: "refers b"},
    "WrappedKey": {1: "id b", 2: "keeper t", 3: "wrapped b"},
}


def _schema(fields):
    out = {}
    for number, text in fields.items():
        name, kind = text.split()
        out[number] = (name.rstrip("*"), kind, name.endswith("*"))
    return out


_SCHEMAS = {name: _schema(fields) for name, fields in MESSAGES.items()}
_EMPTY = {"n": 0, "s": 0, "f": 0, "b": b"", "t": ""}


def varint(data, at):
    """Returns the number at an offset, and where the next field begins."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Refused("corrupt: a number is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def decode(name, data):
    """Decodes a message. What is absent is zero, empty, or None for a message."""
    schema = _SCHEMAS[name]
    message = SimpleNamespace(**{field: [] if many else _EMPTY.get(kind) for field, kind, many in schema.values()})
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number not in schema:
            raise Refused(f"newer: {name} has a field {number}")
        field, kind, many = schema[number]
        if wire == 0 and kind in "ns":
            value, at = varint(data, at)
            values = [value - (1 << 64) if kind == "s" and value >> 63 else value]
        elif wire == 5 and kind == "f" and at + 4 <= len(data):
            values, at = [struct.unpack_from("<I", data, at)[0]], at + 4
        elif wire == 2 and kind not in ("s", "f"):
            size, at = varint(data, at)
            if size > len(data) - at:
                raise Refused(f"corrupt: {name}.{field} is cut off")
            values, at = _value(kind, data[at : at + size]), at + size
        else:
            raise Refused(f"corrupt: {name}.{field} in wire type {wire}")
        if many:
            getattr(message, field).extend(values)
        else:
            setattr(message, field, values[-1])
    return message


def _value(kind, data):
    if kind == "b":
        return [data]
    if kind == "t":
        return [data.decode("utf-8")]
    if kind != "n":
        return [decode(kind, data)]
    numbers, at = [], 0  # packed
    while at < len(data):
        value, at = varint(data, at)
        numbers.append(value)
    return numbers
