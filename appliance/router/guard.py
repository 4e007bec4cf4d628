"""The source guard: how much each source may send, and what becomes of one that goes too far.

The way in is one dictionary lookup and a subtraction: `known[address].left -= 1`; only where nothing is left somebody
looks closer, by `judge`. Sources are remembered in two generations, the older forgotten when the younger is full, so
that forged senders cost bounded memory and an active source is never the one forgotten. An IPv6 source is its /64.

Evidence has two qualities. Over a connection, or with a nonce that was sent to this very address, it is proved, and
bans grow with each offence. A datagram's sender may be forged: bans for those are short and never grow, and do not
touch a source that has lately given a right password: otherwise anybody could ban anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from ipaddress import ip_network

import attrs

from appliance.config.kinds import Network
from appliance.config.security import Grade, SecuritySettings

from .acl import AccessList, ip_of
from .bans import Ban, BanRecord, Bans, key_of, source_of

MOST_SOURCES = 65_536
INFINITE = float("inf")
VERIFIED_S = 3600.0
_STEP_S = 1.0
"""A flood goes up one grade in this time, not in three messages."""
_NONCES = 4
_CREDIT = 16_384
"""Bytes that a source which nobody has verified may have saved up for answers."""


class Verdict(Enum):
    PASS = auto()
    DELAY = auto()
    DROP = auto()


@attrs.define(eq=False, slots=True)
class Source:
    """One sender. `left`: messages until somebody looks closer; for a banned one always none."""

    key: str
    left: float
    since: float
    """When `left` was last granted."""
    exempt: bool = False
    trusted: bool = False
    """A trunk's, by its address: one that it trusts, or a gateway's."""
    stranger: bool = True
    """It has not yet shown that it receives what we send to its address."""
    denied: frozenset[str] = frozenset()
    """Listeners that do not take this address."""
    ban: Ban | None = None
    saved: float = 0.0
    """Messages granted and not yet in `left`."""
    requests: float = 0.0
    requests_at: float = 0.0
    malformed: float = 0.0
    malformed_at: float = 0.0
    failures: float = 0.0
    failures_at: float = 0.0
    step: int = 0
    """How many grades it has gone up."""
    offended_at: float = -INFINITE
    verified_at: float = -INFINITE
    """When it last gave a right password, or proved itself otherwise."""
    nonces: tuple[str, ...] = ()
    """The last that were sent to it."""
    credit: float = 0.0
    """Bytes that may still be sent to a stranger by UDP."""
    reserve: float = 0.0
    """How many of them wait for a final answer."""

    def spend(self, size: int, *, final: bool) -> bool:
        """Whether an answer of so many bytes may go to a source that nobody has verified.

        A provisional one leaves enough for the final one to come.
        """
        if size > (self.credit if final else self.credit - self.reserve):
            return False
        self.credit -= size
        return True


class SourceGuard:
    """`tell` is called with (source, ban or None, cause) for each step up; None: it is only told of."""

    def __init__(self, tell: Callable[[Source, Ban | None, str], None]) -> None:
        self.known: dict[str, Source] = {}
        """By address as flows have it; the same object for as long as the guard lives."""
        self.bans = Bans()
        self.drops: dict[str, int] = {}
        """Messages and connections not taken, by cause; the causes are ours."""
        self._older: dict[str, Source] = {}
        self._tell = tell

    def configure(
        self,
        settings: SecuritySettings,
        trusted: Iterable[Network],
        gateways: Iterable[Network],
        listeners: Mapping[str, AccessList],
    ) -> None:
        """Take new settings. `trusted` and `gateways` are the trunks', `listeners` the ACLs of those that have one.

        Bans stay; counters of sources begin anew.
        """
        self.settings = settings
        self._trusted = (*trusted, *gateways)
        self._exempt = (*settings.exempt, *self._trusted)
        self._listeners = dict(listeners)
        self._messages = settings.messages if settings.limits else 0
        self._burst = max(1.0, self._messages * settings.burst_s)
        self._observe = settings.grades == (Grade.LOG,)
        self.known.clear()
        self._older.clear()

    # Who it is

    def meet(self, address: str, now: float) -> Source:
        """The source of an address that is not in `known`, and is from now on."""
        source = self._older.pop(address, None) or self._new(address, now)
        self._remember(address, source)
        return source

    def _remember(self, address: str, source: Source) -> None:
        if len(self.known) >= MOST_SOURCES // 2:
            self._older = self.known.copy()
            self.known.clear()
        self.known[address] = source

    def _new(self, address: str, now: float) -> Source:
        ip = ip_of(address)
        if ip is None:
            return self._fresh(address, now)
        denied = frozenset(name for name, acl in self._listeners.items() if not acl.admits(ip))
        exempt = any(ip in network for network in self._exempt)
        key = key_of(ip)
        ban = None if exempt else self.bans.of(ip)
        alone = exempt or denied or (ban is not None and ban.key != key)
        if key != address and not alone:
            shared = self.known.get(key) or self._older.get(key)
            if shared is None:
                shared = self._fresh(key, now)
                self._remember(key, shared)
            source = shared
        else:
            source = self._fresh(key if not alone else address, now)
        if exempt:
            source.exempt, source.stranger, source.left = True, False, INFINITE
            source.trusted = any(ip in network for network in self._trusted)
        if denied:
            source.denied = denied
            self._watch(source)
        if ban is not None and source.ban is None:
            if not ban.by_hand:
                source.step, source.offended_at = len(self.settings.grades), min(now, ban.until) - _STEP_S
            if ban.until > now:
                source.ban = ban
                self._watch(source)
        return source

    def _watch(self, source: Source) -> None:
        """From now on somebody looks at each message of it."""
        if source.left > 0:
            source.saved = min(self._burst, source.saved + source.left)
            source.left = 0

    def _fresh(self, key: str, now: float) -> Source:
        return Source(key, self._burst if self._messages else INFINITE, now)

    def source(self, address: str, now: float) -> Source:
        return self.known.get(address) or self.meet(address, now)

    def takes_connection(self, listener: str, address: str, now: float) -> bool:
        """Whether a connection is taken at all: by the ACL of its listener, and unless the source is banned."""
        source = self.source(address, now)
        if listener in source.denied:
            return self.drop("acl")
        ban = source.ban
        if ban is not None and ban.grade is Grade.DROP and ban.until > now:
            return self.drop("banned")
        return True

    # How much it sends

    def judge(self, source: Source, listener: str, now: float, *, proved: bool) -> Verdict:
        """A message of a source that has nothing left."""
        if source.denied and listener in source.denied:
            self.drop("acl")
            return Verdict.DROP
        verdict = Verdict.PASS
        ban = source.ban
        if ban is not None:
            if ban.until <= now:
                source.ban = ban = None
            elif ban.grade is Grade.DROP:
                source.left = 0
                self.drop("banned")
                return Verdict.DROP
            else:
                verdict = Verdict.DELAY
        if source.exempt or not self._messages:
            source.left = INFINITE if ban is None and not source.denied else 0
            return verdict
        saved = min(self._burst, source.saved + (now - source.since) * self._messages)
        source.since = now
        if saved < 1:
            source.saved, source.left = saved, 0
            self.offend(source, "too many messages", now, proved=proved)
            if self._observe:
                return Verdict.PASS
            self.drop("too many messages")
            return Verdict.DROP
        if ban is not None or source.denied:
            source.saved, source.left = saved - 1, 0
        else:
            source.left = int(saved) - 1
            source.saved = saved - int(saved)
        return verdict

    def begins(self, source: Source, now: float, *, proved: bool) -> bool:
        """Count a request outside of any dialog; False where it is to be dropped."""
        rate = self.settings.requests
        if not rate or source.exempt or not self.settings.limits:
            return True
        burst = rate * self.settings.burst_s
        spent = max(0.0, source.requests - (now - source.requests_at) * rate)
        source.requests_at = now
        if spent + 1 > burst:
            source.requests = spent
            self.offend(source, "too many new requests", now, proved=proved)
            return self._observe or self.drop("too many new requests")
        source.requests = spent + 1
        return True

    def unreadable(self, source: Source, now: float, *, proved: bool) -> bool:
        """Count a message that cannot be read; False where it is not even to be answered."""
        rate = self.settings.malformed
        if not rate or source.exempt or not self.settings.limits:
            return True
        spent = max(0.0, source.malformed - (now - source.malformed_at) * rate)
        source.malformed_at = now
        if spent + 1 > rate * self.settings.burst_s:
            source.malformed = spent
            self.offend(source, "too many malformed messages", now, proved=proved)
            return self._observe or self.drop("malformed")
        source.malformed = spent + 1
        return True

    def failed(self, source: Source, now: float, *, proved: bool) -> None:
        """Count a wrong password."""
        if source.exempt or not self.settings.limits:
            return
        most = self.settings.failed_logins
        spent = max(0.0, source.failures - (now - source.failures_at) * most / 60) + 1
        source.failures_at = now
        if spent >= most:
            spent = 0
            self.offend(source, "wrong passwords", now, proved=proved, at_once=True)
        source.failures = spent

    def scans(self, source: Source, cause: str, now: float, *, proved: bool) -> None:
        """It is a scanner: there is nothing to warn of."""
        self.drop("scanner")
        if self.settings.limits and not source.exempt:
            grades = self.settings.grades
            least = grades.index(Grade.DROP) if Grade.DROP in grades else 0
            self.offend(source, cause, now, proved=proved, at_once=True, least=least)

    def drop(self, cause: str) -> bool:
        """Count one; False, for whoever is asked whether to take it."""
        self.drops[cause] = self.drops.get(cause, 0) + 1
        return False

    # Bans

    def offend(
        self, source: Source, cause: str, now: float, *, proved: bool, at_once: bool = False, least: int = 0
    ) -> None:
        """One more offence: the next grade, `least` at least; once a second at most unless `at_once`."""
        settings = self.settings
        if now - source.offended_at < _STEP_S and not at_once:
            return
        if now - source.offended_at > settings.forget_s + (settings.longest_ban_s if source.ban is not None else 0):
            source.step = 0
        source.offended_at = now
        source.step = max(source.step, least)
        grade = settings.grades[min(source.step, len(settings.grades) - 1)]
        source.step += 1
        if grade is Grade.LOG:
            self._tell(source, None, cause)
            return
        if not proved and now - source.verified_at < VERIFIED_S:
            self._tell(source, None, cause)
            return
        before = self.bans.made(source.key)
        times = 0 if before is None or now - before.until > settings.forget_s else before.times
        length = settings.ban_s
        if grade is Grade.DROP:
            length = min(settings.longest_ban_s, settings.ban_s * 2 ** min(times, 30))
            times += proved
        if not proved:
            length = min(length, settings.unproved_ban_s)
        until = now + length
        if before is not None and before.grade is grade and before.until >= until:
            source.ban, source.left = before, 0
            return
        ban = Ban(source.key, grade, until, cause, times=times)
        self.bans.add(ban)
        source.ban, source.left = ban, 0
        self._tell(source, ban, cause)

    def ban(self, text: str, length_s: float | None, now: float) -> str:
        """Ban an address or a network by hand, for so long or for ever; what it is called from now on.

        Raises ValueError with the mistake in words: also where it would hit somebody exempt.
        """
        key = source_of(text)
        for network in self._exempt:
            if _overlap(key, network):
                raise ValueError(f"{network} is exempt: it holds a trunk's address, or [security] exempt names it")
        self.bans.add(Ban(key, Grade.DROP, INFINITE if length_s is None else now + length_s, "by hand", by_hand=True))
        self._forget_all()
        return key

    def unban(self, text: str, now: float) -> bool:
        """Lift the bans of an address or a network, and forget its offences; False where there is none.

        Raises ValueError for what is neither.
        """
        key = source_of(text)
        ip = ip_of(text)
        lifted = self.bans.remove(key)
        if ip is not None:
            lifted = self.bans.remove(key_of(ip)) or lifted
        self._forget_all()
        return lifted

    def restore(self, records: list[BanRecord], now: float) -> None:
        """Take up the bans of an earlier run."""
        self.bans.restore(records, now)
        self._forget_all()

    def _forget_all(self) -> None:
        """What sources remember of bans is looked up anew."""
        self.known.clear()
        self._older.clear()

    def sweep(self, now: float) -> None:
        """Now and then: forget what has expired."""
        self.bans.sweep(now, self.settings.forget_s)

    # Who has shown where it is

    def challenged(self, source: Source, nonce: str, now: float) -> None:
        """A challenge goes to this source."""
        source.nonces = (nonce, *source.nonces[: _NONCES - 1])
        if now - source.verified_at > VERIFIED_S and not source.exempt:
            source.stranger = True

    def reached(self, source: Source, nonce: str) -> bool:
        """Whether credentials show that a challenge lately sent to this address arrived there."""
        return nonce in source.nonces

    def verified(self, source: Source, now: float) -> None:
        """It gave a right password for a challenge that was sent to it, or took part in a call."""
        source.verified_at = now
        source.stranger = False

    def hears(self, source: Source, size: int) -> None:
        """A datagram of a stranger: it may be answered in proportion."""
        times = self.settings.amplification
        source.credit = min(_CREDIT, source.credit + times * size) if times else INFINITE
        source.reserve = times * size / 2


def _overlap(key: str, network: Network) -> bool:
    """Whether a ban of `key` would hit somebody in `network`."""
    banned = ip_network(key)
    return banned.version == network.version and banned.overlaps(network)
