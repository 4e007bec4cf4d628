"""The sections of admission control: limits, how each kind of refusal reads, who has priority."""

from __future__ import annotations

import re
from enum import StrEnum

import attrs

from .kinds import Network, Span, flag, listed, milliseconds, network, one_of, optional, size, span, text, whole
from .setting import REQUIRED, Kind, setting

EACH = "each"


class ScopeKind(StrEnum):
    """What a limit bounds, the narrowest first: in this order limits are asked."""

    USER = "user"
    SOURCE = "source"
    ROUTE = "route"
    GATEWAY = "gateway"
    TRUNK = "trunk"
    GROUP = "group"
    TENANT = "tenant"
    BOX = "box"


class Direction(StrEnum):
    IN = "in"
    OUT = "out"
    BOTH = "both"


class RefusalKind(StrEnum):
    """Why a request is refused; each may have a [refusal KIND] of its own."""

    BOX_FULL = "box-full"
    TENANT_FULL = "tenant-full"
    GROUP_FULL = "group-full"
    TRUNK_FULL = "trunk-full"
    GATEWAY_FULL = "gateway-full"
    ROUTE_FULL = "route-full"
    SOURCE_FULL = "source-full"
    USER_FULL = "user-full"
    RATE = "rate"
    SPIKE = "spike"
    BANDWIDTH = "bandwidth"
    BANDWIDTH_CHANGE = "bandwidth-change"
    REGISTRATIONS = "registrations"
    MESSAGES = "messages"
    MEDIA_FULL = "media-full"
    OVERLOAD = "overload"
    MEMORY = "memory"
    STOPPING = "stopping"


@attrs.frozen
class Scope:
    """The box, or one kind of thing: by name, or each of them for itself; a source by its network."""

    kind: ScopeKind
    name: str = ""
    network: Network | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else str(self.kind)


@attrs.frozen
class Spike:
    """At most `calls` within a window of `steps` steps of `step_s` seconds that slides step by step."""

    calls: int
    steps: int
    step_s: float

    def __str__(self) -> str:
        return f"{self.calls} in {self.steps} x {self.step_s * 1000:g} ms"


@attrs.frozen
class Passing:
    """How far somebody may go beyond a limit: `over` is a share of its size, None for past any."""

    over: float | None


def scope() -> Kind[Scope]:
    """box, or KIND:NAME, or KIND:each."""

    def read(value: str) -> Scope:
        word, colon, name = value.partition(":")
        if word not in set(ScopeKind):
            raise ValueError(f"{value!r} is not a scope")
        kind = ScopeKind(word)
        if kind is ScopeKind.BOX:
            if colon:
                raise ValueError("box has no name")
            return Scope(kind)
        if not name:
            raise ValueError(f"{value!r} does not say which {kind}")
        net = network().read(name) if kind is ScopeKind.SOURCE and name != EACH else None
        return Scope(kind, name, net)

    return Kind(
        "box, trunk:NAME, group:NAME, gateway:HOST[:PORT], tenant:NAME, user:NAME, source:NETWORK or route:NAME; each "
        "in place of a name for every one of them by itself",
        read,
    )


def per_time() -> Kind[float]:
    """So many a second, minute or hour; read as a number a second."""
    per = {"s": 1.0, "min": 60.0, "h": 3600.0}

    def read(value: str) -> float:
        found = re.fullmatch(r"(\d{1,7}(?:\.\d{1,3})?)\s*/\s*(s|min|h)", value)
        if not found:
            raise ValueError(f"{value!r} is not a rate")
        number = float(found[1]) / per[found[2]]
        if not number:
            raise ValueError("a rate of 0 would let nothing pass")
        return number

    return Kind("a rate such as 20/s, 90/min or 100/h", read)


def spike() -> Kind[Spike]:
    """CALLS in STEPS x LENGTH ms."""

    def read(value: str) -> Spike:
        found = re.fullmatch(r"(\d{1,6})\s+in\s+(\d{1,2})\s*x\s*(\d{1,5})\s*ms", value)
        if not found:
            raise ValueError(f"{value!r} is not a spike")
        calls, steps, length = int(found[1]), int(found[2]), int(found[3])
        if not (calls and 1 <= steps <= 20 and 10 <= length <= 60000):
            raise ValueError(f"{value!r} is out of range")
        return Spike(calls, steps, length / 1000)

    return Kind("calls in a sliding window, as in 40 in 5 x 200 ms (1 to 20 steps of 10 to 60000 ms)", read)


