"""baresip as a plain SIP phone: speaks a tone of known frequency, records what it hears, obeys over TCP.

Its control protocol is JSON in netstrings (module ctrl_tcp); events such as CALL_ESTABLISHED come unasked. What
it decodes is written by its sndfile filter, before any player, so no sound device is needed.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.peers.ports import free_block, free_port
from tests.peers.processes import PATIENCE_S, PeerError, Program, wait_until
from tests.peers.tones import read_samples, tone_of, write_tone

_MODULES = ("g711", "aufile", "aubridge", "sndfile", "srtp")
_CONFIG = """\
sip_listen {host}:{sip_port}
net_interface {address}
call_local_timeout 60
call_max_calls 4
audio_source aufile,{directory}/spoken.wav
audio_player aubridge,heard
audio_alert aubridge,alert
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
ringback_disabled yes
statmode_default off
rtp_ports {rtp_first}-{rtp_last}
rtcp_mux no
jitter_buffer_delay 2-6
module_path /usr/lib/baresip/modules
{modules}
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
snd_path {directory}
"""


class Baresip:
    """One phone registered at `registrar`, or one without account that is called at its own address."""

    def __init__(
        self,
        directory: Path,
        user: str,
        password: str,
        *,
        registrar: tuple[str, int],
        domain: str = "",
        transport: str = "udp",
        tone_hz: int = 440,
        answer: str = "auto",
        media_encryption: str = "",
        port: int | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.user = user
        self.host = "[::1]" if ":" in registrar[0] else "127.0.0.1"
        self.port = port or free_block(2)  # the next is its TLS port
        control = free_port()
        rtp_first = free_block(20)
        server = f"[{registrar[0]}]" if ":" in registrar[0] else registrar[0]
        server = f"{server}:{registrar[1]}"
        write_tone(directory / "spoken.wav", tone_hz, seconds=60)
        (directory / "config").write_text(
            _CONFIG.format(
                host=self.host,
                address=registrar[0],
                sip_port=self.port,
                directory=directory,
                rtp_first=rtp_first,
                rtp_last=rtp_first + 19,
                modules="\n".join(f"module {name}.so" for name in _MODULES),
                control=control,
            )
        )
        parameters = [f"auth_pass={password}", f"answermode={answer}", "audio_codecs=pcmu,pcma", "regint=600"]
        parameters.append(f'outbound="sip:{server};transport={transport}"')
        if media_encryption:
            parameters.append(f"mediaenc={media_encryption}")
        aor = f"<sip:{user}@{domain or server};transport={transport}>"
        (directory / "accounts").write_text(";".join([aor, *parameters]) + "\n")
        (directory / "contacts").write_text("")
        self._domain = domain or server
        self.program = Program(["baresip", "-f", str(directory), "-v"], directory / "baresip.log", cwd=directory)
        self.program.expect_bound(control, "tcp")
        self._control = socket.create_connection(("127.0.0.1", control), 30)
        self._control.setblocking(False)
        self._received = b""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Baresip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()
        self.program.stop()
        if error is not None:
            error.add_note(f"--- baresip {self.user}\n{self.program.tail(60)}")

    def command(self, command: str, params: str = "") -> None:
        """Send one of baresip's long commands: dial, accept, hangup, hold, resume, sndcode, …"""
        text = json.dumps({"command": command, "params": params, "token": command}).encode()
        self._control.sendall(b"%d:%s," % (len(text), text))

    def expect_event(self, kind: str, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for an event of that type (CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED, …)."""

        def take() -> dict[str, Any] | None:
            self._read()
            for place, event in enumerate(self.events):
                if event["type"] == kind:
                    del self.events[: place + 1]
                    return event
            return None

        found: list[dict[str, Any]] = []

        def taken() -> bool:
            event = take()
            if event is not None:
                found.append(event)
            return bool(found) or not self.program.running()

        try:
            wait_until(taken, f"event {kind} of baresip {self.user}", timeout_s)
        except PeerError as late:
            raise PeerError(f"{late}; it had {[event['type'] for event in self.events]}") from None
        if not found:
            raise PeerError(f"baresip ended before {kind}\n{self.program.tail()}")
        return found[0]

    def _read(self) -> None:
        try:
            more = self._control.recv(65536)
        except BlockingIOError:
            return
        self._received += more
        while b":" in self._received:
            length, _, rest = self._received.partition(b":")
            if len(rest) <= int(length):
                return
            message = json.loads(rest[: int(length)])
            self._received = rest[int(length) + 1 :]
            if message.get("event"):
                self.events.append(message)

    def expect_registered(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait for the 200 to its REGISTER (it goes out before the control port can be reached)."""
        self.program.expect_log(rf"^{self.user}@.* 200 OK .*binding", timeout_s)

    def dial(self, number: str) -> None:
        self.command("dial", f"sip:{number}@{self._domain}")

    def send_digits(self, digits: Iterable[str]) -> None:
        """RFC 4733 events, one key after the other."""
        for digit in digits:
            self.command("sndcode", digit)

    def heard(self) -> list[int]:
        """Everything that the latest call decoded so far, as samples."""
        recordings = sorted(self.directory.glob("dump-*-dec.wav"))
        return read_samples(recordings[-1])[0] if recordings else []

    def expect_tone(self, frequency_hz: float, within_hz: float = 6, timeout_s: float = PATIENCE_S) -> float:
        """Wait until the last second heard is a tone of that frequency; gives what was measured."""
        measured: list[float | None] = [None]

        def right() -> bool:
            measured[0] = tone_of(self.heard(), 8000)
            return measured[0] is not None and abs(measured[0] - frequency_hz) <= within_hz

        try:
            wait_until(right, f"{frequency_hz} Hz at baresip {self.user}", timeout_s)
        except PeerError as late:
            raise PeerError(f"{late}; it heard {measured[0]} Hz in {len(self.heard())} samples") from None
        assert measured[0] is not None
        return measured[0]
