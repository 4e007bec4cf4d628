"""Bridge: turns each leg's SDP into the other leg's, opens the endpoints that it names, and joins their streams."""

from collections.abc import Callable

from appliance.media.backend import Line, MediaBackend
from appliance.media.figures import CallMedia
from appliance.media.profile import BridgeOptions, Profile

__all__ = ["Bridge", "MediaCall"]


class MediaCall:
    """The media of one call: leg "a" is the caller, "b1", "b2".. are the branches of a fork.

    Every method is synchronous. `offer` and `answer` raise BadMedia (its `status` is 400 for SDP that cannot be
    read and 488 for media that cannot be carried, its text names the line); `offer`, `answer_line` and
    `offer_line` also raise PortsExhausted (503). After either, everything stands as before the call.
    """

    def __init__(
        self, backend: MediaBackend, options: BridgeOptions, call_id: str, on_dead: Callable[[str], None]
    ) -> None:
        raise NotImplementedError

    def add_leg(self, leg: str, profile: Profile) -> None:
        raise NotImplementedError

    def offer(self, sdp: bytes, *, from_leg: str, to_leg: str) -> bytes:
        """The offer to send on `to_leg`. The initial INVITE's may be converted for several legs."""
        raise NotImplementedError

    def answer(self, sdp: bytes, *, from_leg: str, to_leg: str) -> bytes:
        """The answer to send on `to_leg` (the offerer); may come again (183, then 200). Joins the two legs."""
        raise NotImplementedError

    def reject_offer(self, *, from_leg: str, to_leg: str) -> None:
        """The offer was refused or cancelled: all as before it."""
        raise NotImplementedError

    def select_leg(self, leg: str) -> None:
        """This branch won: its streams are the caller's, also if another branch sent early media later.
        The other branches stay until drop_leg."""
        raise NotImplementedError

    def drop_leg(self, leg: str) -> None:
        """The branch is lost, its ports go back. Harmless for an unknown leg."""
        raise NotImplementedError

    def answer_line(self, sdp: bytes, *, leg: str, line: Line) -> bytes:
        """The appliance itself answers the leg's offer (also a re-offer) with a test line."""
        raise NotImplementedError

    def offer_line(self, *, leg: str, line: Line) -> bytes:
        """The appliance itself offers (INVITE without SDP); the ACK's SDP goes to accept_line."""
        raise NotImplementedError

    def accept_line(self, sdp: bytes, *, leg: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Give all ports back. Safe to call twice."""
        raise NotImplementedError

    def snapshot(self) -> CallMedia:
        raise NotImplementedError


class Bridge:
    """One per appliance."""

    def __init__(self, backend: MediaBackend, options: BridgeOptions | None = None) -> None:
        self._backend = backend
        self._options = options or BridgeOptions()

    def open_call(self, call_id: str, on_dead: Callable[[str], None] | None = None) -> MediaCall:
        """`on_dead` is called, once, with the sentence why, when nothing has been heard for the silence limit on
        any stream that should be heard; the owner ends the call."""
        return MediaCall(self._backend, self._options, call_id, on_dead or (lambda _sentence: None))
