"""The way of a request inside a dialog: by our own Route entries, without any look-up of numbers (RFC 3261 §16.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from appliance.proxy.call import Calls
from appliance.proxy.destination import Hop, known_hop
from appliance.proxy.location import Location
from appliance.proxy.ownership import Ownership
from appliance.proxy.record_route import RecordRoutes
from appliance.proxy.sender import Wires
from appliance.proxy.trunk_tls import TrunkTls
from appliance.sip.errors import Rejected
from appliance.sip.flow import Flow
from appliance.sip.headers import parse_name_addr_untrusted
from appliance.sip.message import Request
from appliance.sip.uri import Uri, parse_uri_untrusted

_MOST_SEEN = 1024
_PLAIN_ENTRY = re.compile(r"Route: <sip:(jf-[A-Za-z0-9_-]+)@([^<>@,]+)>")
"""One entry of ours on a line of its own, as most clients send it back."""


@attrs.define
class Entry:
    """What one of our Record-Route entries says: the call, the leg that it faces, the flow to it ('': by Contact).

    `extras` are the changes of the dialog in short (`dialog_changes`), '' for none.
    `nearest` is the entry that faces the sender, still unread; '' where it left that out, or where the leg that it
    faces is known already: `nearest_leg`.
    """

    serial: str
    leg: str
    flow_id: str
    extras: str = ""
    nearest: str = ""
    nearest_leg: str = ""


class DialogPath:
    """Finds the other end of a dialog. `ownership` changes at a reload."""

    def __init__(
        self,
        record_routes: RecordRoutes,
        ownership: Ownership,
        wires: Wires,
        inner: Mapping[str, Flow],
        location: Location,
        calls: Calls,
        trunk_tls: TrunkTls,
    ) -> None:
        self.ownership = ownership
        self._record_routes = record_routes
        self._wires = wires
        self._inner = inner
        self._location = location
        self._calls = calls
        self._trunk_tls = trunk_tls
        self._seen: dict[str, bool] = {}

    def own(self, ownership: Ownership) -> None:
        """These hosts and ports are ours from now on."""
        self.ownership = ownership
        self._seen.clear()

    def entry_of(self, request: Request, flow: Flow) -> Entry | None:
        """Take our entries off the Route; None for a request outside any dialog, or that none of ours leads on.

        A Route leads inside a dialog only: nobody sends a new request past the dial plan with one that he has once
        been given. Raises `Rejected` 403 for an entry that we did not write for this dialog.
        """
        nearest = token = ""
        if "route" in request.kinds:
            known = self._pop_known(request)
            if known is not None:
                return known
            nearest, token = self._pop_routes(request, flow)
        if request.to_tag is None:
            return None
        if not token:
            return self._routeless(request, flow)
        opened = self._record_routes.open(token, request.call_id)
        if opened is None:
            raise Rejected(403, "Forbidden", "a Route entry of ours with a foreign signature")
        return Entry(*opened, nearest=nearest if nearest is not token else "")

    def serial_of(self, request: Request) -> str | None:
        """The call that the first of our entries in the Route names; None where it does not begin with one of ours."""
        entry = _PLAIN_ENTRY.fullmatch(request.lines[request.keys.index("route")])
        opened = self._record_routes.open(entry[1], request.call_id) if entry is not None else None
        return None if opened is None else opened[0]

    def leg_of_sender(self, entry: Entry, request: Request) -> str:
        """The leg that the entry nearest to the sender faces, '' where there is none."""
        if not entry.nearest:
            return entry.nearest_leg
        opened = self._record_routes.open(entry.nearest, request.call_id)
        return opened[1] if opened is not None else ""

    def _pop_known(self, request: Request) -> Entry | None:
        """Take off the whole Route where it holds just what we wrote for this dialog a moment ago, as it does in a
        call's first requests; else nothing happens."""
        keys, lines = request.keys, request.lines
        count = keys.count("route")
        index = keys.index("route")
        end = index + count
        if count > 2 or request.to_tag is None or keys[end - 1] != "route":
            return None
        call_id = request.call_id
        nearest = self._record_routes.known(lines[index], call_id)
        said = nearest if count == 1 else self._record_routes.known(lines[end - 1], call_id)
        if nearest is None or said is None:
            return None
        request.drop_lines(index, end)
        serial, leg, flow_id, extras = said
        return Entry(serial, leg, flow_id, extras, "", nearest[1] if count == 2 else "")

    def _pop_routes(self, request: Request, flow: Flow) -> tuple[str, str]:
        """Take our own entries off the Route (RFC 3261 §16.4): the first and the last of their tokens, '' for none."""
        keys, lines = request.keys, request.lines
        first = token = ""
        if request.uri.startswith("sip:jf-") and self._record_routes.claims(request.request_uri):
            # A strict router put our entry into the Request-URI and the target at the end of the Route.
            first = token = request.request_uri.user or ""
            *before, last = request.values("route")
            request.uri = bare_uri(last)
            request.remove("route")
            for value in before:
                request.append("route", value)
        while "route" in keys:
            index = keys.index("route")
            entry = _PLAIN_ENTRY.fullmatch(lines[index])
            if entry is None:
                found = self._pop_others(request, flow)
                return first or found[0], found[1] or token
            if not self._is_ours(entry[2]):
                break
            request.drop_line(index)
            token = entry[1]
            first = first or token
        return first, token

    def _pop_others(self, request: Request, flow: Flow) -> tuple[str, str]:
        """The same for Routes written in any way, read once however many they are."""
        first = token = ""
        values = request.values("route")
        index = 0
        for index, value in enumerate(values):
            uri = parse_name_addr_untrusted(value, "Route").uri
            if not self.ownership.owns(uri) and not (index == 0 and self._reached_at(uri, request, flow)):
                break
            if self._record_routes.claims(uri):
                token = uri.user or ""
                first = first or token
        else:
            index += 1
        if index:
            request.remove("route")
            for value in values[index:]:
                request.append("route", value)
        return first, token

    def _reached_at(self, uri: Uri, request: Request, flow: Flow) -> bool:
        """Whether a WebSocket phone names us by the address that its page has of us: behind a port forward, say."""
        return flow.transport in ("WS", "WSS") and self.ownership.has_domain(uri.host) and request.to_tag is None

    def _is_ours(self, where: str) -> bool:
        """Whether 'host:port;transport=…' after the @ is this box; the few that are met are remembered."""
        known = self._seen.get(where)
        if known is None:
            known = self.ownership.owns(parse_uri_untrusted(f"sip:{where}"))
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen[where] = known
        return known

    def _routeless(self, request: Request, flow: Flow) -> Entry | None:
        """A request of a client that ignores Record-Route: its call's other end, as long as we remember the call.

        Only from the address that the call came from or went to, and only where it names us as its target.
        """
        call = self._calls.of_dialog(request.call_id)
        if call is None or call.callee_side is None or not call.leg:
            return None
        if request.veil is None and not self.ownership.owns(request.request_uri):
            return None  # a veiled one did name us: by a mask
        for leg, side, peer in (
            (call.leg, call.callee_side, call.caller_side),
            ("a", call.caller_side, call.callee_side),
        ):
            known = side.flow is not None and peer.flow is not None and peer.flow.remote == flow.remote
            if known and side.contact and peer.address_tag == request.from_tag:
                request.uri = side.contact
                for route in reversed(side.routes):
                    request.prepend("route", route)
                flow_id = "" if side.by_contact or side.flow is None else side.flow.id
                return Entry(call.serial, leg, flow_id, call.changes.extras)
        return None

    def way(self, request: Request, entry: Entry) -> tuple[Flow | None, Hop | None]:
        """Where a request inside a dialog goes: over the flow of our entry, else to the Route or the target."""
        flow_id = entry.flow_id
        flow = (self._wires.flow(flow_id) or self._inner.get(flow_id)) if flow_id else None
        if flow is not None:
            return flow, None
        routes = request.values("route") if "route" in request.kinds else []
        target = parse_name_addr_untrusted(routes[0], "Route").uri if routes else request.request_uri
        binding = None if routes else self._location.by_contact(target)
        if binding is not None:
            flow = self._wires.flow(binding.flow_id)  # the phone came back over another connection
            if flow is not None:
                return flow, None
        if target.host.endswith(".invalid"):
            raise Rejected(430, "Flow Failed", "the phone's connection is gone and it has not come back")
        hop = Hop.of(target) if routes else known_hop[request.uri]
        return None, self._trunk_tls.hop(hop, entry.extras, entry.leg) if self._trunk_tls.any else hop


def bare_uri(value: str) -> str:
    """The URI of a name-addr as text."""
    return str(parse_name_addr_untrusted(value).uri)
