"""What the web side is given of the rest of the box, and all that it may see of it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from appliance.accounts.audit import Audit
from appliance.alarms import Alarms
from appliance.config import Settings
from appliance.marking import Markable
from appliance.metrics import Metrics
from appliance.proxy.call_detail import CallDetail
from appliance.proxy.core import SipCore
from appliance.proxy.gateway_quality import GatewayQuality
from appliance.proxy.records import Records
from appliance.trace.trace import Trace

Receive = Callable[[], Awaitable[str | bytes]]
Send = Callable[[str | bytes], Awaitable[None]]


class Identity(Protocol):
    """The keys and accounts that the web side uses; administrators are argon2 hashes by name."""

    @property
    def certificate(self) -> Path: ...
    @property
    def private_key(self) -> Path: ...
    @property
    def token_secret(self) -> bytes: ...
    @property
    def administrators(self) -> Mapping[str, str]: ...


class ServeSip(Protocol):
    """Runs one WebSocket as a flow until it is closed."""

    async def __call__(
        self,
        receive: Receive,
        send: Send,
        *,
        listener: str,
        remote: tuple[str, int],
        local: tuple[str, int],
        secure: bool,
        sock: Markable | None = None,
    ) -> None: ...


class ListenerFigures(Protocol):
    """What is shown of a listener."""

    @property
    def name(self) -> str: ...
    @property
    def transport(self) -> str: ...
    @property
    def addresses(self) -> Sequence[tuple[str, int]]: ...
    @property
    def accepting(self) -> bool: ...
    @property
    def connections(self) -> int: ...
    @property
    def messages_in(self) -> int: ...
    @property
    def messages_out(self) -> int: ...
    @property
    def drops(self) -> Mapping[str, int]: ...


@attrs.frozen
class ServiceState:
    """One service: `state` is ready, starting, degraded or stopped; `where` its addresses, `fault` what is wrong."""

    name: str
    state: str
    where: str
    fault: str
    restarts: int


@attrs.frozen
class Health:
    """The box as a whole. `state` is starting, ready, degraded or draining; `faults` are sentences by room's name."""

    state: str
    up_s: float
    services: tuple[ServiceState, ...]
    faults: Mapping[str, str]


Answer = Mapping[str, object]
"""What an action came to: `ok`, and `error`, `mistakes` or `changes` in words."""


@attrs.frozen
class ConfigurationLook:
    """The files compared with what runs: mistakes and doubts of `check`, and the changes that a reload would bring."""

    mistakes: tuple[str, ...]
    doubts: tuple[str, ...]
    changes: tuple[str, ...]


@attrs.frozen(kw_only=True)
class CertificateLook:
    """One certificate of ours. `serves` are the sections whose connections show it; `issuer` is "" where it vouches for
    itself, `ends_at` (seconds since 1970) None where it cannot be read. `tone` is bad, fair, good or ""."""

    names: tuple[str, ...]
    file: str
    serves: tuple[str, ...]
    issuer: str
    ends_at: float | None
    tone: str
    sentence: str
    remedy: str


@attrs.frozen
class TestStep:
    """One step of a self-test. `verdict` is ok, failed or skipped; `figures` by name: setup_ms, media_ms, mos and
    more."""

    name: str
    verdict: str
    sentence: str
    remedy: str
    figures: Mapping[str, float]


@attrs.frozen
class TestLook:
    """The self-test that runs, with the steps it has made, or the last one, `at` seconds since 1970; nothing of both
    where there was none. `passed` is None before its end."""

    running: bool
    at: float | None
    passed: bool | None
    sentence: str
    steps: tuple[TestStep, ...]


@attrs.frozen
class DoctorFinding:
    """What the doctor says of one thing; `grade` is fault, warning, note or ok."""

    subject: str
    about: str
    grade: str
    sentence: str
    remedy: str


