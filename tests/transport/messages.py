"""Small SIP messages for tests of the way, not of the meaning."""

from __future__ import annotations


def options(tag: str = "1", body: bytes = b"") -> bytes:
    return (
        f"OPTIONS sip:ping@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{tag}\r\n"
        f"Call-ID: {tag}\r\nCSeq: 1 OPTIONS\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def ok(tag: str = "1") -> bytes:
    return f"SIP/2.0 200 OK\r\nCall-ID: {tag}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n".encode()
