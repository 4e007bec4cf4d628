"""Our Record-Route entries: signed, so that in-dialog requests find their way by themselves, also after restart.

Each entry faces one side of the dialog and carries the flow to it, or nothing where that side is to be reached by its
Contact; the call and leg that it belongs to, for media and the call's page; and what we change in the dialog. The
signature covers the Call-ID, so an entry serves its own dialog only and makes no open relay.
RFC 3261 §16.6 step 4, RFC 5658 (two entries, one facing each side), RFC 5626 §5.2 (unforgeable flow tokens).
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64

from appliance.sip.flow import Flow
from appliance.sip.uri import Uri

SECRET, SEALED = "e", "E"
"""Letters of the item of extras that nobody else may read: as it is, and as it stands in an entry."""
_MAC_BYTES = 9
_NONCE_BYTES = 12
_BLOCK = hashlib.blake2b().block_size
_PREFIX = "jf-"
_MOST_KNOWN = 8192
_LONGEST_KNOWN = 256
_LONGEST_TOKEN = 2048
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


Said = tuple[str, str, str, str]
"""Serial of the call, leg, flow id ('' for by-contact) and extras."""


class RecordRoutes:
    """Makes and reads the entries. `key` is the box's token secret, at least 32 bytes, kept over restarts."""

    def __init__(self, key: bytes) -> None:
        own = hashlib.blake2b(key, person=b"record-route").digest()
        self._keyed = hashlib.blake2b(own.ljust(_BLOCK + 1, b"\0"), digest_size=_MAC_BYTES)
        """Copied for each entry. The key fills a block, as in BLAKE2's own keyed mode, and that is hashed already."""
        self._sealing = hashlib.blake2b(key, person=b"sealed extras").digest()
        self._known: dict[tuple[str, str], Said] = {}
        """What the latest entries say, by Route line and Call-ID, since an ACK comes soon; bounded."""

    def entry(self, facing: Flow, call_id: str, serial: str, leg: str, by_contact: bool, extras: str = "") -> str:
        """The Record-Route value towards `facing`; `by_contact`: the Request-URI, not the flow, leads there.

        `extras` are the dialog's changes in short (`dialog_changes`); they hold no comma. Addresses among them are
        sealed: either side reads both entries, and is not to learn what the other one knows.
        """
        flow_id = "" if by_contact else facing.id
        said = f"{leg}~{self._turned(extras, call_id, SECRET, SEALED)}" if extras else leg
        payload = f"{serial},{said},{flow_id}".encode()
        signed = b2a_base64(self._mac(payload, call_id) + payload, newline=False)
        token = signed.rstrip(b"=").translate(_URL_SAFE).decode()
        if facing.transport == "UDP":
            value = f"<sip:{_PREFIX}{token}@{facing.sent_by};lr>"
        else:
            value = f"<sip:{_PREFIX}{token}@{facing.sent_by};transport={uri_transport(facing)};lr>"
        if len(call_id) <= _LONGEST_KNOWN:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known["Route: " + value, call_id] = serial, leg, flow_id, extras
        return value

    def known(self, line: str, call_id: str) -> Said | None:
        """The same as `open` for a whole Route line, where it is one that we wrote lately."""
        return self._known.get((line, call_id))

    def claims(self, uri: Uri) -> bool:
        """Whether a Route looks like one of ours; whether it is, `open` says."""
        return uri.user is not None and uri.user.startswith(_PREFIX)

    def open(self, token: str, call_id: str) -> Said | None:
        """What the user part of an entry says.

        None where the signature is not ours.
        """
        if len(token) > _LONGEST_TOKEN:
            return None
        text = token[len(_PREFIX) :]
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return None
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload, call_id)):
            return None
        serial, said, flow_id = payload.decode().split(",", 2)
        leg, _, extras = said.partition("~")
        return serial, leg, flow_id, self._turned(extras, call_id, SEALED, SECRET) if extras else ""

    def _turned(self, extras: str, call_id: str, old: str, new: str) -> str:
        """The extras with the item of letter `old` sealed, or opened, as `new`."""
        if not extras.startswith(old) and f"~{old}" not in extras:
            return extras
        return "~".join(
            new + self._seal(item[1:], call_id, opening=old == SEALED) if item.startswith(old) else item
            for item in extras.split("~")
        )

    def _seal(self, text: str, call_id: str, *, opening: bool) -> str:
        """Base64 in, base64 out. The first bytes of what is sealed are a digest of the rest, and so its own nonce."""
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if opening:
            nonce, raw = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
        else:
            nonce = self._stream(b"nonce" + raw, call_id, _NONCE_BYTES)
        stream = self._stream(b"stream" + nonce, call_id, len(raw))
        turned = bytes(one ^ other for one, other in zip(raw, stream, strict=True))
        return urlsafe_b64encode(turned if opening else nonce + turned).decode().rstrip("=")

    def _stream(self, what: bytes, call_id: str, length: int) -> bytes:
        seed = hashlib.blake2b(what + b"\0" + call_id.encode("utf-8", "surrogateescape"), key=self._sealing).digest()
        return hashlib.shake_256(self._sealing + seed).digest(length)

    def _mac(self, payload: bytes, call_id: str) -> bytes:
        mac = self._keyed.copy()
        mac.update(payload + b"\0" + call_id.encode("utf-8", "surrogateescape"))
        return mac.digest()


def extras_of(token: str) -> str:
    """The extras in the user part of an entry that we have just made: its signature is not looked at."""
    text = token[len(_PREFIX) :]
    try:
        payload = urlsafe_b64decode(text + "=" * (-len(text) % 4))[_MAC_BYTES:]
    except ValueError:
        return ""
    said = payload.decode("utf-8", "replace").split(",", 2)
    return said[1].partition("~")[2] if len(said) == 3 else ""


def uri_transport(flow: Flow) -> str:
    """The transport parameter of a URI that leads over such a flow."""
    # RFC 7118 §5.2: a URI says ws for both WebSocket transports.
    return "ws" if flow.transport in ("WS", "WSS") else flow.transport.lower()