@attrs.frozen(kw_only=True)
class Actions:
    """What the pages may set going. Who may, is judged before (door.py)."""

    gateway: Callable[[str, str, str], Awaitable[Answer]]
    """drain, block or unblock, a trunk, and one of its gateways or "" for all."""
    ban: Callable[[str, str, str], Awaitable[Answer]]
    """add or remove, an address or a network, and for how long, "" for ever."""
    unregister: Callable[[str], Awaitable[Answer]]
    """Take away the binding of this id."""
    reload: Callable[[], Awaitable[Answer]]
    look_at_files: Callable[[], Awaitable[ConfigurationLook]]
    test: Callable[[], Answer]
    """Begin a self-test; not ok where one runs."""
    examine: Callable[[], Awaitable[tuple[DoctorFinding, ...]]]
    """Let the doctor look at everything, which takes some seconds."""


class Setup(Protocol):
    """Makes a fresh box somebody's own."""

    def waits(self) -> bool: ...
    async def finish(self, code: str, password: str, name: str, network: Mapping[str, str]) -> Answer: ...


class Backups(Protocol):
    """Backup and restore. `make` gives the name of the file and where it lies until it is removed; it raises
    `ValueError` and `OSError`. `receive` writes what comes, `take` proves it and lays it ready."""

    async def make(self, passphrase: str, *, records: bool) -> tuple[str, Path]: ...
    async def receive(self, size: int | None, chunks: AsyncIterator[bytes]) -> Answer: ...
    async def take(self, passphrase: str) -> Answer: ...


class Machine(Protocol):
    """The machine under the box. Where it is not ours, it answers so in a sentence."""

    @property
    def is_ours(self) -> bool: ...
    async def ask(self, verb: str, **words: str) -> Answer: ...


class Updates(Protocol):
    """Updates of a Jackfield image; each answers with `ok`, and `error` or what there is to say."""

    async def status(self) -> Answer: ...
    async def find(self) -> Answer: ...
    async def take(self, name: str, size: int | None, chunks: AsyncIterator[bytes]) -> Answer: ...
    async def install(self, name: str, *, stick: bool, anyway: bool = False) -> Answer: ...
    async def previous(self) -> Answer: ...
    async def give_up(self) -> Answer: ...
    async def restart(self) -> Answer: ...


@attrs.frozen(kw_only=True)
class Inside:
    """Everything handed in. `settings` and `identity` give those of now: a reload replaces them."""

    version: str
    settings: Callable[[], Settings]
    identity: Callable[[], Identity]
    metrics: Metrics
    health: Callable[[], Health]
    alarms: Alarms
    core: SipCore
    listeners: Callable[[], Sequence[ListenerFigures]]
    serve_sip: ServeSip
    origin_allowed: Callable[[str | None, str, Sequence[str]], bool]
    """Origin, Host header and the allowed origins, by the rules of the listeners."""
    trace: Trace
    """The SIP messages of calls."""
    certificates: Callable[[], Awaitable[tuple[CertificateLook, ...]]]
    """Those of our own, the first to run out before the others; reads files."""
    quality: Callable[[float], Awaitable[tuple[GatewayQuality, ...]]]
    """How calls to each gateway went since (seconds since 1970), by their records. Raises `ValueError` with a sentence
    where they cannot be asked."""
    test: Callable[[], TestLook]
    """The self-test."""
    support: Callable[[], Awaitable[tuple[str, bytes]]]
    """A support bundle: the name of the file and what is in it."""
    actions: Actions
    backups: Backups
    machine: Machine
    updates: Updates | None
    """None where the machine is no image of ours."""
    audit: Audit
    records: Records
    """Every call there was, and what happened beside calls."""
    stored: Callable[[str], Awaitable[CallDetail | None]]
    """A call that is in memory no more, by its record; None where there is none."""
    setup: Setup
    bind: Callable[[str, Sequence[str], int], list[socket.socket]]
    """Listening sockets for a name, addresses and a port; raises `OSError`."""
