"""The section [trace]: what is kept of the SIP messages themselves, how long, and what is masked in it."""

from __future__ import annotations

import attrs

from .kinds import Network, flag, listed, network, optional, seconds, size, text
from .setting import setting


@attrs.frozen(kw_only=True)
class TraceSettings:
    """The SIP messages of all transports, kept for a while: for a call's ladder, jackfield trace and pcap files."""

    enabled: bool = setting(
        flag(), "yes", "Keep the messages. Without it no ladder can be drawn and jackfield trace shows nothing."
    )
    memory_bytes: int = setting(
        size(1 << 20, 1 << 34), "32 MiB", "How much memory they may take; the oldest make room for new ones."
    )
    age_s: float = setting(seconds(1, 30 * 86400), "1 h", "How long a message stays in memory at most.")
    disk_bytes: int | None = setting(
        optional(size(16 << 20, 1 << 44), "none", "in memory only"),
        "none",
        "How much room they may take on disk as well, in the directory trace of the state directory, where they "
        "outlive a restart; the oldest make room. Secrets are always masked there.",
    )
    methods: tuple[str, ...] = setting(
        listed(text("a method, or one with ! before it", pattern=r"!?[A-Za-z]+")),
        "",
        "Keep only these requests and what they are answered; with ! before each: all others, as in !OPTIONS.",
    )
    users: tuple[str, ...] = setting(
        listed(text("a user or a number", pattern=r"[^\s,@;]+")),
        "",
        "Keep only messages with one of these in Request-URI, From or To. Empty: all.",
    )
    addresses: tuple[Network, ...] = setting(
        listed(network()), "", "Keep only messages from and to these addresses and networks. Empty: all."
    )
    mask: bool = setting(
        flag(),
        "yes",
        "Mask credentials (Authorization and its kin), keys in SDP, the text of MESSAGE and DTMF digits in INFO "
        "wherever messages are shown, exported or written. No shows them as they were, except on disk.",
    )
