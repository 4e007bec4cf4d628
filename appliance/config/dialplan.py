"""The sections of the dial plan: users, trunks and test lines; its routes are in routes.py."""

from __future__ import annotations

from enum import StrEnum

import attrs

from .account import AccountSettings
from .groups import NAME, ChoiceSettings, Redirects
from .kinds import (
    Network,
    flag,
    listed,
    network,
    one_of,
    optional,
    seconds,
    secret,
    text,
)
from .patch import Gateway, gateway, statuses
from .qos import inherited_dscp
from .rewriting import Codecs, NumbersOut, codecs, name_of, numbers_out
from .routes import RouteSettings as RouteSettings
from .secret import Secret
from .sections import Anchor
from .security import acl_name
from .setting import REQUIRED, setting
from .stir import Attestation, Signing, Verification
from .trunk_tls import TrunkTlsSettings


class Profile(StrEnum):
    """What kind of media an end speaks: plain RTP, SDES-SRTP, DTLS-SRTP with ICE, or what its offer shows."""

    AUTO = "auto"
    RTP = "rtp"
    SDES = "sdes"
    WEBRTC = "webrtc"


class Refer(StrEnum):
    """Who carries out a transfer of a call to or from a trunk."""

    PASS = "pass"  # noqa: S105
    CARRY_OUT = "carry-out"


class LineKind(StrEnum):
    ECHO = "echo"
    TONE = "tone"


@attrs.frozen(kw_only=True)
class UserSettings:
    """A user of ours: sip:NAME@ each of our domains. The name of the section is the user part."""

    name: str
    password: Secret | None = setting(
        optional(secret(), "auto", "made at first start and kept in the state directory"),
        "auto",
        "Password for digest authentication.",
        secret=True,
    )
    ha1_md5: Secret | None = setting(
        optional(secret("32 hexadecimal digits", pattern=r"[0-9a-fA-F]{32}"), "none", "from the password"),
        "none",
        "MD5 of name:realm:password, in place of the password.",
        secret=True,
    )
    ha1_sha256: Secret | None = setting(
        optional(secret("64 hexadecimal digits", pattern=r"[0-9a-fA-F]{64}"), "none", "from the password"),
        "none",
        "SHA-256 of name:realm:password, in place of the password.",
        secret=True,
    )
    display_name: str = setting(text(longest=120), "", "Name shown on our pages.")
    tenant: str = setting(
        text("a name without blanks and commas", pattern=r"[^\s,]*", longest=64),
        "",
        "Whose user this is, for limits of a tenant as a whole.",
    )
    anchor: Anchor = setting(
        one_of(Anchor), "auto", "Whether this user's media goes through us; auto: as [media] says."
    )
    profile: Profile = setting(
        one_of(Profile),
        "auto",
        "What media the user's phones get offered; auto: WebRTC over WebSocket, RTP on anything else; sdes for phones "
        "on TLS that insist on SRTP.",
    )
    numbers_in: str | None = setting(
        optional(name_of("the name of a [numberplan]"), "none", "the listener's"),
        "none",
        "Number plan by which what this user dials is read into E.164, in place of the listener's.",
    )
    numbers_out: NumbersOut | None = setting(
        optional(numbers_out(), "none", "as they are"), "none", "How numbers are written towards this user's phones."
    )
    number: str = setting(
        text("a number such as +442079460000", pattern=r"\+?[0-9]{0,20}", longest=21),
        "",
        "The user's public number, asserted towards trusted trunks (RFC 3325). Empty: the name at our first domain.",
    )
    numbers: tuple[str, ...] = setting(
        listed(text("a number such as +442079460001", pattern=r"\+?[0-9]{1,20}", longest=21)),
        "",
        "Further numbers that the user may choose to be asserted, by P-Preferred-Identity.",
    )
    codecs: Codecs = setting(codecs(), "", "Codecs that may pass from and to this user. Empty: all.")

    @property
    def has_hash(self) -> bool:
        return self.ha1_md5 is not None or self.ha1_sha256 is not None


