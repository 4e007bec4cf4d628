"""Names to targets (RFC 3263) and numbers to URIs (ENUM), asked of DNS through dnspython on trio, and remembered.

Every question is asked once however many wait for it, in a task of its own with a deadline, so that a dead server costs
only those who need the name. Answers, absences and failures are kept in bounds and for their time; an answer that has
expired still serves while DNS is silent (RFC 8767). What to ask for is the business of selection.py and enum.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import attrs
import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import trio
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from appliance.logs import log

from .enum import look_up
from .hosts import Hosts
from .local import LocalAddresses
from .options import VERIFIED, Target, TlsClientOptions
from .selection import Address, Answers, Asking, Destination, Naptr, Question, Record, Srv, literal, select

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class ResolverOptions:
    """Seconds and numbers. `nameservers` are (IP literal, port); None takes those of /etc/resolv.conf."""

    nameservers: tuple[tuple[str, int], ...] | None = None
    hosts: Path | None = Path("/etc/hosts")
    transports: tuple[str, ...] = ("UDP", "TCP", "TLS")
    """Those that may be chosen where a URI names none, the preferred one first."""
    ipv6_first: bool = False
    deadline_s: float = 3.0
    """For one question with all its retries."""
    try_s: float = 1.0
    """For one server to answer before the next is asked."""
    least_ttl_s: float = 5.0
    most_ttl_s: float = 3600.0
    failure_ttl_s: float = 5.0
    """How long a failure is believed before DNS is asked again."""
    stale_s: float = 3600.0
    """How long after its time an answer may stand in while DNS fails."""
    most_entries: int = 10_000
    most_in_flight: int = 1_000


@attrs.frozen
class _Entry:
    records: tuple[Record, ...]
    expires_at: float
    good_until: float
    """While DNS fails."""


@attrs.define
class ResolverFigures:
    """Questions answered from memory, asked of DNS, and failed by cause."""

    remembered: int = 0
    asked: int = 0
    failures: dict[str, int] = attrs.field(factory=dict)


class Resolver:
    """`nursery` runs the questions; it must outlive all who ask."""

    def __init__(self, options: ResolverOptions, nursery: trio.Nursery, rng: random.Random | None = None) -> None:
        self.figures = ResolverFigures()
        self._options = options
        self._nursery = nursery
        self._rng = rng or random.Random()  # noqa: S311 (load is spread with it, nothing hidden)
        self._addresses = LocalAddresses()
        self._hosts = Hosts(options.hosts)
        self._entries: dict[Question, _Entry] = {}
        self._in_flight: dict[Question, trio.Event] = {}
        self._literals: dict[tuple[str, int | None, str | None, bool], list[Target]] = {}
        """What addresses lead to, since most gateways and contacts are addresses; bounded."""
        self._dns = self._configured()

    def reload(self) -> None:
        """Read /etc/resolv.conf again and forget every answer; questions under way end as they would."""
        self._dns = self._configured()
        self._entries.clear()

    def resolve_now(
        self,
        host: str,
        port: int | None = None,
        transport: str | None = None,
        secure: bool = False,
        *,
        listener: str | None = None,
        tls: TlsClientOptions = VERIFIED,
    ) -> list[Target] | None:
        """As `resolve`, without waiting: None where DNS must be asked first. The list is not the caller's to change."""
        usual = listener is None and tls is VERIFIED
        if usual:
            known = self._literals.get((host, port, transport, secure))
            if known is not None:
                return known
        to = Destination(host=host, port=port, transport=transport, secure=secure, listener=listener, tls=tls)
        found = self._from_memory(self._select(to))
        if found is None:
            return None
        targets = self._routable(found)
        if usual and literal(host) is not None and len(host) <= 64:
            if len(self._literals) >= self._options.most_entries:
                self._literals.clear()
            self._literals[host, port, transport, secure] = targets
        return targets

    async def resolve(
        self,
        host: str,
        port: int | None = None,
        transport: str | None = None,
        secure: bool = False,
        *,
        listener: str | None = None,
        tls: TlsClientOptions = VERIFIED,
    ) -> list[Target]:
        """All places to try for a URI or gateway, in order; empty where there is none, or DNS is silent.

        `port` and `transport` are None where the URI has none, `secure` says that it is sips. Cancelling one who waits
        disturbs no other. Never takes longer than three questions' deadlines.
        """
        to = Destination(host=host, port=port, transport=transport, secure=secure, listener=listener, tls=tls)
        return self._routable(await self._from_dns(self._select(to)))

    def resolve_later(
        self,
        host: str,
        port: int | None,
        transport: str | None,
        secure: bool,
        done: Callable[[list[Target]], None],
        *,
        listener: str | None = None,
        tls: TlsClientOptions = VERIFIED,
    ) -> None:
        """As `resolve`, for those who cannot wait: `done` is called with the targets from a task of the nursery."""

        async def wait() -> None:
            done(await self.resolve(host, port, transport, secure, listener=listener, tls=tls))

        self._nursery.start_soon(wait)

    def look_up_now(self, number: str, suffixes: Sequence[str]) -> list[str] | None:
        """The SIP URIs of an E.164 number (RFC 6116), best first, none where no suffix knows it.

        None where DNS must be asked first.
        """
        return self._from_memory(look_up(number, suffixes))

    def look_up_later(self, number: str, suffixes: Sequence[str], done: Callable[[list[str]], None]) -> None:
        """As `look_up_now`, asking DNS: `done` is called with the URIs from a task of the nursery."""

        async def wait() -> None:
            done(await self._from_dns(look_up(number, suffixes)))

        self._nursery.start_soon(wait)

    def _from_memory(self, asking: Generator[Sequence[Question], Answers, T]) -> T | None:
        answers: Answers | None = None
        while True:
            try:
                questions = next(asking) if answers is None else asking.send(answers)
            except StopIteration as done:
                result: T = done.value
                return result
            found = {question: self._known(question) for question in questions}
            answers = {question: records for question, records in found.items() if records is not None}
            if len(answers) < len(found):
                asking.close()
                return None

    async def _from_dns(self, asking: Generator[Sequence[Question], Answers, T]) -> T:
        answers: Answers | None = None
        while True:
            try:
                questions = next(asking) if answers is None else asking.send(answers)
            except StopIteration as done:
                await trio.lowlevel.checkpoint()
                result: T = done.value
                return result
            answers = await self._answers(questions)

    def _select(self, to: Destination) -> Asking:
        return select(to, self._options.transports, self._rng, ipv6_first=self._options.ipv6_first)

    def _routable(self, targets: list[Target]) -> list[Target]:
        """Without those of a family that has no way out of this machine, unless that leaves nothing to try."""
        return [target for target in targets if self._addresses.towards(target.host) is not None] or targets

    # One question

    async def _answers(self, questions: Sequence[Question]) -> Answers:
        for question in questions:
            if self._known(question) is None:
                self._ask(question)
        answers: dict[Question, tuple[Record, ...]] = {}
        for question in questions:
            event = self._in_flight.get(question)
            if event is not None:
                await event.wait()
            answers[question] = self._known(question) or ()
        return answers

    def _known(self, question: Question) -> tuple[Record, ...] | None:
        now = trio.current_time()
        kind = question.kind
        name = question.name if kind in ("A", "AAAA") else question.name.rpartition("._tcp.")[2].rpartition("._udp.")[2]
        local = self._hosts.lookup(name, now)
        if local is not None:
            return tuple(Address(host) for host in local if (":" in host) == (kind == "AAAA") and kind in ("A", "AAAA"))
        entry = self._entries.get(question)
        if entry is None or now >= entry.expires_at:
            return None
        self.figures.remembered += 1
        return entry.records

    def _ask(self, question: Question) -> None:
        if question in self._in_flight:
            return
        if len(self._in_flight) >= self._options.most_in_flight:
            self._failed(question, "too-many")
            return
        self.figures.asked += 1
        self._in_flight[question] = trio.Event()
        self._nursery.start_soon(self._fetch, question)

    async def _fetch(self, question: Question) -> None:
        try:
            with trio.move_on_after(self._options.deadline_s) as scope:
                await self._query(question)
            if scope.cancelled_caught:
                self._failed(question, "deadline")
        finally:
            self._in_flight.pop(question).set()

    async def _query(self, question: Question) -> None:
        try:
            answer = await self._dns.resolve(
                question.name + ".",
                question.kind,
                lifetime=self._options.deadline_s,
                raise_on_no_answer=False,
                search=False,
            )
        except dns.resolver.NXDOMAIN as absent:
            self._keep(question, (), _ttl(absent.kwargs["responses"]))
        except dns.exception.Timeout:
            self._failed(question, "deadline")
        except (dns.exception.DNSException, OSError, ValueError) as error:
            self._failed(question, type(error).__name__)
        else:
            records = tuple(_record(data) for data in answer.rrset or ())
            self._keep(question, records, answer.chaining_result.minimum_ttl)

    def _keep(self, question: Question, records: tuple[Record, ...], ttl_s: float) -> None:
        options = self._options
        kept_s = min(max(ttl_s, options.least_ttl_s), options.most_ttl_s)
        now = trio.current_time()
        log.debug("names.found", name=question.name, type=question.kind, records=len(records), kept_s=round(kept_s))
        self._store(question, _Entry(records, now + kept_s, now + kept_s + options.stale_s))

    def _failed(self, question: Question, cause: str) -> None:
        failures = self.figures.failures
        failures[cause] = failures.get(cause, 0) + 1
        log.debug("names.failed", name=question.name, type=question.kind, cause=cause)
        now = trio.current_time()
        old = self._entries.get(question)
        usable = old is not None and old.records and now < old.good_until
        records = old.records if old is not None and usable else ()
        good_until = old.good_until if old is not None and usable else now
        self._store(question, _Entry(records, now + self._options.failure_ttl_s, good_until))

    def _store(self, question: Question, entry: _Entry) -> None:
        entries = self._entries
        entries.pop(question, None)
        if len(entries) >= self._options.most_entries:
            for old in list(islice(entries, self._options.most_entries // 8 + 1)):
                del entries[old]
        entries[question] = entry

    def _configured(self) -> dns.asyncresolver.Resolver:
        named = self._options.nameservers
        try:
            resolver = dns.asyncresolver.Resolver(configure=named is None)
        except dns.resolver.NoResolverConfiguration:
            resolver = dns.asyncresolver.Resolver(configure=False)
        if named is not None:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in named]
        resolver.timeout = self._options.try_s
        resolver.cache = None
        return resolver


def _ttl(responses: Mapping[dns.name.Name, dns.message.Message]) -> float:
    """For how long an absence is to be believed (RFC 2308): the SOA record says it."""
    for response in responses.values():
        if isinstance(response, dns.message.QueryMessage):
            try:
                return response.resolve_chaining().minimum_ttl
            except dns.exception.DNSException:
                return 0
    return 0


def _record(data: object) -> Record:
    if isinstance(data, SRV):
        return Srv(data.priority, data.weight, data.port, _plain(data.target))
    if isinstance(data, NAPTR):
        flags, service = data.flags.decode("latin-1"), data.service.decode("latin-1")
        regexp = data.regexp.decode("utf-8", "replace")
        return Naptr(data.order, data.preference, flags, service, _plain(data.replacement), regexp)
    return Address(str(getattr(data, "address", "")))


def _plain(name: object) -> str:
    return str(name).lower().rstrip(".")
