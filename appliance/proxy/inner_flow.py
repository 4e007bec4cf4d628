"""The way between the core and a user agent inside the box: messages cross in memory and never touch the net.

To the core an agent is one more peer behind a connection, so its calls are routed, admitted, anchored and recorded like
anybody's. Whatever crosses is put off to the next turn, so that neither side is called from within its own sending.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import attrs

from appliance.router.question import Caller
from appliance.sip.build import ack_of, cancel_of
from appliance.sip.flow import Address, Flow, FlowClosed
from appliance.sip.message import Request, Response
from appliance.sip.parser import parse_message_untrusted
from appliance.sip.timers import Timer

if TYPE_CHECKING:
    from appliance.proxy.core import SipCore

PREFIX = "inner/"
"""The ids of such flows begin so."""
_T1_S, _T2_S, _GIVE_UP_S = 0.5, 4.0, 32.0

OnResponse = Callable[[Response], None]


@attrs.define(eq=False)
class _Asked:
    request: Request
    on_response: OnResponse


@attrs.define(eq=False)
class _Repeated:
    """A 2xx to an INVITE, said again until its ACK comes (RFC 3261 §13.3.1.4)."""

    response: Response
    interval_s: float
    give_up_at: float
    on_silence: Callable[[], None]
    timer: Timer | None = None


class InnerFlow(Flow):
    """`caller` is in whose name the agent makes calls; `address` is ours towards the party that it speaks for.

    `on_request` is called with each request that comes, ACK included.
    """

    __slots__ = ("_asked", "_core", "_on_request", "_queue", "_repeated", "caller")

    inside: ClassVar[bool] = True

    def __init__(self, core: SipCore, caller: Caller, address: Address, on_request: Callable[[Request], None]) -> None:
        host, port = address
        super().__init__(
            transport="TCP",
            listener="",
            local=address,
            remote=address,
            id=PREFIX + core.unique(),
            sent_by=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        )
        self.caller = caller
        self._core = core
        self._on_request = on_request
        self._asked: dict[tuple[str, str], _Asked] = {}
        self._repeated: dict[tuple[str, int], _Repeated] = {}
        self._queue: deque[Callable[[float], None]] = deque()
        core.inner_flows[self.id] = self

    # From the core

    def send(self, data: bytes) -> None:
        if self.closed:
            raise FlowClosed
        message = parse_message_untrusted(data)
        self._later(partial(self._deliver, message))

    def close(self) -> None:
        """The agent has ended: nothing crosses any more."""
        self.closed = True
        self._core.inner_flows.pop(self.id, None)
        self._queue.clear()
        for repeated in self._repeated.values():
            if repeated.timer is not None:
                repeated.timer.cancel()
        self._repeated.clear()
        self._core.flow_closed(self)

    # From the agent

    def new_via(self) -> str:
        """The Via value of one request of the agent."""
        return f"SIP/2.0/{self.transport} {self.sent_by};branch=z9hG4bKua{self._core.unique()}"

    def ask(self, request: Request, on_response: OnResponse) -> None:
        """Send a request, its Via in place. `on_response` gets every response, repeated 2xx to an INVITE too.

        The ACK to a non-2xx is sent from here, that to a 2xx is the agent's (`say`).
        """
        self._asked[request.via.branch, request.method] = _Asked(request, on_response)
        self.say(request)

    def say(self, request: Request) -> None:
        """Send a request that has no answer: ACK, or CANCEL whose own answer tells nothing."""
        self._later(lambda now: self._core.layer.receive_request(request, self, now))

    def cancel(self, request: Request) -> None:
        """Give up an INVITE that was sent by `ask`."""
        self.say(cancel_of(request))

    def reply(self, response: Response, on_silence: Callable[[], None] | None = None) -> None:
        """Answer a request that came. A 2xx to an INVITE is repeated until its ACK; `on_silence` if none comes."""
        if on_silence is not None:
            now = self._core.clock()
            cseq = response.cseq.number
            repeated = _Repeated(response, _T1_S, now + _GIVE_UP_S, on_silence)
            self._repeated[response.call_id, cseq] = repeated
            repeated.timer = self._core.schedule(now + _T1_S, partial(self._repeat, repeated))
        self._later(lambda now: self._core.layer.receive_response(response.copy(), self, now))

    def _repeat(self, repeated: _Repeated, now: float) -> None:
        response = repeated.response
        if now >= repeated.give_up_at:
            self._repeated.pop((response.call_id, response.cseq.number), None)
            repeated.on_silence()
            return
        self._core.layer.receive_response(response.copy(), self, now)
        repeated.interval_s = min(2 * repeated.interval_s, _T2_S)
        repeated.timer = self._core.schedule(now + repeated.interval_s, partial(self._repeat, repeated))

    # Crossing

    def _later(self, crossing: Callable[[float], None]) -> None:
        if not self._queue:
            self._core.schedule(self._core.clock(), self._cross)
        self._queue.append(crossing)

    def _cross(self, now: float) -> None:
        queue, self._queue = self._queue, deque()
        for crossing in queue:
            if not self.closed:
                crossing(now)

    def _deliver(self, message: Request | Response, now: float) -> None:
        if isinstance(message, Request):
            if message.method == "ACK":
                repeated = self._repeated.pop((message.call_id, message.cseq.number), None)
                if repeated is not None and repeated.timer is not None:
                    repeated.timer.cancel()
            self._on_request(message)
            return
        key = message.via.branch, message.cseq.method
        asked = self._asked.get(key)
        if asked is None:
            return
        if message.status >= 300 or (message.status >= 200 and key[1] != "INVITE"):
            del self._asked[key]
            if key[1] == "INVITE":
                self.say(ack_of(asked.request, message))
        asked.on_response(message)
