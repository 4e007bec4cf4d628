"""The self-test's phone: REGISTER, INVITE, ACK and BYE as RFC 3261 has them, one request at a time.

It answers challenges, repeats what UDP may lose, and takes no calls.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import attrs
import trio

from appliance.sip.build import ack_of, response_to
from appliance.sip.dialog import Dialog
from appliance.sip.digest import DigestClient
from appliance.sip.errors import BadMessage
from appliance.sip.message import Request, Response
from appliance.sip.parser import parse_message_untrusted

from .permission import Permission
from .report import StepFailed
from .wires import Wire

ANSWER_S = 5.0
T1_S = 0.5


@attrs.frozen
class Answered:
    """A call that stands: its dialog, the SDP that was answered, and how long it took from the first INVITE on."""

    dialog: Dialog
    sdp: bytes
    setup_s: float


class Agent:
    """One phone on one wire. `where` names the listener in sentences."""

    def __init__(self, wire: Wire, permission: Permission, where: str) -> None:
        self._wire = wire
        self._permission = permission
        self._where = where
        self._call_id = secrets.token_hex(12)
        self._tag = secrets.token_hex(6)
        self._cseq = 0

    async def register(self, expires_s: int = 60) -> float:
        """Register our contact, or with 0 take it away; the seconds that it took. Raises `StepFailed`."""
        began = trio.current_time()
        domain = self._permission.domain
        headers = [("contact", self._wire.contact), ("expires", str(expires_s))]
        request = self._make("REGISTER", f"sip:{domain}", self._permission.user, headers)
        response = await self._with_credentials(request)
        if response.status != 200:
            raise _refused("REGISTER", response, self._where)
        return trio.current_time() - began

    async def call(self, line: str, offer: bytes) -> Answered:
        """Call a line of the box and acknowledge its 200. Raises `StepFailed`."""
        began = trio.current_time()
        headers = [("contact", self._wire.contact), ("content-type", "application/sdp")]
        uri = f"sip:{line}@{self._permission.domain}"
        request = self._make("INVITE", uri, line, headers, offer)
        response = await self._with_credentials(request)
        if response.status != 200:
            raise _refused("INVITE", response, self._where)
        setup_s = trio.current_time() - began
        try:
            dialog = Dialog.as_uac_untrusted(self._last, response)
        except BadMessage as bad:
            raise StepFailed(f"the 200 to our INVITE cannot be used: {bad.reason}", _OURS) from None
        await self._wire.send(dialog.make_ack(via=self._via()).to_bytes())
        return Answered(dialog, response.body, setup_s)

    async def hang_up(self, call: Answered) -> None:
        """Raises `StepFailed` where the BYE is not answered well."""
        response = await self._ask(call.dialog.make_request("BYE", via=self._via()))
        if response.status != 200:
            raise _refused("BYE", response, self._where)

    def _via(self) -> str:
        return f"{self._wire.via};branch=z9hG4bK{secrets.token_hex(8)}"

    def _make(self, method: str, uri: str, to: str, headers: Iterable[tuple[str, str]], body: bytes = b"") -> Request:
        self._cseq += 1
        user, domain = self._permission.user, self._permission.domain
        own = [
            ("via", self._via()),
            ("max-forwards", "70"),
            ("from", f"<sip:{user}@{domain}>;tag={self._tag}"),
            ("to", f"<sip:{to}@{domain}>"),
            ("call-id", self._call_id),
            ("cseq", f"{self._cseq} {method}"),
            ("user-agent", "Jackfield self-test"),
        ]
        return Request.make(method, uri, [*own, *headers], body)

    async def _with_credentials(self, request: Request) -> Response:
        response = await self._ask(request)
        self._last = request
        if response.status not in (401, 407):
            return response
        name, answer = (
            ("www-authenticate", "authorization")
            if response.status == 401
            else ("proxy-authenticate", "proxy-authorization")
        )
        try:
            digest = DigestClient.of_challenges_untrusted(
                response.get_all(name), self._permission.user, self._permission.password
            )
        except BadMessage as bad:
            raise StepFailed(f"the challenge to our {request.method} cannot be answered: {bad.reason}", _OURS) from None
        again = request.copy()
        self._cseq += 1
        again.set("via", self._via())
        again.set("cseq", f"{self._cseq} {request.method}")
        again.set(answer, digest.authorize(request.method, request.uri, secrets.token_hex(8), request.body))
        self._last = again
        return await self._ask(again)

    async def _ask(self, request: Request) -> Response:
        """Send it until it is answered; the final response. A refused INVITE is acknowledged (§17.1.1.3)."""
        data = request.to_bytes()
        with trio.move_on_after(ANSWER_S):
            response: Response | StepFailed
            async with trio.open_nursery() as nursery:
                heard = trio.Event()
                if not self._wire.reliable:
                    nursery.start_soon(self._repeat, data, heard)
                try:
                    if self._wire.reliable:
                        await self._wire.send(data)
                    response = await self._answer_to(request, heard)
                except StepFailed as failed:
                    response = failed
                except (OSError, trio.BrokenResourceError):
                    response = StepFailed(f"the connection to {self._where} broke", "The log says why.")
                nursery.cancel_scope.cancel()
            if isinstance(response, StepFailed):
                raise response
            if request.method == "INVITE" and response.status >= 300:
                await self._wire.send(ack_of(request, response).to_bytes())
            return response
        raise StepFailed(
            f"{self._where} did not answer our {request.method} within {ANSWER_S:g} s",
            "See whether a firewall drops packets to the port, and what jackfield ban list and the log say.",
        )

    async def _repeat(self, data: bytes, heard: trio.Event) -> None:
        """§17.1.2.2: after T1, then twice as long each time."""
        wait = T1_S
        while not heard.is_set():
            try:
                await self._wire.send(data)
            except OSError:
                pass  # ICMP says that nobody listens; the answer that stays away says it better
            with trio.move_on_after(wait):
                await heard.wait()
            wait = min(2 * wait, 4.0)

    async def _answer_to(self, request: Request, heard: trio.Event) -> Response:
        while True:
            try:
                message = parse_message_untrusted(await self._wire.receive())
            except BadMessage:
                continue
            except ConnectionRefusedError:
                raise StepFailed(
                    f"nothing listens at {self._where}",
                    "See the listener's state by jackfield status, and who holds the port by jackfield doctor.",
                ) from None
            if isinstance(message, Request):
                if message.method != "ACK":
                    await self._wire.send(response_to(message, 200).to_bytes())
                continue
            try:
                ours = message.branch == request.branch and message.cseq.method == request.method
            except BadMessage:
                continue
            if ours:
                heard.set()
                if message.status >= 200:
                    return message


_OURS = "This is a fault of Jackfield: send jackfield support."


def _refused(method: str, response: Response, where: str) -> StepFailed:
    reason = response.get("reason") or response.get("warning") or ""
    shown = f"{response.status} {response.reason}" + (f" ({reason})" if reason else "")
    remedy = {
        503: "The box is full or about to stop: see limits by jackfield status, and media ports in [media].",
        403: "The log says why: look for the method and the status. Access lists and bans may keep this address out.",
        401: "The account of the self-test was not taken: see whether two boxes answer at this address.",
        407: "The account of the self-test was not taken: see whether two boxes answer at this address.",
    }.get(response.status, "The log and the list of failed calls say why.")
    return StepFailed(f"{where} answered our {method} with {shown}", remedy)
