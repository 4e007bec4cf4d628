"""Topology hiding: peers of chosen trunks see the box alone, and nothing of who stands behind it.

`unmask` reads received messages back into what they would say without hiding; a `Veil` masks those that leave. So the
core in between knows true values only, signs its Record-Route entries over the true Call-ID, and keeps nothing: which
sides of a dialog are veiled stands in those entries (`DialogChanges.veils`), all else in the masks themselves.
"""

from __future__ import annotations

import re

from appliance.config.settings import Settings
from appliance.proxy.call import Calls
from appliance.proxy.dialog_changes import read_extras
from appliance.proxy.masks import MARK, Kind, Masks
from appliance.proxy.veil import (
    DIALOG_HEADERS,
    REFERRED,
    VIAS_JOINT,
    VIAS_PARAM,
    Hider,
    Hiding,
    Veil,
    escaped,
    unescaped,
)
from appliance.sip.errors import BadMessage
from appliance.sip.flow import Flow
from appliance.sip.header_lines import header_line
from appliance.sip.headers import split_commas, value_of
from appliance.sip.message import Message, Request

_WHOLE_URI = re.compile(rf"sips?:({MARK}[A-Za-z0-9_-]+)@[^<>?\s]*")
_ADDRESS = re.compile(rf"<sips?:({MARK}[A-Za-z0-9_-]+)@[^<>?\s]*(\?[^<>\s]*)?>")
_VIAS = re.compile(rf"{VIAS_PARAM}({MARK}[A-Za-z0-9_-]+)")
_NOTES = {None: "", Hiding.ADDRESSES: "a", Hiding.CALL_ID: "c"}
"""How a side is noted; the callee's in upper case."""
_OF_REQUESTS = frozenset({"route", "contact", "refer-to", "call-id", "in-reply-to", *DIALOG_HEADERS})
_OF_RESPONSES = frozenset({"record-route", "contact", "call-id"})


class TopologyHiding:
    """`key` is the box's token secret; `calls` know which Call-IDs came from hidden peers."""

    def __init__(self, key: bytes, calls: Calls) -> None:
        self._masks = Masks(key)
        self._calls = calls
        self.in_use = False
        """Whether there may be masks in what comes: since the start some trunk was hidden from."""

    def configure(self, settings: Settings) -> None:
        """Dialogs that are veiled stay so, whatever the settings say from now on."""
        self._hider = Hider(self._masks, frozenset(settings.appliance.domains or ()), self._outer)
        self._trunks = frozenset(name for name, trunk in settings.trunks.items() if trunk.hide_topology)
        self.in_use = self.in_use or bool(self._trunks)

    def hides_from(self, trunk: str) -> bool:
        return trunk in self._trunks

    def call_ids(self, call_id: str) -> tuple[str, ...]:
        """All names of one dialog: the true Call-ID, by either name, and the one that hidden peers know."""
        true = self._inner(call_id)
        return true, self._masks.seal(Kind.CALL_ID, true)

    # In

    def unmask(self, message: Message, flow: Flow) -> None:
        """Give a received message the true values; a request is veiled from then on, and so is what it is answered."""
        if not isinstance(message, Request):
            self._unmask_vias(message)
            self._unmask_lines(message, _OF_RESPONSES)
            return
        call_id = message.call_id
        uri = _WHOLE_URI.fullmatch(message.uri)
        if uri is not None:
            message.uri = self._masks.open(Kind.URI, uri[1]) or message.uri
        self._unmask_lines(message, _OF_REQUESTS)
        self.receive(message, flow, "" if call_id == message.call_id else call_id)

    def _unmask_vias(self, message: Message) -> None:
        """The Vias that our own, the topmost, carries stand below it again."""
        keys, lines = message.keys, message.lines
        index = keys.index("via")
        found = _VIAS.search(lines[index])
        vias = self._masks.open(Kind.VIAS, found[1]) if found is not None else None
        if found is not None and vias is not None:
            lines[index] = lines[index].replace(found[0], "", 1)
            message.put_below(index, vias.split(VIAS_JOINT))

    def _unmask_lines(self, message: Message, wanted: frozenset[str]) -> None:
        for index, key in enumerate(message.keys):
            line = message.lines[index]
            if key in wanted and MARK in line:
                try:
                    message.put_at(index, header_line(key, self._unmasked(key, value_of(line))))
                except BadMessage:
                    continue  # absurdly many values: whoever reads them refuses it

    def _unmasked(self, key: str, value: str) -> str:
        if key == "call-id":
            return self._inner(value)
        if key == "in-reply-to":
            return ", ".join(map(self._inner, split_commas(value)))
        if key in DIALOG_HEADERS:
            call_id, semicolon, rest = value.partition(";")
            return self._inner(call_id.strip()) + semicolon + rest
        value = _ADDRESS.sub(self._address, value)
        return REFERRED.sub(self._referred, value) if key == "refer-to" else value

    def _inner(self, call_id: str) -> str:
        return self._masks.open(Kind.CALL_ID, call_id) or call_id

    def _address(self, found: re.Match[str]) -> str:
        uri = self._masks.open(Kind.URI, found[1])
        return found[0] if uri is None else f"<{uri}{found[2] or ''}>"

    def _referred(self, found: re.Match[str]) -> str:
        return found[1] + escaped(self._inner(unescaped(found[2])))

    # Out

    def receive(self, request: Request, flow: Flow, call_id: str = "") -> None:
        """The request came from a hiding peer: what it is answered is masked. `call_id` is the peer's, if another."""
        try:
            recorded = frozenset(request.values("record-route"))
        except BadMessage:
            recorded = frozenset()
        request.veil = Veil(self._hider, flow, call_id, recorded)

    def send(self, request: Request, flow: Flow, hiding: Hiding) -> None:
        """The request goes over `flow` to a peer from which that much is hidden."""
        call_id = self._masks.seal(Kind.CALL_ID, request.call_id) if hiding is Hiding.CALL_ID else ""
        request.veil = Veil(self._hider, flow, call_id)

    def pass_on(self, request: Request, flow: Flow, extras: str, to_leg: str) -> Hiding | None:
        """A request inside a dialog: what is hidden from the side it goes to, as our entry noted of both sides."""
        veils = read_extras(extras).veils
        if not veils:
            return None
        to_caller = to_leg == "a"
        if request.veil is None and _hiding(veils, not to_caller) is not None:
            self.receive(request, flow)
        return _hiding(veils, to_caller)

    def _outer(self, call_id: str) -> str:
        """By which Call-ID hidden peers know a dialog: by its own where it came from one of them."""
        if not call_id:
            return ""  # somebody's mistake
        call = self._calls.of_dialog(call_id)
        if call is not None and call.caller_side.hiding is Hiding.ADDRESSES:
            return call_id
        return self._masks.seal(Kind.CALL_ID, call_id)


def noted(caller: Hiding | None, callee: Hiding | None) -> str:
    """From which sides of a new dialog something is hidden, for `DialogChanges.veils`."""
    return _NOTES[caller] + _NOTES[callee].upper()


def _hiding(veils: str, of_caller: bool) -> Hiding | None:
    for hiding, note in _NOTES.items():
        if note and (note if of_caller else note.upper()) in veils:
            return hiding
    return None
