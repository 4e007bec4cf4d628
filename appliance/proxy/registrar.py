"""The registrar (RFC 3261 §10.3) with Path (RFC 3327), Outbound (RFC 5626) and GRUU (RFC 5627).

It changes `Location` at once and whole, or not at all, and answers when the store has committed the change, or has
said that it cannot. Who may register for the address-of-record has been settled before a request comes here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from email.utils import formatdate
from functools import partial

import attrs

from appliance.logs import log
from appliance.proxy.contact import Contact, contacts_untrusted, expires_untrusted
from appliance.proxy.extensions import UNDERSTOOD, refuse_unknown
from appliance.proxy.forwarding import behind_nat
from appliance.proxy.gruu import TemporaryGruus, public_gruu
from appliance.proxy.location import Binding, Location, canonical_instance
from appliance.sip.build import response_to
from appliance.sip.errors import BadMessage, Rejected
from appliance.sip.flow import Flow
from appliance.sip.message import Request, Response
from appliance.storage.bindings import BindingChange, BindingRow, BindingStore

Reply = Callable[[Response], None]

_MOST_PATHS = 16


@attrs.frozen(kw_only=True)
class RegistrarOptions:
    """Limits and switches. `flow_timer_s` is announced to Outbound phones on TCP and TLS (0: not)."""

    min_expires_s: float = 60
    default_expires_s: float = 3600
    max_expires_s: float = 7200
    max_contacts: int = 10
    outbound: bool = True
    gruu: bool = True
    flow_timer_s: int = 120


class Registrar:
    """Reads REGISTER requests and keeps `location`, which must have no other writer."""

    def __init__(
        self,
        location: Location,
        store: BindingStore,
        options: RegistrarOptions,
        gruus: TemporaryGruus | None = None,
        *,
        token: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.location = location
        self.options = options
        self._store = store
        self._gruus = gruus
        self._token = token
        self._date: tuple[int, str] = (-1, "")
        store.attach(self)

    def register(self, request: Request, flow: Flow, aor: str, now: float, reply: Reply) -> None:
        """Handle an authenticated REGISTER for `aor` (canonical, 'sip:user@domain').

        `reply` is called exactly once: at once for queries and refusals, otherwise after the commit. A refusal
        changes nothing.
        """
        supported = request.tokens("supported")
        try:
            puts, removals, outbound = self._plan(request, supported, flow, aor, now)
        except Rejected as refused:
            log.info("registration.refused", aor=aor, call_id=request.get("call-id"), flow=flow.id, cause=refused.cause)
            reply(self._response(request, refused.status, refused.reason, refused.headers))
            return
        except BadMessage as bad:
            log.info("registration.refused", aor=aor, call_id=request.get("call-id"), flow=flow.id, cause=bad.reason)
            reply(self._response(request, bad.status, bad.reason))
            return
        for binding in removals:
            self.location.remove(binding)
        for binding in puts:
            self.location.put(binding)
        response = self._accepted(request, supported, flow, aor, now, outbound)
        log.debug("registration.taken", aor=aor, flow=flow.id, added=len(puts), removed=len(removals))
        if not puts and not removals:
            reply(response)
            return
        self.location.changed(aor)
        changes = [BindingChange(binding.aor, binding.key, None) for binding in removals]
        changes += [BindingChange(binding.aor, binding.key, binding.row()) for binding in puts]
        self._store.write(changes, partial(_committed, reply, response))

    def flow_closed(self, flow: Flow) -> None:
        """Take away what only this flow reached, so that callers hear so at once (RFC 5626 §5.3).

        A phone that can be connected to at its contact's address stays.
        """
        changes: list[BindingChange] = []
        for binding in self.location.on_flow(flow.id):
            if binding.by_flow_only:
                self.location.remove(binding)
                changes.append(BindingChange(binding.aor, binding.key, None))
            else:
                kept = attrs.evolve(binding, flow_id="")
                self.location.put(kept)
                changes.append(BindingChange(kept.aor, kept.key, kept.row()))
            self.location.changed(binding.aor)
        if changes:
            self._store.write(changes, _forget)

    def expire(self, now: float) -> None:
        """Take away what has expired; to be called every second or so."""
        gone = self.location.expire(now)
        for aor in {binding.aor for binding in gone}:
            self.location.changed(aor)
        if gone:
            self._store.write([BindingChange(binding.aor, binding.key, None) for binding in gone], _forget)

    def remove(self, binding: Binding) -> None:
        """Take one binding away for a reason of ours, e.g. its user is gone."""
        self.location.remove(binding)
        self.location.changed(binding.aor)
        self._store.write([BindingChange(binding.aor, binding.key, None)], _forget)

    # BindingSource

    def rows(self) -> Iterable[BindingRow]:
        return (binding.row() for binding in list(self.location))

    def restore(self, rows: Sequence[BindingRow]) -> None:
        """Take over stored bindings. Connections ended with the last process, UDP flows go on."""
        for row in rows:
            try:
                binding = Binding.from_row(row)
            except BadMessage as bad:
                log.error("registration.unreadable", aor=row.aor, contact=row.contact, cause=bad.reason)
                continue
            known = self.location.registered(binding.aor, float("-inf"))
            if any(other.key == binding.key for other in known):
                continue
            if binding.transport != "UDP":
                binding.flow_id = ""
                binding.lost = binding.by_flow_only
            self.location.put(binding)
            self.location.changed(binding.aor)

    # RFC 3261 §10.3, steps 6 and 7

    def _plan(
        self, request: Request, supported: frozenset[str], flow: Flow, aor: str, now: float
    ) -> tuple[list[Binding], list[Binding], bool]:
        """(to put, to remove, whether Outbound was used); raises `Rejected` or `BadMessage`."""
        refuse_unknown(request, UNDERSTOOD)
        contacts = contacts_untrusted(request)
        if contacts is not None and not contacts:
            return [], [], False
        call_id, cseq = request.call_id, request.cseq.number
        path = tuple(request.values("path"))
        if not call_id.isprintable() or len(call_id) > 1024:
            raise BadMessage("Bad Call-ID")
        if len(path) > _MOST_PATHS or not all(value.isprintable() for value in path):
            raise BadMessage("Bad Path")
        before = {binding.key: binding for binding in self.location.registered(aor, now)}
        if contacts is None:
            for binding in before.values():
                _check_order(binding, call_id, cseq)
            return [], list(before.values()), False
        outbound = False
        if self.options.outbound and "outbound" in supported:
            flows = [contact for contact in contacts if contact.reg_id is not None and contact.instance is not None]
            if flows:
                if len(contacts) > 1:
                    raise BadMessage("Only one Contact may stand beside a reg-id")
                if not _first_hop_has_outbound(request, path):
                    raise Rejected(439, "First Hop Lacks Outbound Support")
                outbound = True
        header_expires = expires_untrusted(request)
        user_agent = (request.get("user-agent") or "")[:256].encode("utf-8", "replace").decode()
        hidden = behind_nat(request, flow)
        current = before.copy()
        for contact in contacts:
            expires_s = self._granted(contact, header_expires)
            key = f"{canonical_instance(contact.instance or '')} {contact.reg_id}" if outbound else contact.text
            old = _find(current, key, contact, outbound)
            if old is not None:
                if before.get(old.key) is old:
                    _check_order(old, call_id, cseq)
                if not expires_s or old.key != key:
                    del current[old.key]
            if not expires_s:
                continue
            gruu = ""
            if contact.instance:
                # §5.1 of RFC 5627: a new Call-ID ends the temporary GRUUs of old.
                gruu = old.gruu if old is not None and old.call_id == call_id else ""
                gruu = gruu or self._token(8).hex()
            current[key] = Binding(
                aor,
                key,
                contact.text,
                contact.uri,
                contact.q,
                now + expires_s,
                path,
                contact.instance,
                contact.reg_id if outbound else None,
                gruu,
                flow.id,
                flow.listener,
                (flow.transport, flow.remote[0], flow.remote[1]),
                call_id,
                cseq,
                user_agent,
                contact.features,
                old.registered_at if old is not None else now,
                now,
                hidden,
            )
        puts = [binding for key, binding in current.items() if before.get(key) is not binding]
        excess = len(current) - self.options.max_contacts
        if excess > 0:
            # Lost ones make room first, the longest unheard before others: a page that was open when we were killed
            # will not come back.
            lost = [key for _, key in sorted((b.refreshed_at, key) for key, b in current.items() if b.lost)][:excess]
            if excess > len(lost) and puts:
                raise Rejected(403, "Too Many Contacts", f"more than {self.options.max_contacts} contacts")
            for key in lost:
                del current[key]
        return puts, [binding for key, binding in before.items() if key not in current], outbound

    def _granted(self, contact: Contact, header_expires: int | None) -> float:
        expires_s: float | None = contact.expires_s if contact.expires_s is not None else header_expires
        if expires_s is None:
            expires_s = self.options.default_expires_s
        # An hour is never too brief (§10.2.8).
        least = min(self.options.min_expires_s, 3600)
        if 0 < expires_s < least:
            raise Rejected(423, "Interval Too Brief", headers=(("min-expires", str(round(least))),))
        return min(expires_s, self.options.max_expires_s)

    # Answers

    def _accepted(
        self, request: Request, supported: frozenset[str], flow: Flow, aor: str, now: float, outbound: bool
    ) -> Response:
        gruu = self.options.gruu and "gruu" in supported
        headers = [("contact", self._contact(binding, now, gruu)) for binding in self.location.registered(aor, now)]
        headers += [("path", value) for value in request.values("path")]
        if outbound:
            headers.append(("require", "outbound"))
            if self.options.flow_timer_s and flow.transport in ("TCP", "TLS"):
                headers.append(("flow-timer", str(self.options.flow_timer_s)))
        return self._response(request, 200, "OK", [*headers, ("date", self._date_at(now))])

    def _contact(self, binding: Binding, now: float, gruu: bool) -> str:
        text = f"<{binding.contact}>;expires={max(1, round(binding.expires_at - now))}"
        if binding.q != 1:
            text += f";q={binding.q:g}"
        if binding.instance is not None:
            text += f';+sip.instance="<{binding.instance}>"'
            if binding.reg_id is not None:
                text += f";reg-id={binding.reg_id}"
            if gruu:
                text += f';pub-gruu="{public_gruu(binding.aor, binding.instance)}"'
                if self._gruus is not None:
                    text += f';temp-gruu="{self._gruus.make(binding.aor, binding.gruu, self._token(8))}"'
        return f"{text};{binding.features}" if binding.features else text

    def _response(
        self, request: Request, status: int, reason: str, headers: Iterable[tuple[str, str]] = ()
    ) -> Response:
        return response_to(request, status, reason, to_tag=self._token(8).hex(), headers=headers)

    def _date_at(self, now: float) -> str:
        second = int(now)
        if self._date[0] != second:
            self._date = second, formatdate(second, usegmt=True)
        return self._date[1]


def _committed(reply: Reply, response: Response, error: Exception | None) -> None:
    """A phone is answered all the same where the disk fails: it is registered, and `Storage.health` shows the fault."""
    reply(response)


def _forget(error: Exception | None) -> None:
    """Nobody waits for this commit."""


def _find(current: dict[str, Binding], key: str, contact: Contact, outbound: bool) -> Binding | None:
    """The binding that this Contact is about: the same flow of the same instance, or an equal URI (§10.3, step 7)."""
    found = current.get(key)
    if found is not None or outbound:
        return found
    for binding in current.values():
        if binding.reg_id is None and binding.uri.equals(contact.uri):
            return binding
    return None


def _check_order(binding: Binding, call_id: str, cseq: int) -> None:
    if binding.call_id == call_id and cseq <= binding.cseq:
        raise Rejected(500, "CSeq Is Out Of Order", f"CSeq {cseq} came after {binding.cseq}")


def _first_hop_has_outbound(request: Request, path: tuple[str, ...]) -> bool:
    """Whether the phone's first hop is ourselves, or an edge proxy that put `ob` into its Path (RFC 5626 §6)."""
    if path:
        return any(part.strip().lower() == "ob" for part in path[-1].partition(">")[0].split(";")[1:])
    return len(request.values("via")) == 1