def passing() -> Kind[Passing]:
    """exempt, or a share of the limit's size on top of it."""

    def read(value: str) -> Passing:
        if value.lower() == "exempt":
            return Passing(None)
        found = re.fullmatch(r"(\d{1,4})\s*%", value)
        if not found:
            raise ValueError(f"{value!r} is neither exempt nor a percentage")
        return Passing(int(found[1]) / 100)

    return Kind("exempt, or how far beyond the limit as in 20 % (0 %: not at all)", read)


def percent(low: int, high: int) -> Kind[float]:
    """A percentage, read as a share."""

    def read(value: str) -> float:
        return whole(low, high, "%").read(value) / 100

    return Kind(f"a percentage from {low} % to {high} %", read)


def _many(what: str) -> Kind[int | None]:
    return optional(whole(0, 10_000_000), "none", f"{what} are not limited here")


@attrs.frozen(kw_only=True)
class LimitSettings:
    """A limit of admission control: for whom, and how much of what. Several may hold for one call: all must have room.

    What is counted are leases that belong to calls, so no count outlives its calls. A call counts once in each limit,
    however many phones or gateways it tries; towards a full trunk, group or gateway the next target is tried first.
    """

    name: str
    scope: Scope = setting(scope(), REQUIRED, "For whom this limit holds.")
    direction: Direction = setting(
        one_of(Direction),
        "both",
        "Which calls count: in from a trunk, group, tenant or user, out to it, or both. The box, sources and routes "
        "only know calls that come in.",
    )
    calls: int | None = setting(_many("calls at a time"), "none", "Calls at a time, ringing ones included.")
    rate: float | None = setting(
        optional(per_time(), "none", "calls a second are not limited here"),
        "none",
        "New calls a second, as a token bucket.",
    )
    burst: int | None = setting(
        optional(whole(1, 1_000_000), "auto", "what rate allows in a second, one at least"),
        "auto",
        "New calls at once that rate lets pass after a pause: the size of the bucket.",
    )
    spike: Spike | None = setting(
        optional(spike(), "none", "no such window"), "none", "New calls within a window that slides step by step."
    )
    audio_bandwidth: int | None = setting(
        optional(whole(0, 1_000_000_000, "kbit/s"), "none", "not limited here"),
        "none",
        "Audio one way at a time, with all headers down to IP, in kbit/s: of the dearest codec while a call is "
        "offered, of the one agreed on once it is answered.",
    )
    video_bandwidth: int | None = setting(
        optional(whole(0, 1_000_000_000, "kbit/s"), "none", "not limited here"),
        "none",
        "Video one way at a time, with all headers down to IP, in kbit/s.",
    )
    registrations: int | None = setting(
        _many("registrations"), "none", "Users registered at a time: of the box, a tenant or a source."
    )
    register_rate: float | None = setting(
        optional(per_time(), "none", "REGISTERs are not limited here"),
        "none",
        "REGISTERs that passed their password, a second; twice as many at once.",
    )
    message_rate: float | None = setting(
        optional(per_time(), "none", "messages are not limited here"),
        "none",
        "Requests outside calls other than INVITE and REGISTER (MESSAGE, SUBSCRIBE …) a second; twice as many at once.",
    )
    reserve: float = setting(percent(0, 100), "0 %", "Share of every size here that is kept for priority calls.")
    priority: Passing = setting(
        passing(), "0 %", "How far calls with priority may go beyond the limit; see [priority]."
    )
    emergency: Passing = setting(passing(), "exempt", "How far emergency calls may go beyond the limit.")
    refusal: str = setting(
        text("the name of a [refusal NAME]", pattern=r"\S*"),
        "",
        "A [refusal NAME] for all refusals of this limit; empty: the one of the kind.",
    )


