"""How the self-test's phone reaches a listener: UDP, or WebSocket over TLS (RFC 7118); one SIP message at a time."""

from __future__ import annotations

import secrets
import ssl
from collections import deque
from typing import Protocol

import trio
import wsproto
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, RejectConnection, Request, TextMessage

from .permission import Door
from .report import StepFailed

CONNECT_S = 5.0


class Wire(Protocol):
    """`via` and `contact` are what stands in headers; `host` is our address on the way to the box."""

    via: str
    contact: str
    host: str
    reliable: bool

    async def send(self, message: bytes) -> None: ...

    async def receive(self) -> bytes: ...


class UdpWire:
    reliable = False

    def __init__(self, sock: trio.socket.SocketType, user: str) -> None:
        self._socket = sock
        self.host, port = sock.getsockname()[:2]
        shown = f"[{self.host}]" if ":" in self.host else self.host
        self.via = f"SIP/2.0/UDP {shown}:{port};rport"
        self.contact = f"<sip:{user}@{shown}:{port}>"

    @classmethod
    async def open(cls, door: Door, user: str) -> UdpWire:
        family = trio.socket.AF_INET6 if ":" in door.host else trio.socket.AF_INET
        sock = trio.socket.socket(family, trio.socket.SOCK_DGRAM)
        try:
            await sock.connect((door.host, door.port))
        except OSError as error:
            sock.close()
            raise _unreached(door, error) from None
        return cls(sock, user)

    async def send(self, message: bytes) -> None:
        await self._socket.send(message)

    async def receive(self) -> bytes:
        return await self._socket.recv(65536)

    async def aclose(self) -> None:
        self._socket.close()
        await trio.lowlevel.checkpoint()


class WebSocketWire:
    """`certificate` is what the box showed, in DER; whether it is the right one is judged by whoever asks."""

    reliable = True

    def __init__(self, stream: trio.SSLStream[trio.SocketStream], door: Door, user: str, local: str) -> None:
        self._stream = stream
        self._ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._door = door
        self._messages: deque[bytes] = deque()
        self._text = ""
        name = f"{secrets.token_hex(6)}.invalid"
        self.host = local
        self.via = f"SIP/2.0/WSS {name}"
        self.contact = f"<sip:{user}@{name};transport=ws>"
        self.certificate = b""

    @classmethod
    async def open(cls, door: Door, user: str) -> WebSocketWire:
        """TLS without looking at the certificate, then the handshake. Raises `StepFailed`."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        tcp = None
        try:
            with trio.fail_after(CONNECT_S):
                tcp = await trio.open_tcp_stream(door.host, door.port)
                local = tcp.socket.getsockname()[0]
                stream = trio.SSLStream(tcp, context, server_hostname=door.host, https_compatible=True)
                try:
                    await stream.do_handshake()
                except (trio.BrokenResourceError, ssl.SSLError) as error:
                    await tcp.aclose()
                    raise StepFailed(
                        f"listener {door.name} at {_shown(door)} takes the connection, but TLS fails: "
                        f"{error.__cause__ or error}",
                        "Look at the listener's certificate and private-key, and at tls settings.",
                    ) from None
                wire = cls(stream, door, user, local)
                wire.certificate = stream.getpeercert(binary_form=True) or b""
                await wire._shake_hands()
        except trio.TooSlowError:
            if tcp is not None:
                await trio.aclose_forcefully(tcp)
            raise _unreached(door, TimeoutError(f"no answer within {CONNECT_S:g} s")) from None
        except OSError as error:
            raise _unreached(door, error) from None
        return wire

    async def _shake_hands(self) -> None:
        shown = f"[{self._door.host}]" if ":" in self._door.host else self._door.host
        headers = [(b"origin", self._door.origin.encode())] if self._door.origin else []
        request = Request(
            host=f"{shown}:{self._door.port}", target=self._door.path, subprotocols=["sip"], extra_headers=headers
        )
        await self._stream.send_all(self._ws.send(request))
        while True:
            self._ws.receive_data(bytes(await self._stream.receive_some(65536)) or None)
            for event in self._ws.events():
                if isinstance(event, AcceptConnection):
                    return
                if isinstance(event, RejectConnection | CloseConnection):
                    status = getattr(event, "status_code", 0)
                    raise StepFailed(
                        f"listener {self._door.name} refuses the WebSocket ({status})",
                        "Look at ws-path, origins and require-origin of the listener.",
                    )

    async def send(self, message: bytes) -> None:
        await self._stream.send_all(self._ws.send(TextMessage(data=message.decode())))

    async def receive(self) -> bytes:
        while not self._messages:
            data = await self._stream.receive_some(65536)
            self._ws.receive_data(bytes(data) or None)
            for event in self._ws.events():
                if isinstance(event, TextMessage):
                    self._text += event.data
                    if event.message_finished:
                        self._messages.append(self._text.encode())
                        self._text = ""
                elif isinstance(event, BytesMessage):
                    self._messages.append(bytes(event.data))
                elif isinstance(event, Ping):
                    await self._stream.send_all(self._ws.send(event.response()))
                elif isinstance(event, CloseConnection):
                    raise StepFailed(
                        f"the box closed the WebSocket of listener {self._door.name} ({event.code})",
                        "The log says why: look for the listener's name.",
                    )
        return self._messages.popleft()

    async def aclose(self) -> None:
        with trio.move_on_after(1):
            try:
                await self._stream.send_all(self._ws.send(CloseConnection(code=1000)))
            except (trio.BrokenResourceError, trio.ClosedResourceError, wsproto.utilities.LocalProtocolError):
                pass
        await trio.aclose_forcefully(self._stream)


def _shown(door: Door) -> str:
    return f"[{door.host}]:{door.port}" if ":" in door.host else f"{door.host}:{door.port}"


def _unreached(door: Door, error: OSError) -> StepFailed:
    return StepFailed(
        f"listener {door.name} at {_shown(door)} cannot be reached: {error.strerror or error}",
        "See by jackfield doctor whether the port is bound, and whether a firewall drops packets to it.",
    )
