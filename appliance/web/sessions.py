"""Who is signed in: signed session cookies, passwords against argon2 hashes, and the patience with wrong ones.

A session lives in its cookie and holds across a restart; the key that signs it hangs on the account's password hash, so
that a new password ends it. The role is the account's of now. What was signed out is remembered here until it would
have ended anyway.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import math
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Final

import argon2
import attrs
import trio

from appliance.accounts.account import Account
from appliance.config.accounts import Role

LONGEST_PASSWORD: Final = 256
_LONGEST_COOKIE: Final = 1024
_WINDOW_S: Final = 60.0
_MOST_SOURCES: Final = 10_000
_MOST_SIGNED_OUT: Final = 10_000
_MOST_WAITING: Final = 20
# Of nobody's password: an unknown name costs as much time as a known one.
_NOBODY: Final = f"$argon2id$v=19$m=65536,t=3,p=4${'A' * 22}${'A' * 43}"


class TooBusy(Exception):  # noqa: N818 (it says what happened)
    """Too many people are signing in at once."""


@attrs.frozen
class Session:
    """One sign-in. `form_token` goes into every form of its pages and comes back with it."""

    name: str
    role: Role
    id: str
    began_at: float
    form_token: str = attrs.field(repr=False)


class Sessions:
    """`wall` gives wall-clock seconds; the callables give what holds now, for a reload may change it."""

    def __init__(
        self,
        *,
        secret: Callable[[], bytes],
        accounts: Callable[[], Mapping[str, Account]],
        lifetime_s: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._secret = secret
        self._accounts = accounts
        self._lifetime_s = lifetime_s
        self._wall = wall
        self._signed_out: OrderedDict[str, None] = OrderedDict()
        self._threads = trio.CapacityLimiter(1)

    def open(self, name: str) -> str:
        """The cookie of a new session of an account."""
        payload = json.dumps([name, secrets.token_hex(12), math.floor(self._wall())]).encode()
        return f"{_text(payload)}.{_text(self._mac(name, b'session', payload))}"

    def find_untrusted(self, cookie: str | None) -> Session | None:
        """The session of a cookie, None where it is not ours, has ended, or was signed out."""
        if not cookie or len(cookie) > _LONGEST_COOKIE:
            return None
        try:
            payload, mac = (_bytes(part) for part in cookie.split("."))
            name, identity, began_at = json.loads(payload)
        except (ValueError, TypeError, RecursionError):
            return None
        if not (isinstance(name, str) and isinstance(identity, str) and isinstance(began_at, int)):
            return None
        account = self._accounts().get(name)
        if account is None or not account.password_hash:
            return None
        if not hmac.compare_digest(mac, self._mac(name, b"session", payload)):
            return None
        if identity in self._signed_out or not 0 <= self._wall() - began_at < self._lifetime_s():
            return None
        return Session(name, account.role, identity, began_at, _text(self._mac(name, b"form", payload)))

    def close(self, session: Session) -> None:
        """Sign out: the cookie is worth nothing any more, whoever holds a copy."""
        self._signed_out[session.id] = None
        if len(self._signed_out) > _MOST_SIGNED_OUT:
            self._signed_out.popitem(last=False)

    async def right(self, name: str, password: str) -> bool:
        """Whether that is the account's password; takes the same time for names that nobody has.

        Raises `TooBusy` where too many wait for their answer already.
        """
        if self._threads.statistics().tasks_waiting >= _MOST_WAITING:
            raise TooBusy
        account = self._accounts().get(name)
        known = account.password_hash if account is not None else ""
        fits = await trio.to_thread.run_sync(
            _fits, known or _NOBODY, password[: LONGEST_PASSWORD + 1], limiter=self._threads
        )
        return fits and bool(known) and len(password) <= LONGEST_PASSWORD

    def _mac(self, name: str, purpose: bytes, payload: bytes) -> bytes:
        account = self._accounts().get(name)
        stored = b"" if account is None else account.password_hash.encode()
        key = hmac.digest(self._secret(), b"web " + purpose + b"\0" + stored, hashlib.sha256)
        return hmac.digest(key, payload, hashlib.sha256)


def _fits(stored: str, password: str) -> bool:
    try:
        return argon2.PasswordHasher().verify(stored, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError("not base64") from error


class Attempts:
    """Counts wrong passwords by address, an IPv6 one by its /64, within a minute. `now` is trio's clock."""

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, source: str, now: float) -> float:
        """How long this address must wait, 0 where it may try. A try counts from its beginning: call `count`."""
        times = self._times.get(_network(source))
        if times is None:
            return 0.0
        while times and now - times[0] >= _WINDOW_S:
            times.popleft()
        most = self._most()
        return 0.0 if len(times) < most else times[len(times) - most] + _WINDOW_S - now

    def count(self, source: str, now: float) -> None:
        key = _network(source)
        self._times.setdefault(key, deque(maxlen=1000)).append(now)
        self._times.move_to_end(key)
        if len(self._times) > _MOST_SOURCES:
            self._times.popitem(last=False)

    def forgive(self, source: str) -> None:
        """The last try was right after all."""
        times = self._times.get(_network(source))
        if times:
            times.pop()
            if not times:
                del self._times[_network(source)]


def _network(source: str) -> str:
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    return source if address.version == 4 else str(ipaddress.ip_network((address.packed[:8] + bytes(8), 64)))