@attrs.frozen(kw_only=True)
class RefusalSettings:
    """How a refusal reads. NAME is its kind, or any name that a [limit] gives as its `refusal`.

    Kinds: box-full, tenant-full, group-full, trunk-full, gateway-full, route-full, source-full, user-full, rate, spike,
    bandwidth, bandwidth-change, registrations, messages, media-full, overload, memory, stopping.
    """

    name: str
    status: int | None = setting(
        optional(whole(400, 699), "auto", "the kind's own: 486 for user-full, 488 for bandwidth-change, else 503"),
        "auto",
        "The response code.",
    )
    phrase: str = setting(text(longest=80), "", "The reason phrase; empty: the usual one of the code.")
    cause: int | None = setting(
        optional(whole(0, 127), "auto", "the kind's own: 17, 34, 42, 47 or 49; 0 leaves the header out"),
        "auto",
        "Q.850 cause in the Reason header (RFC 3326, RFC 6432).",
    )
    retry_after: Span | None = setting(
        optional(span(0, 86400, "s"), "auto", "retry-after of [sip] with a 503, else none"),
        "auto",
        "Retry-After is drawn from this range, so that callers do not come back all together.",
    )


@attrs.frozen(kw_only=True)
class PrioritySettings:
    """Emergency calls and calls with priority, which may pass where others are refused."""

    emergency: tuple[str, ...] = setting(
        listed(text("a number", pattern=r"[0-9+*#A-Za-z.:_-]+", longest=60)),
        "112, 911, urn:service:sos",
        "Called numbers and service URNs (with all below them) that make an emergency call, whoever calls.",
    )
    numbers: tuple[str, ...] = setting(
        listed(text("a number", pattern=r"[0-9+*#A-Za-z._-]+", longest=60)),
        "",
        "Called numbers whose calls have priority.",
    )
    users: tuple[str, ...] = setting(
        listed(text("a user", pattern=r"\S+")), "", "Users whose calls have priority once they gave their password."
    )
    namespaces: tuple[str, ...] = setting(
        listed(text("NAMESPACE or NAMESPACE.PRIORITY", pattern=r"[A-Za-z0-9!%*_+`'~-]+(\.[A-Za-z0-9!%*_+`'~-]+)?")),
        "",
        "Values of Resource-Priority (RFC 4412) that give priority, as ets.0 or wps; esnet makes it an emergency.",
    )
    trusted: tuple[str, ...] = setting(
        listed(text("trunks or trunk:NAME", pattern=r"trunks|users|trunk:\S+")),
        "trunks",
        "From whom Resource-Priority is believed; from anybody else it is not looked at.",
    )


@attrs.frozen(kw_only=True)
class GuardSettings:
    """Guards of processor and memory: with high and low marks they refuse new requests, so that what is admitted runs.

    Nothing inside a call is refused, nor are emergency calls and trusted Resource-Priority. Who is refused gets
    [refusal overload] or [refusal memory], told by Call-ID, so that one call is not refused now and admitted then.
    """

    shed: bool = setting(flag(), "yes", "Whether new requests are refused for want of processor time.")
    cpu_low: float = setting(
        percent(10, 100), "85 %", "Under this share of one core nothing is refused for long any more."
    )
    cpu_high: float = setting(
        percent(10, 100),
        "97 %",
        "From this share of one core on new requests are refused, as many as it takes to stay just below.",
    )
    lag_low_ms: float = setting(
        milliseconds(10, 60000),
        "50 ms",
        "While new requests wait longer than this, or our loop is this late, less and less is admitted.",
    )
    lag_high_ms: float = setting(
        milliseconds(10, 60000), "500 ms", "From such a wait on, twice in a row, new requests are refused."
    )
    memory_low: float = setting(
        percent(1, 100), "80 %", "From this share of memory on, refusals begin, and rise towards memory-high."
    )
    memory_high: float = setting(
        percent(1, 100), "90 %", "From this share on all are refused, until memory-low is reached."
    )
    memory: int | None = setting(
        optional(size(1 << 20, 1 << 48), "auto", "the limit of our control group, or what the machine has"),
        "auto",
        "Memory that is there for us.",
    )
