"""TLS to a collector, of the log or of SIP messages: both sides verify where certificates are given (RFC 5425 §4.2)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Protocol

import trio


class TlsSettings(Protocol):
    """What a section says of it."""

    @property
    def host(self) -> str: ...
    @property
    def ca(self) -> Path | None: ...
    @property
    def certificate(self) -> Path | None: ...
    @property
    def private_key(self) -> Path | None: ...
    @property
    def verify_name(self) -> str | None: ...


async def secured(plain: trio.SocketStream, settings: TlsSettings) -> trio.SSLStream[trio.SocketStream]:
    """The same connection in TLS, its handshake done. Raises OSError or BrokenResourceError, and closes it then."""
    try:
        context = await trio.to_thread.run_sync(_context, settings)
        secure = trio.SSLStream(plain, context, server_hostname=settings.verify_name or settings.host)
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(plain)
        raise
    return secure


def _context(settings: TlsSettings) -> ssl.SSLContext:
    """TLS 1.2 at least."""
    context = ssl.create_default_context(cafile=None if settings.ca is None else str(settings.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate is not None:
        context.load_cert_chain(settings.certificate, settings.private_key)
    return context


def reason_of(error: BaseException) -> str:
    """What went wrong, in words: that of TLS, or of the system, where there is one."""
    while isinstance(error.__cause__, (OSError, ssl.SSLError)):
        error = error.__cause__
    return getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
