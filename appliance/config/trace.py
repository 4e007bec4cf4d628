"""The section [trace]: what is kept of the SIP messages themselves, how long, and what is masked in it."""

from __future__ import annotations

import attrs

from .kinds import flag, seconds, size
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
    mask: bool = setting(
        flag(),
        "yes",
        "Mask credentials (Authorization and its kin), keys in SDP, the text of MESSAGE and DTMF digits in INFO "
        "wherever messages are shown, exported or written. No shows them as they were.",
    )
