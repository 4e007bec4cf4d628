"""Messages of the trace as they lie on disk: a batch is a head, the names of ways, a list for each part, all the bytes.

Batches and not messages, for each step of Python that a message costs here is taken from calls: the thread that writes
and the one that carries calls share one interpreter.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Final

from appliance.sip.flow import Address

from .masking import masked_all
from .message import Direction, TracedMessage
from .ring import Chunk, Way

MOST_MESSAGES: Final = 250
_HEAD: Final = struct.Struct(">BHHI")
"""Version, messages, ways, bytes of their names."""
_VERSION: Final = 2
_IN, _OUT = Direction


def packed(chunk: Chunk, start: int, end: int) -> bytes:
    """Messages `start` to `end` of the chunk, MOST_MESSAGES at most, secrets masked."""
    ways, dropped = chunk.ways[start:end], chunk.dropped[start:end]
    keys = list(zip(map(id, ways), dropped, strict=True))
    told = dict(zip(keys, zip(ways, dropped, strict=True), strict=True))
    places = dict(zip(told, range(len(told)), strict=True))
    names = "\0".join(_name(*one) for one in told.values()).encode("utf-8", "replace")
    data = masked_all(chunk.data[start:end])
    many = end - start
    return b"".join(
        (
            _HEAD.pack(_VERSION, many, len(told), len(names)),
            names,
            struct.pack(f">{many}d", *chunk.times[start:end]),
            bytes([one is _OUT for one in chunk.directions[start:end]]),
            struct.pack(f">{many}H", *map(places.__getitem__, keys)),
            struct.pack(f">{many}I", *map(len, data)),
            *data,
        )
    )


def _name(way: Way, dropped: str) -> str:
    (host, port), (peer, peer_port) = way.local, way.remote
    words = (way.transport, way.listener, host, str(port), peer, str(peer_port), dropped)
    return "\n".join(word.replace("\n", " ").replace("\0", " ") for word in words)


def unpacked(batch: bytes) -> list[TracedMessage]:
    """The messages of what `packed` made. Raises ValueError, IndexError or struct.error for anything else."""
    version, many, ways, length = _HEAD.unpack_from(batch)
    if version != _VERSION:
        raise ValueError(f"version {version}")
    at = _HEAD.size + length
    names = [_read(name) for name in batch[_HEAD.size : at].decode().split("\0")] if ways else []
    parts = []
    for code, size in (("d", 8), ("B", 1), ("H", 2), ("I", 4)):
        parts.append(struct.unpack_from(f">{many}{code}", batch, at))
        at += many * size
    times, directions, places, lengths = parts
    ends = [at]
    for one in lengths:
        ends.append(ends[-1] + one)
    if ends[-1] != len(batch):
        raise ValueError("not as long as it says")
    found = []
    for when, out, place, (start, end) in zip(times, directions, places, pairwise(ends), strict=True):
        transport, listener, local, remote, dropped = names[place]
        found.append(
            TracedMessage(
                at=when,
                direction=_OUT if out else _IN,
                local=local,
                remote=remote,
                transport=transport,
                listener=listener,
                dropped=dropped,
                data=batch[start:end],
            )
        )
    return found


def _read(name: str) -> tuple[str, str, Address, Address, str]:
    transport, listener, host, port, peer, peer_port, dropped = name.split("\n")
    return transport, listener, (host, int(port)), (peer, int(peer_port)), dropped
