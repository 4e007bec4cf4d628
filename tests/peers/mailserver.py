"""aiosmtpd as the mail server on loopback, in a thread of its own: STARTTLS and a password where asked for."""

from __future__ import annotations

import ssl
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.peers.ports import free_port


@attrs.frozen
class Received:
    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    over_tls: bool
    user: str


class MailServer:
    """`refuse` is what it says to the next mails in place of 250. With a certificate it insists on STARTTLS."""

    def __init__(self, certificate: Path | None = None, password: str = "") -> None:
        self.mails: list[Received] = []
        self.refuse: list[str] = []
        self.port = free_port()
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)

        def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
            right = isinstance(data, LoginPassword) and data.password.decode() == password
            return AuthResult(success=right, auth_data=data.login.decode() if right else None)

        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            ready_timeout=60,
            tls_context=context,
            require_starttls=context is not None,
            authenticator=authenticate if password else None,
            auth_required=bool(password),
        )
        self._controller.start()

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        if self.refuse:
            return self.refuse.pop(0)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(
            Received(
                envelope.mail_from,
                tuple(envelope.rcpt_tos),
                message,
                session.ssl is not None,
                str(session.auth_data or ""),
            )
        )
        return "250 kept"

    def __enter__(self) -> MailServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()
