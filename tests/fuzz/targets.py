"""Every fuzz target by name; a room adds its own `*_targets.py` and one line here."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz import rtc_targets, sip_targets

TARGETS: dict[str, Callable[[bytes], None]] = {
    **{f"sip-{name}": run for name, run in sip_targets.TARGETS.items()},
    **{f"rtc-{name}": run for name, run in rtc_targets.TARGETS.items()},
}
