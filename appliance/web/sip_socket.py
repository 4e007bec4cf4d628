"""SIP over WebSocket on the page's own origin: the handshake, judged as a listener does (RFC 7118 §4, RFC 6455 §4.2).

An ASGI application of its own before Quart, so that a SIP message passes no web framework. What follows the handshake
is the transports' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketScope

from .connection import serving
from .hosts import of_this_machine
from .inside import Inside

SUBPROTOCOL: Final = "sip"
LISTENER: Final = "web"
_GOING_AWAY: Final = 1001


class _Gone(Exception):  # noqa: N818 (it says what happened)
    """The phone has closed its WebSocket."""


async def serve_sip_socket(
    inside: Inside, scope: WebsocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable
) -> None:
    """Refuse a handshake with 404, 403 or 400, or run the WebSocket as a flow until either side ends it."""
    connect = await receive()
    if connect["type"] != "websocket.connect":
        return
    status = _judge(inside, scope)
    if status is not None:
        await send(
            {
                "type": "websocket.http.response.start",
                "status": status,
                "headers": [(b"content-length", b"0"), (b"connection", b"close")],
            }
        )
        await send({"type": "websocket.http.response.body", "body": b"", "more_body": False})
        return
    await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL, "headers": []})

    async def receive_message() -> str | bytes:
        event: Mapping[str, Any] = await receive()
        if event["type"] != "websocket.receive":
            raise _Gone
        text = event.get("text")
        return event.get("bytes") or b"" if text is None else str(text)

    async def send_message(message: str | bytes) -> None:
        if isinstance(message, str):
            await send({"type": "websocket.send", "bytes": None, "text": message})
        else:
            await send({"type": "websocket.send", "bytes": message, "text": None})

    remote, local = scope["client"], scope["server"]
    assert remote is not None
    assert local is not None
    await inside.serve_sip(
        receive_message,
        send_message,
        listener=LISTENER,
        remote=remote,
        local=(local[0], local[1] or 0),
        secure=scope["scheme"] == "wss",
        sock=serving.get(None),
    )
    await send({"type": "websocket.close", "code": _GOING_AWAY, "reason": None})


def _judge(inside: Inside, scope: WebsocketScope) -> int | None:
    """The HTTP status of a refusal, None where the handshake is as it should be."""
    web = inside.settings().web
    if scope["raw_path"] != web.sip_path.encode():
        return 404
    origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    if (
        len(origins) > 1
        or len(hosts) != 1
        or (scope["scheme"] != "wss" and not of_this_machine(hosts[0]))
        or not inside.origin_allowed(origins[0] if origins else None, hosts[0], web.origins)
    ):
        return 403
    return None if SUBPROTOCOL in scope["subprotocols"] else 400