@attrs.frozen(kw_only=True)
class TrunkSettings(ChoiceSettings, AccountSettings, TrunkTlsSettings):
    """A carrier, a PBX or a load generator: where calls go out, and whom we trust by address."""

    name: str
    gateways: tuple[Gateway, ...] = setting(
        listed(gateway()),
        "",
        "Next hops. Those of the lowest priority number come first, ordered by the algorithm. Without a port DNS "
        "decides (RFC 3263). Empty: a trunk that only calls in.",
    )
    health: str | None = setting(
        optional(text("the name of a [health NAME]", pattern=NAME, longest=64), "none", "they are not watched"),
        "none",
        "How its gateways are watched; none: each call finds out by itself.",
    )
    quality: str | None = setting(
        optional(text("the name of a [quality NAME]", pattern=NAME, longest=64), "none", "it does not matter"),
        "none",
        "Which figures of its calls make a gateway come after the others.",
    )
    trusted: tuple[Network, ...] = setting(
        listed(network()),
        "",
        "Addresses whose requests belong to this trunk and need no digest.",
    )
    tenant: str = setting(
        text("a name without blanks and commas", pattern=r"[^\s,]*", longest=64),
        "",
        "Whose trunk this is, for limits of a tenant as a whole.",
    )
    acl: str | None = setting(
        acl_name(),
        "none",
        "The [acl NAME] that says from which addresses requests of this trunk are taken; from others they get 403.",
    )
    anchor: Anchor = setting(
        one_of(Anchor), "auto", "Whether the trunk's media goes through us; auto: as [media] says."
    )
    profile: Profile = setting(
        one_of(Profile), "rtp", "What media the trunk gets offered; auto: as the caller offers it."
    )
    attempt_timeout_s: float = setting(
        seconds(0.5, 60),
        "4 s",
        "A gateway that has not answered at all after this long is left for the next.",
    )
    progress_timeout_s: float | None = setting(
        optional(seconds(1, 120), "none", "as long as answer-timeout"),
        "none",
        "A gateway that has said no more than 100 Trying after this long is left for the next.",
    )
    answer_timeout_s: float = setting(
        seconds(5, 600), "120 s", "A gateway that only rings is cancelled after this long."
    )
    failover: frozenset[int] = setting(
        statuses(), "408, 430, 500, 502-504", "Answers after which the next gateway is tried."
    )
    hide_topology: bool = setting(
        flag(),
        "no",
        "Show the trunk none of the addresses behind this box: Via, Record-Route and Contact of others are sealed into "
        "addresses of ours, the Call-ID is another one, and media goes through us unless anchor says never.",
    )
    refer: Refer = setting(
        one_of(Refer),
        "pass",
        "REFER of a party that talks to this trunk. pass: the trunk transfers the call. carry-out: it cannot; the box "
        "calls the target by the dial plan, with the rights of whoever sent REFER, moves the trunk's media there by a "
        "re-INVITE and stays between the two. With Replaces it joins the two calls.",
    )
    sign: Signing = setting(
        one_of(Signing),
        "no",
        "Whether calls to the trunk carry our signature (STIR/SHAKEN). auto: A for a user of ours who calls with a "
        "number of theirs, B for other users, for calls from a trunk what its attestation says.",
    )
    attestation: Attestation = setting(
        one_of(Attestation),
        "C",
        "What our signature says of calls that came from this trunk, where they go out by one with sign = auto.",
    )
    verify: Verification = setting(
        one_of(Verification),
        "off",
        "What becomes of signatures on calls from the trunk: off, they pass; mark, the call is marked with the result; "
        "require, calls without a good one are refused.",
    )
    redirects: Redirects = setting(
        one_of(Redirects),
        "pass",
        "A 3xx of a gateway. pass: back to the caller; follow: the places that it names are tried in its stead, as far "
        "as they are gateways of this trunk or lie in its `trusted` networks; where none is, it is passed.",
    )
    qos_signalling: int | None = setting(
        inherited_dscp("as the listener, or [qos], says"),
        "auto",
        "DSCP of signalling to the addresses of this trunk, its gateways and whom it trusts, on any transport (on UDP "
        "packet by packet). A gateway given by name counts once a call went there.",
    )
    qos_trust: bool | None = setting(
        optional(flag(), "auto", "as [qos] trust says"),
        "auto",
        "Media from this trunk goes on with the marking that it came with; calls in progress keep theirs.",
    )
    qos_audio: int | None = setting(
        inherited_dscp("as [qos] says"), "auto", "DSCP of audio to this trunk; calls in progress keep theirs."
    )
    qos_video: int | None = setting(
        inherited_dscp("as [qos] says"), "auto", "DSCP of video to this trunk; calls in progress keep theirs."
    )
    rules_in: tuple[str, ...] = setting(
        listed(name_of("the name of a [rules] section")), "", "Rule sets for what comes in from this trunk, in order."
    )
    rules_out: tuple[str, ...] = setting(
        listed(name_of("the name of a [rules] section")), "", "Rule sets for what goes out to this trunk, in order."
    )
    numbers_in: str | None = setting(
        optional(name_of("the name of a [numberplan]"), "none", "as they are"),
        "none",
        "Number plan by which this trunk's numbers are read into E.164, after rules-in and before routing.",
    )
    numbers_out: NumbersOut | None = setting(
        optional(numbers_out(), "none", "as they are"),
        "none",
        "How numbers are written towards this trunk, before rules-out.",
    )
    codecs: Codecs = setting(codecs(), "", "Codecs that may pass from and to this trunk. Empty: all.")
    trusted_identity: bool = setting(
        flag(),
        "yes",
        "Whether this trunk belongs to our trust domain (RFC 3324): P-Asserted-Identity is believed from it and sent "
        "to it, and privacy is left to it. With no, identities are taken away in both directions and privacy that "
        "a caller asks for is done here (RFC 3323).",
    )

    @property
    def media_anchor(self) -> Anchor:
        """Where the network is hidden, its media addresses are too, unless somebody wants otherwise."""
        return Anchor.ALWAYS if self.hide_topology and self.anchor is Anchor.AUTO else self.anchor


@attrs.frozen(kw_only=True)
class LineSettings:
    """A test line inside the box; a route gives it a number."""

    name: str
    kind: LineKind = setting(one_of(LineKind), REQUIRED, "echo sends everything back, tone sends a steady test tone.")
    longest_s: float = setting(seconds(1, 86400), "10 min", "The line hangs up after this long.")
