"""Where every whole message goes besides its way: the trace, while there is one."""

from __future__ import annotations

from typing import Protocol

from appliance.sip.flow import Flow


class Tap(Protocol):
    """Cheap and silent: it keeps what it is handed and never raises."""

    def heard(self, data: bytes, flow: Flow) -> None:
        """A message has come."""

    def said(self, data: bytes, flow: Flow, dropped: str = "") -> None:
        """A message was handed to the kernel, or could not be, for that cause."""

    def dropped(self, data: bytes, flow: Flow, cause: str) -> None:
        """Nothing is done with what has come: a message just heard, or what never was a whole one."""
