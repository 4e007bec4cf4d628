"""The sections of the configuration that stand alone or name a port, with every setting declared.

Sections that make up the dial plan (users, trunks, routes, lines) are in dialplan.py; how sections are put
together is in settings.py.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import attrs

from .kinds import (
    Span,
    address,
    flag,
    host,
    listed,
    milliseconds,
    one_of,
    optional,
    path,
    port,
    seconds,
    size,
    span,
    text,
    whole,
)
from .qos import inherited_dscp
from .rewriting import name_of
from .security import acl_name
from .setting import REQUIRED, setting


class Transport(StrEnum):
    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"
    WS = "ws"
    WSS = "wss"

    @property
    def secure(self) -> bool:
        return self in (Transport.TLS, Transport.WSS)


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class ClientCertificate(StrEnum):
    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class DigestAlgorithm(StrEnum):
    SHA_256 = "SHA-256"
    MD5 = "MD5"


class Anchor(StrEnum):
    """Whether media goes through us: always, only where both ends could not talk otherwise, or never."""

    ALWAYS = "always"
    AUTO = "auto"
    NEVER = "never"


class Synchronous(StrEnum):
    FULL = "full"
    NORMAL = "normal"


@attrs.frozen(kw_only=True)
class ApplianceSettings:
    """The box as a whole: its name, the SIP domains it answers for, how it starts, speaks and ends."""

    name: str = setting(
        text("a name of letters, digits, dots and dashes", pattern=r"[A-Za-z0-9][A-Za-z0-9.-]*", longest=63),
        "jackfield",
        "What this box is called on its pages and in its logs.",
    )
    domains: tuple[str, ...] | None = setting(
        optional(listed(host(), least=1), "auto", "our own addresses, our host name and localhost"),
        "auto",
        "SIP domains that are ours: their users are the [user ...] sections. The box's own addresses are "
        "always ours as well.",
    )
    advertise: tuple[str, ...] = setting(
        listed(host()),
        "",
        "Host names or addresses under which others reach us, behind a NAT for example: one for each family "
        "at most, a name serves both. They stand in Via, Record-Route and Contact. Empty: the address of the "
        "socket that sends.",
    )
    server: str = setting(
        text("a product line", longest=120),
        "Jackfield",
        "Text of the Server header in our answers and User-Agent in our requests. Empty: no such header.",
    )
    drain_deadline_s: float = setting(
        seconds(0, 86400),
        "60 s",
        "At SIGTERM new calls are refused with 503 and those in progress get this long to end by themselves.",
    )
    log_level: LogLevel = setting(one_of(LogLevel), "info", "The least important events that still reach the log.")


@attrs.frozen(kw_only=True)
class ListenerSettings:
    """A port on which SIP comes in. There may be any number, each with a name of its own."""

    name: str
    transport: Transport = setting(
        one_of(Transport), REQUIRED, "What is spoken on this port (ws and wss: RFC 7118).", restart=True
    )
    port: int = setting(port(), REQUIRED, "The port to listen on.", restart=True)
    bind: tuple[str, ...] = setting(
        listed(address(), least=1),
        "0.0.0.0, ::",
        "Addresses to listen on. 0.0.0.0 is every IPv4 address, :: every IPv6 address.",
        restart=True,
    )
    advertise: tuple[str, ...] | None = setting(
        optional(listed(host(), least=1), "auto", "as in [appliance]"),
        "auto",
        "Host names or addresses to put into Via and Record-Route for this listener.",
    )
    certificate: Path | None = setting(
        optional(path(), "auto", "the certificate made at first start"),
        "auto",
        "PEM file with the certificate and its chain, for tls and wss.",
    )
    private_key: Path | None = setting(
        optional(path(), "auto", "the key made at first start, or in the certificate's file"),
        "auto",
        "PEM file with the private key of the certificate.",
    )
    client_certificate: ClientCertificate = setting(
        one_of(ClientCertificate),
        "none",
        "Whether a client on tls or wss is asked for a certificate, and whether it must have one.",
    )
    client_ca: Path | None = setting(
        optional(path(), "none", "no authority"),
        "none",
        "PEM file with the authorities that sign clients' certificates.",
    )
    ws_path: str = setting(
        text("a path such as /sip", pattern=r"/[!-~]*"),
        "/sip",
        "Path of the WebSocket on ws and wss; others get 404.",
    )
    origins: tuple[str, ...] = setting(
        listed(
            text(
                "same, *, or an origin such as https://phone.example.com",
                pattern=r"\*|same|https?://[^\s/]+",
            )
        ),
        "same",
        "Origins of web pages that may open a WebSocket: same means pages from the host name or address that "
        "the WebSocket itself was opened at, on any port; * means all.",
    )
    acl: str | None = setting(
        acl_name(),
        "none",
        "The [acl NAME] that says which addresses may speak to this listener; others get no answer.",
    )
    require_origin: bool = setting(
        flag(), "no", "Refuse a WebSocket without Origin header, that is every phone that is not a web page."
    )
    max_connections: int = setting(
        whole(1, 1_000_000), "10000", "Connections at a time; further ones are closed at once."
    )
    max_connections_per_source: int = setting(whole(1, 1_000_000), "1000", "Connections at a time from one address.")
    idle_timeout_s: float = setting(
        seconds(1, 86400),
        "130 min",
        "A connection on which nothing came for this long is closed. Keep it above max-expires, or phones without "
        "keep-alives are lost between two registrations.",
    )
    read_deadline_s: float = setting(
        seconds(0.1, 600),
        "10 s",
        "A message that was begun, and a TLS or WebSocket handshake, must be complete after this long.",
    )
    write_deadline_s: float = setting(seconds(0.1, 600), "10 s", "A peer that takes nothing for this long is closed.")
    write_buffer_bytes: int = setting(
        size(4096, 64 * 1024 * 1024), "1 MiB", "Bytes that may wait for one slow peer before it is closed."
    )
    max_message_bytes: int = setting(size(2048, 16 * 1024 * 1024), "64 KiB", "Longest SIP message, body included.")
    max_header_bytes: int = setting(size(1024, 1024 * 1024), "16 KiB", "Longest start line and headers of one message.")
    receive_buffer_bytes: int = setting(
        size(0, 256 * 1024 * 1024),
        "4 MiB",
        "Receive buffer asked of the kernel for udp (0: the kernel's own).",
        restart=True,
    )
    stateless: bool = setting(
        flag(),
        "no",
        "Forward what comes in here without transactions, dialogs and calls (RFC 3261 §16.11), as a load balancer in "
        "front of others. The route tables decide as ever, callers being trunks or anyone: no passwords are asked for. "
        "A group or trunk gives one gateway, by order where its algorithm is priority and else by a hash.",
    )
    record_route: bool = setting(
        flag(),
        "yes",
        "Of a stateless listener: stay in the way of the further requests of a dialog. no: both ends reach each other "
        "by their Contacts.",
    )
    qos_signalling: int | None = setting(
        inherited_dscp("as [qos] says"),
        "auto",
        "DSCP of what this listener sends: on its UDP port, on connections made to it, and on those of ours that "
        "speak for it.",
    )
    rules_in: tuple[str, ...] = setting(
        listed(name_of("the name of a [rules] section")), "", "Rule sets for requests that come in here from no trunk."
    )
    numbers_in: str | None = setting(
        optional(name_of("the name of a [numberplan]"), "none", "as they are"),
        "none",
        "Number plan by which numbers in requests from no trunk are read into E.164, before routing.",
    )


@attrs.frozen(kw_only=True)
class SipSettings:
    """Timers and limits of the SIP core (RFC 3261 and its updates)."""

    t1_s: float = setting(
        seconds(0.05, 10), "500 ms", "Timer T1: estimate of a round trip, first retransmission.", restart=True
    )
    t2_s: float = setting(seconds(0.1, 60), "4 s", "Timer T2: longest pause between retransmissions.", restart=True)
    t4_s: float = setting(seconds(0.1, 60), "5 s", "Timer T4: longest life of a message in the net.", restart=True)
    timer_c_s: float = setting(
        seconds(1, 3600),
        "185 s",
        "Timer C: a branch of an INVITE that only rings is cancelled after this long. RFC 3261 wants more "
        "than three minutes.",
    )
    max_forwards: int = setting(
        whole(1, 255), "70", "Max-Forwards put on a request that comes without (RFC 3261 §16.6)."
    )
    max_breadth: int = setting(whole(1, 1000), "60", "Max-Breadth put on a request that comes without (RFC 5393).")
    udp_threshold_bytes: int = setting(
        size(500, 65000), "1300", "A longer request leaves UDP for TCP (RFC 3261 §18.1.1)."
    )
    inbox: int = setting(
        whole(1, 1_000_000),
        "1000",
        "Initial requests that may wait for a decision; further ones get 503 with Retry-After.",
        restart=True,
    )
    max_transactions: int = setting(
        whole(100, 10_000_000), "200000", "Transactions at a time; further requests get 503."
    )
    max_calls: int = setting(whole(1, 10_000_000), "50000", "Calls at a time; further ones get 503.")
    longest_call_s: float = setting(
        seconds(60, 30 * 86400),
        "12 h",
        "A call that passed no message and no media for this long is forgotten and its ports are freed.",
    )
    retry_after: Span = setting(
        span(0, 3600, "s"),
        "2-10 s",
        "Retry-After of our 503 is drawn from this range, so that phones do not come back all together.",
    )
    realm: str | None = setting(
        optional(text("a realm", pattern=r'[^"\\]+'), "auto", "the first domain, or the box's name"),
        "auto",
        "Realm of our digest challenges. Stored hashes (ha1) depend on it.",
    )
    nonce_lifetime_s: float = setting(
        seconds(5, 86400), "5 min", "A nonce older than this is stale: the phone tries again by itself."
    )
    digest_algorithms: tuple[DigestAlgorithm, ...] = setting(
        listed(one_of(DigestAlgorithm), least=1),
        "MD5",
        "Digest algorithms offered, in this order (RFC 8760: the preferred one first). Many phones fail where "
        "SHA-256 is offered beside MD5: one reads the first challenge only, one the last, one wants no other.",
    )


@attrs.frozen(kw_only=True)
class RegistrarSettings:
    """How phones register with us (RFC 3261 §10, RFC 5626, RFC 5627)."""

    min_expires_s: float = setting(
        seconds(1, 86400), "60 s", "A shorter registration is refused with 423 and this figure."
    )
    default_expires_s: float = setting(seconds(1, 604800), "1 h", "Length of a registration that asks for none.")
    max_expires_s: float = setting(seconds(1, 604800), "2 h", "A longer registration is shortened to this.")
    max_contacts: int = setting(whole(1, 1000), "10", "Contacts that one user may have at a time.")
    group_commit_ms: float = setting(
        milliseconds(0, 20), "5 ms", "Registrations that come within this time are stored together."
    )
    outbound: bool = setting(flag(), "yes", "Several flows for each phone (RFC 5626).")
    gruu: bool = setting(flag(), "yes", "Addresses of one phone among several (RFC 5627).")


@attrs.frozen(kw_only=True)
class MediaSettings:
    """The media bridge: its ports, when it stands in the path, how long it waits."""

    bind: tuple[str, ...] = setting(
        listed(address(), least=1), "0.0.0.0, ::", "Addresses on which media ports are opened.", restart=True
    )
    ports: Span = setting(
        span(1024, 65535),
        "30000-39999",
        "Ports for media. A stream takes one, or two where RTCP has its own.",
        restart=True,
    )
    advertise: tuple[str, ...] = setting(
        listed(address()),
        "",
        "Addresses that go into SDP, one for each family at most. Empty: the address of ours that the other "
        "end reaches.",
    )
    anchor: Anchor = setting(
        one_of(Anchor),
        "auto",
        "Whether media goes through us: always, auto (where the ends differ in profile or hide behind "
        "NAT, or a user or trunk wants it) or never.",
    )
    max_sessions: int = setting(whole(1, 100_000), "2000", "Calls with media at a time; further ones get 503.")
    silence_timeout_s: float = setting(
        seconds(5, 86400),
        "60 s",
        "A call on which nothing is heard from either side for this long, and which is not on hold, is hung up.",
    )


@attrs.frozen(kw_only=True)
class WebSettings:
    """The web side: status page, sign-in, /healthz, /metrics and SIP over WebSocket at /sip."""

    bind: tuple[str, ...] = setting(
        listed(address(), least=1), "0.0.0.0, ::", "Addresses of the HTTPS port.", restart=True
    )
    https_port: int = setting(port(), "8443", "Port of the HTTPS side.", restart=True)
    http_bind: tuple[str, ...] = setting(
        listed(address()),
        "127.0.0.1, ::1",
        "Loopback addresses of the plain HTTP side; a browser on this machine may use its microphone there.",
        restart=True,
    )
    http_port: int = setting(port(), "8080", "Port of the plain HTTP side.", restart=True)
    certificate: Path | None = setting(
        optional(path(), "auto", "the certificate made at first start"),
        "auto",
        "PEM file with the certificate and its chain.",
    )
    private_key: Path | None = setting(
        optional(path(), "auto", "the key made at first start, or in the certificate's file"),
        "auto",
        "PEM file with the private key of the certificate.",
    )
    sip_path: str = setting(
        text("a path such as /sip", pattern=r"/[!-~]+"),
        "/sip",
        "Path of SIP over WebSocket on this side, so that one port and one certificate are enough.",
        restart=True,
    )
    origins: tuple[str, ...] = setting(
        listed(
            text(
                "same, *, or an origin such as https://phone.example.com",
                pattern=r"\*|same|https?://[^\s/]+",
            )
        ),
        "same",
        "Origins of web pages that may open the WebSocket, as in [listener ...].",
    )
    administrator: str = setting(
        text("a name of letters, digits, dots and dashes", pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*", longest=63),
        "admin",
        "Name of the first administrator, whose password is made at first start.",
        restart=True,
    )
    session_lifetime_s: float = setting(seconds(60, 30 * 86400), "12 h", "A sign-in lasts this long.")
    sign_in_attempts: int = setting(
        whole(1, 1000), "10", "Wrong passwords from one address in a minute before it must wait."
    )
    max_body_bytes: int = setting(size(1024, 64 * 1024 * 1024), "1 MiB", "Longest body of a request.", restart=True)
    max_connections: int = setting(
        whole(1, 1_000_000), "10000", "Connections at a time, WebSockets included; further ones are closed at once."
    )
    max_connections_per_source: int = setting(whole(1, 1_000_000), "1000", "Connections at a time from one address.")
    metrics_from: tuple[str, ...] = setting(
        listed(text("localhost, * or an address", pattern=r"localhost|\*|[0-9A-Fa-f:.]+")),
        "localhost",
        "Who may read /metrics without signing in.",
    )


@attrs.frozen(kw_only=True)
class StorageSettings:
    """The store of what survives a restart: registrations."""

    database: Path = setting(
        path(), "jackfield.sqlite", "SQLite file; a relative one lies in the state directory.", restart=True
    )
    synchronous: Synchronous = setting(
        one_of(Synchronous),
        "full",
        "full: what was acknowledged survives a power cut. normal: it survives the end of the process only.",
        restart=True,
    )
    busy_timeout_s: float = setting(
        seconds(0.1, 60),
        "5 s",
        "How long to wait for a database that another program has locked.",
        restart=True,
    )
