"""SIP, SIPS and tel URIs: reading, writing, comparison (RFC 3261 §19.1, RFC 3966 §4).

Text in, text out: escapes stay as they came, comparison undoes them. Whether a host is ours is for others to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote

import attrs

from appliance.sip.errors import BadMessage

Params = tuple[tuple[str, str | None], ...]

#: Letters, digits, dots and hyphens; underscores too, which are met in the field.
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*$|\[[0-9A-Fa-f:.]+\]$")
_USER = re.compile(r"(?:[A-Za-z0-9_.!~*'()&=+$,;?/#-]|%[0-9A-Fa-f]{2})*$")
_PASSWORD = re.compile(r"(?:[A-Za-z0-9_.!~*'()&=+$,-]|%[0-9A-Fa-f]{2})*$")
_PARAM = re.compile(r"(?:[A-Za-z0-9_.!~*'()\[\]/:&+$-]|%[0-9A-Fa-f]{2})+$")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*$")
_TEL_NUMBER = re.compile(r"\+?[0-9A-Fa-f*#().-]+$")
_VISUAL_SEPARATORS = str.maketrans("", "", "-.()")

#: Parameters that must stand in both URIs, or in neither, for them to be equal (RFC 3261 §19.1.4).
_SIGNIFICANT = frozenset({"user", "ttl", "method", "maddr", "transport"})


@attrs.frozen(slots=True)
class Uri:
    """One URI, taken apart.

    `scheme` is lower case; `user` and `password` keep their escapes; `host` is lower case, an IPv6 reference with its
    brackets; `params` keep order and spelling; `headers` is the text after `?`. For tel, `user` is the number as
    written and `host` is empty. Of any other scheme `user` is all that follows the colon.
    """

    scheme: str
    user: str | None
    host: str
    port: int | None = None
    params: Params = ()
    password: str | None = None
    headers: str | None = None

    def param(self, name: str) -> str | None:
        """The value of a parameter, '' for one without value, None where it is absent; names ignore case."""
        for key, value in self.params:
            if key.lower() == name:
                return value or ""
        return None

    def with_params(self, *pairs: tuple[str, str | None]) -> Uri:
        """The same URI with these parameters set (replacing equal names)."""
        names = {name for name, _ in pairs}
        kept = tuple(p for p in self.params if p[0].lower() not in names)
        return attrs.evolve(self, params=kept + pairs)

    def without_params(self, *names: str) -> Uri:
        return attrs.evolve(self, params=tuple(p for p in self.params if p[0].lower() not in names))

    @property
    def bare_host(self) -> str:
        """The host without IPv6 brackets, as a socket wants it."""
        return self.host[1:-1] if self.host.startswith("[") else self.host

    @property
    def username(self) -> str:
        """The user part with its escapes undone, '' where there is none."""
        return unquote(self.user) if self.user else ""

    @property
    def aor(self) -> str:
        """The address-of-record: scheme, user, host, nothing else (RFC 3261 §10.3, step 5)."""
        return f"{self.scheme}:{self.username}@{self.host}" if self.user else f"{self.scheme}:{self.host}"

    def __str__(self) -> str:
        out = [self.scheme, ":"]
        if self.user is not None:
            out.append(self.user)
            if self.password is not None:
                out += (":", self.password)
            if self.host:
                out.append("@")
        out.append(self.host)
        if self.port is not None:
            out.append(f":{self.port}")
        for name, value in self.params:
            out.append(f";{name}" if value is None else f";{name}={value}")
        if self.headers is not None:
            out += ("?", self.headers)
        return "".join(out)

    def equals(self, other: Uri) -> bool:
        """RFC 3261 §19.1.4 for sip and sips, RFC 3966 §4 for tel. Not transitive, hence not `==`."""
        if self.scheme != other.scheme:
            return False
        if self.scheme == "tel":
            return _equal_tel(self, other)
        if self.scheme not in ("sip", "sips"):
            return self.user == other.user
        if (
            _unescaped(self.user) != _unescaped(other.user)
            or _unescaped(self.password) != _unescaped(other.password)
            or self.host != other.host
            or self.port != other.port
        ):
            return False
        mine, theirs = _param_map(self.params), _param_map(other.params)
        for name in mine.keys() | theirs.keys():
            if name in mine and name in theirs:
                if mine[name] != theirs[name]:
                    return False
            elif name in _SIGNIFICANT:
                return False
        return _header_set(self.headers) == _header_set(other.headers)


def _unescaped(text: str | None) -> str | None:
    return None if text is None else unquote(text)


def _param_map(params: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    return {name.lower(): unquote(value or "").lower() for name, value in params}


def _header_set(headers: str | None) -> frozenset[tuple[str, str]]:
    if not headers:
        return frozenset()
    pairs = (part.partition("=") for part in headers.split("&"))
    return frozenset((name.lower(), unquote(value)) for name, _, value in pairs)


def _equal_tel(one: Uri, two: Uri) -> bool:
    def number(uri: Uri) -> str:
        return (uri.user or "").translate(_VISUAL_SEPARATORS).lower()

    def params(uri: Uri) -> dict[str, str]:
        found = _param_map(uri.params)
        return {
            name: value.translate(_VISUAL_SEPARATORS) if name in ("ext", "phone-context") else value
            for name, value in found.items()
        }

    return number(one) == number(two) and params(one) == params(two)


def split_host_port(text: str) -> tuple[str, int | None]:
    """'host', 'host:port', '[v6]', '[v6]:port' → (host with brackets, lower case; port or None); raises BadMessage."""
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        host += bracket
        if rest and not rest.startswith(":"):
            raise BadMessage("Bad host")
        port = rest[1:] if rest else ""
        has_port = bool(rest)
    else:
        host, colon, port = text.partition(":")
        has_port = bool(colon)
    if not _HOST.match(host) or len(host) > 255:
        raise BadMessage("Bad host")
    if not has_port:
        return host.lower(), None
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or not 0 <= int(port) <= 65535:
        raise BadMessage("Bad port")
    return host.lower(), int(port)


def parse_params_untrusted(text: str) -> Params:
    """';a=1;b' without its leading semicolon → (('a','1'),('b',None)). Quoted values keep their quotes."""
    found: list[tuple[str, str | None]] = []
    for part in text.split(";") if '"' not in text else _split_quoted(text):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not name:
            if part.strip():
                raise BadMessage("Bad parameter")
            continue
        found.append((name, value.strip() if equals else None))
    return tuple(found)


def _split_quoted(text: str) -> list[str]:
    parts, start, quoted, escaped = [], 0, False, False
    for i, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == ";" and not quoted:
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return parts


@lru_cache(maxsize=8192)
def parse_uri_untrusted(text: str) -> Uri:
    """Any URI of a SIP message. Raises `BadMessage` when a sip, sips or tel URI breaks its grammar.

    Cached: a box sees the same few contacts and numbers again and again, and a `Uri` never changes.
    """
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.match(scheme):
        raise BadMessage("Bad URI")
    scheme = scheme.lower()
    if scheme in ("sip", "sips"):
        return _parse_sip(scheme, rest)
    if scheme == "tel":
        number, semicolon, params = rest.partition(";")
        if not _TEL_NUMBER.match(number) or not any(c.isalnum() or c in "*#" for c in number):
            raise BadMessage("Bad tel URI")
        return Uri("tel", number, "", None, parse_params_untrusted(params) if semicolon else ())
    if any(c <= " " or c in "<>" for c in rest):
        raise BadMessage("Bad URI")
    return Uri(scheme, rest, "")


def _parse_sip(scheme: str, rest: str) -> Uri:
    user: str | None = None
    password: str | None = None
    userinfo, at, after = rest.rpartition("@")
    if at and "?" in userinfo and "@" not in userinfo.partition("?")[0]:
        # An unescaped @ among the headers: the real userinfo ends at the first one, if there is any before '?'.
        before, question, _ = rest.partition("?")
        if question and "@" not in before:
            userinfo, at, after = "", "", rest
    if at:
        user, colon, secret = userinfo.partition(":")
        if colon:
            password = secret
            if not _PASSWORD.match(secret):
                raise BadMessage("Bad URI password")
        if not user or not _USER.match(user):
            raise BadMessage("Bad URI user")
    after, question, headers = after.partition("?")
    hostport, semicolon, params = after.partition(";")
    host, port = split_host_port(hostport)
    parsed = parse_params_untrusted(params) if semicolon else ()
    for name, value in parsed:
        if not _PARAM.match(name) or (value is not None and not _PARAM.match(value)):
            raise BadMessage("Bad URI parameter")
    if question and any(c <= " " for c in headers):
        raise BadMessage("Bad URI headers")
    return Uri(scheme, user, host, port, parsed, password, headers if question else None)
