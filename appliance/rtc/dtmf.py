"""Telephone-events in RTP (RFC 4733 §2.3): one keypress read from its packets, and made into them.

A press is one event with a fixed timestamp; its packets repeat with a growing duration, the last one three times
with the end bit. The timestamp counts in the clock rate of the payload type, which must be that of the audio.
"""

from attrs import define, frozen

from appliance.rtc.errors import BadMedia

KEYS = "0123456789*#ABCD"
END_PACKETS = 3


@frozen
class TelephoneEvent:
    """`volume` in -dBm0, 0 to 63; `duration` in timestamp units, 0 to 65535."""

    event: int
    end: bool
    volume: int
    duration: int

    @property
    def key(self) -> str | None:
        """None for an event that is no key (flash, tones)."""
        return KEYS[self.event] if self.event < len(KEYS) else None

    def pack(self) -> bytes:
        return bytes((self.event, (0x80 if self.end else 0) | self.volume)) + self.duration.to_bytes(2, "big")


def parse_event_untrusted(payload: bytes) -> TelephoneEvent:
    """Raises BadMedia. Redundant older events behind the first (RFC 2198) are not looked at."""
    if len(payload) < 4:
        raise BadMedia("malformed", f"telephone-event of {len(payload)} bytes")
    return TelephoneEvent(payload[0], bool(payload[1] & 0x80), payload[1] & 0x3F, int.from_bytes(payload[2:4], "big"))


def press(key: str, rate: int, length_ms: int = 100, every_ms: int = 20) -> list[TelephoneEvent]:
    """The events to send for one key, one each `every_ms`, the end three times (RFC 4733 §2.5.1.4)."""
    event, step = KEYS.index(key), rate * every_ms // 1000
    total = rate * length_ms // 1000
    durations = [*range(step, total, step), total]
    growing = [TelephoneEvent(event, False, 10, duration) for duration in durations[:-1]]
    return growing + [TelephoneEvent(event, True, 10, total)] * END_PACKETS


@define
class KeyListener:
    """Tells each keypress once, whatever the repetitions and losses of its packets."""

    _timestamp: int | None = None

    def hear(self, event: TelephoneEvent, timestamp: int) -> str | None:
        """The key, with the first packet of its event that arrives; else None."""
        if timestamp == self._timestamp:
            return None
        self._timestamp = timestamp
        return event.key
