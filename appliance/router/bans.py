"""Bans: by address (IPv6: by /64) or by hand for any network; bounded, expiring, told and restored as plain facts.

Those that the guard makes by itself are in the order in which they were made: where there is no more room, the oldest
gives way, so that a storm of forged senders costs neither memory nor time. Bans by hand never give way.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network, ip_network
from itertools import chain, islice

import attrs

from appliance.config.kinds import Network
from appliance.config.security import Grade

from .acl import Ip

MOST_BANS = 16_384
MOST_BY_HAND = 4096


@attrs.define(eq=False, slots=True)
class Ban:
    """`until` on the monotonic clock. `times` counts the drops of this source so far; each doubles the next."""

    key: str
    grade: Grade
    until: float
    cause: str
    by_hand: bool = False
    times: int = 0


@attrs.frozen
class BanRecord:
    """A ban as it is kept and shown; `left_s` None for one without end."""

    source: str
    grade: str
    left_s: float | None
    cause: str
    by_hand: bool
    times: int


def key_of(ip: Ip) -> str:
    """What a source is counted by: an IPv4 address, or the /64 of an IPv6 one."""
    if isinstance(ip, IPv6Address):
        return f"{IPv6Address(int(ip) >> 64 << 64)}/64"
    return str(ip)


def source_of(text: str) -> str:
    """The key of an address or network as an operator writes it: 203.0.113.7, 203.0.113.0/24, 2001:db8::/48.

    Raises ValueError with the mistake in words.
    """
    try:
        network = ip_network(text.strip().strip("[]"), strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is neither an address nor a network") from None
    if isinstance(network, IPv6Network) and network.prefixlen == 64:
        return str(network)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


class Bans:
    """All bans there are, the expired ones too until their offence is forgotten."""

    def __init__(self) -> None:
        self._made: dict[str, Ban] = {}
        self._by_hand: dict[str, Ban] = {}
        self._networks: list[tuple[Network, Ban]] = []
        self.total = 0
        """How many the guard ever made."""
        self.changed = False
        """Something is there to be written down; whoever does so resets it."""

    def __len__(self) -> int:
        return len(self._made) + len(self._by_hand)

    def __iter__(self) -> Iterator[Ban]:
        return chain(self._by_hand.values(), self._made.values())

    def active(self, now: float) -> int:
        """How many are in force."""
        return sum(ban.until > now for ban in self)

    def of(self, ip: Ip) -> Ban | None:
        """The ban by hand of this address, or else the one of its key; it may have expired."""
        if self._networks:
            for network, ban in self._networks:
                if ip in network:
                    return ban
        return self._made.get(key_of(ip))

    def made(self, key: str) -> Ban | None:
        """The guard's own ban of this key, in force or not yet forgotten."""
        return self._made.get(key)

    def add(self, ban: Ban) -> None:
        """Put it in the place of one that is there. Raises ValueError where there are too many by hand."""
        self.changed = True
        if ban.by_hand:
            if ban.key not in self._by_hand and len(self._by_hand) >= MOST_BY_HAND:
                raise ValueError(f"there are {MOST_BY_HAND} bans by hand already")
            self._by_hand[ban.key] = ban
            self._index()
            return
        self.total += 1
        self._made.pop(ban.key, None)
        if len(self._made) >= MOST_BANS:
            oldest = self._made.pop(next(iter(self._made)))
            oldest.until = 0.0
        self._made[ban.key] = ban

    def remove(self, key: str) -> bool:
        """Lift every ban of exactly this key; False where there is none in the book."""
        found = [book.pop(key) for book in (self._by_hand, self._made) if key in book]
        for ban in found:
            ban.until = 0.0
        self._index()
        self.changed = self.changed or bool(found)
        return bool(found)

    def sweep(self, now: float, forget_s: float) -> None:
        """Forget what expired: bans by hand at once, others once their offence counts no more."""
        over = [ban for ban in self._by_hand.values() if ban.until <= now]
        for ban in over:
            del self._by_hand[ban.key]
        if over:
            self._index()
        forgotten = [key for key, ban in self._made.items() if ban.until + forget_s <= now]
        for key in forgotten:
            del self._made[key]
        self.changed = self.changed or bool(over)

    def records(self, now: float, most: int | None = None) -> list[BanRecord]:
        """Those in force, by hand first, then the latest first."""
        made = reversed(self._made.values())
        found = (
            BanRecord(
                source=ban.key,
                grade=ban.grade.value,
                left_s=None if ban.until == float("inf") else ban.until - now,
                cause=ban.cause,
                by_hand=ban.by_hand,
                times=ban.times,
            )
            for ban in chain(self._by_hand.values(), made)
            if ban.until > now
        )
        return list(islice(found, most))

    def restore(self, records: list[BanRecord], now: float) -> None:
        """Take up what `records` gave, some time ago; those of records that make no sense are left out."""
        for one in reversed(records):
            try:
                key, grade = source_of(one.source), Grade(one.grade)
                until = float("inf") if one.left_s is None else now + float(one.left_s)
                self.add(Ban(key, grade, until, str(one.cause), bool(one.by_hand), int(one.times)))
            except (ValueError, TypeError):
                continue
        self.changed = False

    def _index(self) -> None:
        networks = [(ip_network(key), ban) for key, ban in self._by_hand.items()]
        self._networks = sorted(networks, key=lambda pair: -pair[0].prefixlen)
