"""What refusing under overload is held to for any input, which no parser has seen: that nothing is raised, and more."""

from __future__ import annotations

from collections.abc import Callable

from appliance.config.admission import RefusalKind
from appliance.config.settings import Settings
from appliance.proxy.shedder import Shedder
from appliance.sip.message import Response
from appliance.sip.parser import parse_message_untrusted
from tests.fuzz.sip_targets import no_hidden_break

USUAL = (
    b"INVITE sip:1002@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.8\r\nMax-Forwards: 70\r\nFrom: <sip:1001@example.com>;tag=a\r\n"
    b"To: <sip:1002@example.com>\r\nCall-ID: a@192.0.2.1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
)
_ENOUGH = 100


class _Wire:
    """Keeps the answers."""

    remote = ("192.0.2.1", 5060)
    reliable = False

    def __init__(self) -> None:
        self.answers: list[bytes] = []

    def send_untraced(self, data: bytes) -> None:
        self.answers.append(data)


def _answer(shedder: Shedder, data: bytes) -> Response | None:
    wire = _Wire()
    taken = shedder.take(data, wire, trusted=True)  # type: ignore[arg-type]
    assert taken == bool(wire.answers) or data.startswith(b"ACK ")
    if not wire.answers:
        return None
    [answer] = wire.answers
    response = parse_message_untrusted(answer)
    assert isinstance(response, Response)
    assert response.status == 503
    assert no_hidden_break(response) == answer
    assert len(answer) < 2 * len(data) + 300
    return response


def _shedder() -> Shedder:
    shedder = Shedder(())
    shedder.configure(Settings())
    shedder.refuse(1.0, RefusalKind.OVERLOAD, 0.0)
    return shedder


_FRESH, _LEARNED = _shedder(), _shedder()
for _ in range(_ENOUGH):
    _answer(_LEARNED, USUAL)
assert _LEARNED._forms.known


def request(data: bytes) -> None:
    """Whether it has seen the like before makes no difference."""
    _FRESH._forms.known.clear()
    _FRESH._forms._met.clear()
    at_first, known = _answer(_FRESH, data), _answer(_LEARNED, data)
    assert (at_first is None) == (known is None)
    if at_first is not None and known is not None:
        for key in ("via", "from", "call-id", "cseq", "retry-after"):
            assert known.get_all(key) == at_first.get_all(key)


TARGETS: dict[str, Callable[[bytes], None]] = {"request": request}
