#!/usr/bin/env python3
"""A second reader of tidemark's format, version 1: written from docs/format.md, to show that the page is enough.

    tidemark_reader.py file:///store list JOB [CHECKPOINT]
    tidemark_reader.py file:///store cat JOB PART [CHECKPOINT] > part
    tidemark_reader.py file:///store restore JOB DIRECTORY [CHECKPOINT]

An encrypted job needs --key base64key://..., or the environment variable TIDEMARK_KEY_URL. It reads whole packs' frames one by one and keeps no
cache: a specification that runs, not a tool for large states.
"""

import argparse
import base64
import hashlib
import hmac
import os
import re
import struct
import sys

import blake3
import cramjam
import google_crc32c
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.secret import SecretBox

from wire import Refused, decode

HEADER, FRAME_HEADER, CRC, TAG, MAX_RAW = 16, 16, 4, 16, 1 << 20
SEALED = 1
STREAM, FILE, DIRECTORY, SYMLINK = 1, 2, 3, 4
LABELS = {b"M": b"tidemark manifest", b"P": b"tidemark pack"}


def crc32c(*pieces):
    crc = 0
    for piece in pieces:
        crc = google_crc32c.extend(crc, bytes(piece))
    return crc


def check_header(data, kind):
    if not data.startswith(b"TIDEMARK"):
        raise Refused(f"foreign: it starts with {data[:24]!r}")
    if len(data) < HEADER:
        raise Refused("corrupt: cut off")
    if data[9] > 1:
        raise Refused(f"newer: format version {data[9]}")
    if data[9] == 0 or data[8:9] != kind or data[10] & ~SEALED or data[11]:
        raise Refused("corrupt: bad header")
    return struct.unpack_from("<I", data, 12)[0]


class Keys:
    """The data keys of a store, unwrapped by a local secret as gocloud.dev/secrets/localsecrets does."""

    def __init__(self, url):
        self.box = None
        if url:
            text = url.removeprefix("base64key://")
            self.box = SecretBox(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        self.keys = {}

    def learn(self, sealed):
        for key in sealed.keys:
            if key.id not in self.keys:
                if not self.box:
                    raise Refused(f"sealed: data key {key.id.hex()} of keeper {key.keeper!r}")
                self.keys[key.id] = self.box.decrypt(key.wrapped)

    def of(self, kind, key_id, nonce):
        return AESGCM(hmac.new(self.keys[key_id], LABELS[kind] + nonce, hashlib.sha256).digest())


def open_sealed(aead, nonce, data, clear):
    try:
        return aead.decrypt(nonce, bytes(data), bytes(clear))
    except InvalidTag:
        raise Refused("corrupt: it does not open with its key") from None


def open_envelope(data, kind, keys=None):
    """Returns the message in an envelope."""
    n = check_header(data, kind)
    if len(data) < HEADER + CRC or crc32c(data[:-CRC]) != struct.unpack("<I", data[-CRC:])[0]:
        raise Refused("corrupt: CRC32C")
    if n > len(data) - HEADER - CRC:
        raise Refused("corrupt: length of the body")
    if not data[10] & SEALED:
        return data[HEADER : HEADER + n]
    q = HEADER + 4 + struct.unpack_from("<I", data, HEADER)[0]
    sealed = decode("Sealed", data[HEADER + 4 : q])
    keys.learn(sealed)
    return open_sealed(keys.of(kind, sealed.data_key, sealed.nonce), bytes(12), data[q : HEADER + n], data[:q])


def decode_frame(frame, offset, raw, content_hash, aead):
    """Returns the content of a frame that lies at an offset of its pack."""
    codec, flags, zero, says, p, crc = struct.unpack_from("<BBHIII", frame)
    if crc != crc32c(frame[:12], frame[FRAME_HEADER:]):
        raise Refused("corrupt: CRC32C of a frame")
    if p != len(frame) - FRAME_HEADER or zero or flags != (SEALED if aead else 0) or says != raw or not 0 < raw <= MAX_RAW:
        raise Refused("corrupt: a frame is not as its table says")
    payload = frame[FRAME_HEADER:]
    if aead:
        payload = open_sealed(aead, struct.pack("<QI", offset, 0), payload, frame[:12])
    if codec == 0:
        content = payload
    elif codec == 1:
        if cramjam.snappy.decompress_raw_len(payload) != raw:
            raise Refused("corrupt: length of a Snappy block")
        content = bytes(cramjam.snappy.decompress_raw(payload))
    elif codec == 2:
        content = bytes(cramjam.zstd.decompress(payload, output_len=raw))
    else:
        raise Refused(f"newer: codec {codec}")
    if len(content) != raw or blake3.blake3(content).digest() != content_hash:
        raise Refused("corrupt: content of a frame")
    return content


class Store:
    """A store in a directory: an object is a file, its key the path, but for a few characters."""

    def __init__(self, url):
        self.root = url.removeprefix("file://")

    def path(self, key):
        def segment(s):
            s = re.sub(r'[%<>:"\\|?*]', lambda m: f"%{ord(m[0]):02X}", s)
            return "%2E" + s[1:] if s.startswith(".") else s

        return os.path.join(self.root, *map(segment, key.split("/")))

    def read(self, key, offset=0, size=None):
        with open(self.path(key), "rb") as f:
            f.seek(offset)
            data = f.read() if size is None else f.read(size)
        if size is not None and len(data) != size:
            raise Refused(f"corrupt: {key} is too short")
        return data


def writer_in_key(name):
    out = []
    data = name.encode()
    for i, c in enumerate(data):
        plain = chr(c).isalnum() and c < 128 or chr(c) in "-.~" or (chr(c) == "_" and data[i - 1 : i] != b"_")
        out.append(chr(c) if plain else f"%{c:02X}")
    return "".join(out)


class Checkpoint:
    """One checkpoint of a job; None is the latest."""

    def __init__(self, store, job, number=None, key_url=None):
        self.store, self.job, self.keys, self.aeads = store, job, Keys(key_url), {}
        head = decode("Head", open_envelope(store.read(f"{job}/HEAD"), b"H"))
        for r in head.retained:
            if number in (None, r.id.checkpoint):
                self.entry = r
        if not hasattr(self, "entry"):
            raise Refused(f"there is no checkpoint {number or ''}")
        r = self.entry
        data = head.last_body
        if not data or (r.id.epoch, r.id.checkpoint) != (head.last.epoch, head.last.checkpoint):
            data = store.read(self.manifest_key(r.id, r.manifest_nonce))
        if len(data) != r.manifest_size or blake3.blake3(data).digest() != r.manifest_hash:
            raise Refused("corrupt: the manifest is not the one that HEAD names")
        self.manifest = decode("Manifest", open_envelope(data, b"M", self.keys))
        if self.manifest.job != job or vars(self.manifest.id) != vars(r.id):
            raise Refused("corrupt: the manifest of another checkpoint")

    def manifest_key(self, cid, nonce):
        return f"{self.job}/manifests/{cid.epoch:012}-{cid.checkpoint:012}-{nonce.hex()}"

    def locate(self, o):
        """Returns the key of the object in which a pack lies, and where."""
        if not o.embedded:
            cid = o.id
            return f"{self.job}/data/{cid.epoch:012}/{cid.checkpoint:012}/{writer_in_key(o.writer)}-{o.number:06}-{o.nonce.hex()}", 0
        if o.manifest_nonce:
            return self.manifest_key(o.id, o.manifest_nonce), o.manifest_size - CRC - o.size
        return self.manifest_key(self.entry.id, self.entry.manifest_nonce), self.entry.manifest_size - CRC - o.size

    def frame(self, index, offset, stored, raw, content_hash):
        o = self.manifest.objects[index]
        key, start = self.locate(o)
        if o.data_key and index not in self.aeads:
            self.aeads[index] = self.keys.of(b"P", o.data_key, o.nonce)
        return decode_frame(self.store.read(key, start + offset, stored), offset, raw, content_hash, self.aeads.get(index))

    def table(self, location):
        return decode("Table", self.frame(location.object, location.offset, location.stored, location.raw, location.hash))

    def chunk(self, table, row, pack):
        return self.frame(pack, table.chunk_offset[row], table.chunk_stored[row], table.chunk_raw[row], table.chunk_hash[32 * row : 32 * row + 32])

    def extents(self, table, packs, length):
        """Yields where each extent of a table begins, and its bytes."""
        at, have, content = 0, None, b""
        for e, (k, start, n) in enumerate(zip(table.extent_chunk, table.extent_start, table.extent_length, strict=True)):
            if table.extent_at:
                at = table.extent_at[e]
            if at >= length:
                return
            if k == 0:
                yield at, bytes(n)
            else:
                if have != k:
                    have, content = k, self.chunk(table, k - 1, packs[table.chunk_pack[k - 1]])
                if start + n > len(content):
                    raise Refused("corrupt: an extent leaves its chunk")
                yield at, content[start : start + n]
            at += n

    def segment(self, s, length):
        """Returns the bytes of a segment."""
        tables = [(s.inline, range(len(self.manifest.objects)))]
        if s.stored:
            stored = self.table(s.stored)
            delta = self.table(s.delta) if s.delta else None
            split = len(stored.packs)
            if [self.manifest.objects[i].nonce for i in s.objects] != stored.packs + (delta.packs if delta else []):
                raise Refused("corrupt: table and segment disagree about packs")
            tables = [(stored, s.objects[:split])] + ([(delta, s.objects[split:])] if delta else [])
        out, covered = bytearray(length), bytearray(length)
        for i, (table, packs) in enumerate(tables):
            for at, data in self.extents(table, packs, length):
                end = at + len(data)
                if end > length and (i > 0 or len(tables) == 1):
                    raise Refused("corrupt: an extent leaves its segment")
                data = data[: length - at]
                out[at : at + len(data)] = data
                covered[at : at + len(data)] = b"\1" * len(data)
        if covered.count(1) != length:
            raise Refused("corrupt: the tables do not cover the segment")
        return bytes(out)

    def part(self, name):
        for p in self.manifest.parts:
            if p.name == name:
                return p
        raise Refused(f"there is no part {name!r}")

    def content(self, p):
        """Yields the bytes of a part, segment by segment."""
        if p.size and len(p.segments) != -(-p.size // p.segment_size):
            raise Refused("corrupt: number of segments")
        for i, s in enumerate(p.segments):
            yield self.segment(s, min(p.segment_size, p.size - i * p.segment_size))


def restore(c, directory):
    os.makedirs(directory)
    links = []
    for p in c.manifest.parts:
        target = os.path.join(os.fsencode(directory), p.name)
        if any(s in (b"", b".", b"..") for s in p.name.split(b"/")):
            raise Refused(f"corrupt: the name {p.name!r}")
        os.makedirs(target if p.kind == DIRECTORY else os.path.dirname(target), exist_ok=True)
        if p.kind == SYMLINK:
            links.append((p.link_target, target))  # at the end: nothing is written through one
        elif p.kind in (STREAM, FILE):
            with open(target, "xb") as f:
                for data in c.content(p):
                    f.write(data)
            if p.kind == FILE:
                os.chmod(target, p.mode)
                os.utime(target, ns=(p.modified_ns, p.modified_ns))
    for to, target in links:
        os.symlink(to, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key", default=os.environ.get("TIDEMARK_KEY_URL"))
    parser.add_argument("store")
    parser.add_argument("verb", choices=["list", "cat", "restore"])
    parser.add_argument("job")
    parser.add_argument("rest", nargs="*")
    args = parser.parse_args()
    if len(args.rest) not in ((0, 1) if args.verb == "list" else (1, 2)):
        parser.error("wrong number of arguments")
    number = args.rest[0 if args.verb == "list" else 1 :]
    c = Checkpoint(Store(args.store), args.job, int(number[0]) if number else None, args.key)
    if args.verb == "list":
        for p in c.manifest.parts:
            print(p.kind, p.size, f"{p.mode:o}", os.fsdecode(p.name))
    elif args.verb == "cat":
        for data in c.content(c.part(os.fsencode(args.rest[0]))):
            sys.stdout.buffer.write(data)
    else:
        restore(c, args.rest[0])


if __name__ == "__main__":
    try:
        main()
    except (Refused, OSError) as e:
        sys.exit(f"tidemark_reader: {e}")
