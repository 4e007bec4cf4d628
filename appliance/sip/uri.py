"""SIP, SIPS and tel URIs: reading, writing, comparison (RFC 3261 §19.1, RFC 3966 §4).

Text in, text out: escapes stay as they came, comparison undoes them. Whether a host is ours is for others to say.
Every expression here runs in linear time: repetitions that touch share no character, or are possessive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import unquote

import attrs

from appliance.sip.errors import BadMessage
from appliance.sip.remembered import Remembered

Params = tuple[tuple[str, str | None], ...]

#: Letters, digits, dots and hyphens; underscores too, which are met in the field.
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.]+\]")
#: '#' is not of the grammar, but dialled unescaped everywhere.
_USER = re.compile(r"[A-Za-z0-9_.!~*'()&=+$,;?/#-]*+(?:%[0-9A-Fa-f]{2}[A-Za-z0-9_.!~*'()&=+$,;?/#-]*+)*+")
_PASSWORD = re.compile(r"[A-Za-z0-9_.!~*'()&=+$,-]*+(?:%[0-9A-Fa-f]{2}[A-Za-z0-9_.!~*'()&=+$,-]*+)*+")
_PARAM = re.compile(r"(?:[A-Za-z0-9_.!~*'()\[\]/:&+$-]|%[0-9A-Fa-f]{2})++")
#: Looser than the grammar: Replaces and others come with their '@' and ';' unescaped.
_HEADERS = re.compile(r"[^\x00-\x20\x7f<>\"%]*+(?:%[0-9A-Fa-f]{2}[^\x00-\x20\x7f<>\"%]*+)*+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_UNFIT = re.compile(r"[\x00-\x20\x7f<>\"]")
_TEL_NUMBER = re.compile(r"\+?[0-9A-Fa-f*#().-]+")
_SPLIT_QUOTED = re.compile(r'"(?:[^"\\]++|\\.)*+"?|;', re.DOTALL)
_VISUAL_SEPARATORS = str.maketrans("", "", "-.()")

#: Parameters that must stand in both URIs, or in neither, for them to be equal (RFC 3261 §19.1.4).
_SIGNIFICANT = frozenset({"user", "ttl", "method", "maddr", "transport"})

_MAX_PARAMS = 256


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
        """The user part with its escapes undone, '' where there is none. Any byte survives (surrogateescape)."""
        return _unescaped(self.user) if self.user else ""

    @property
    def aor(self) -> str:
        """The address-of-record: scheme, user, host, nothing else (RFC 3261 §10.3, step 5).

        Of a tel URI: its number without visual separators.
        """
        if self.host:
            return f"{self.scheme}:{self.username}@{self.host}" if self.user else f"{self.scheme}:{self.host}"
        return f"tel:{_tel_number(self)}" if self.scheme == "tel" else f"{self.scheme}:{self.username}"

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
            return _tel_number(self) == _tel_number(other) and _tel_params(self) == _tel_params(other)
        if self.scheme not in ("sip", "sips"):
            return self.user == other.user
        if (
            self.username != other.username
            or (self.user is None) != (other.user is None)
            or _unescaped_or_none(self.password) != _unescaped_or_none(other.password)
            or _host_key(self.host) != _host_key(other.host)
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


def _unescaped(text: str) -> str:
    return unquote(text, errors="surrogateescape") if "%" in text else text


def _unescaped_or_none(text: str | None) -> str | None:
    return None if text is None else _unescaped(text)


def _host_key(host: str) -> str:
    return IPv6Address(host[1:-1]).compressed if host.startswith("[") else host


def _param_map(params: Iterable[tuple[str, str | None]]) -> dict[str, str]:
    return {name.lower(): _unescaped(value or "").lower() for name, value in params}


def _header_set(headers: str | None) -> frozenset[tuple[str, str]]:
    if not headers:
        return frozenset()
    pairs = (part.partition("=") for part in headers.split("&"))
    return frozenset((name.lower(), _unescaped(value)) for name, _, value in pairs)


def _tel_number(uri: Uri) -> str:
    return (uri.user or "").translate(_VISUAL_SEPARATORS).lower()


def _tel_params(uri: Uri) -> dict[str, str]:
    return {
        name: value.translate(_VISUAL_SEPARATORS) if name == "ext" or value.startswith("+") else value
        for name, value in _param_map(uri.params).items()
    }


def split_host_port(text: str) -> tuple[str, int | None]:
    """'host', 'host:port', '[v6]', '[v6]:port' → (host with brackets, lower case; port or None); raises BadMessage."""
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        host = _ipv6_reference(host + bracket)
        if rest and not rest.startswith(":"):
            raise BadMessage("Bad host")
        port = rest[1:] if rest else None
    else:
        host, colon, after = text.partition(":")
        if not _HOST.fullmatch(host) or len(host) > 255:
            raise BadMessage("Bad host")
        port = after if colon else None
        host = host.lower()
    if port is None:
        return host, None
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise BadMessage("Bad port")
    return host, int(port)


@lru_cache(maxsize=1024)
def _ipv6_reference(text: str) -> str:
    if len(text) > 64 or not _IPV6.fullmatch(text):
        raise BadMessage("Bad host")
    host = text[1:-1].replace(":::", "::")  # RFC 5118 §4.10: what the grammar of RFC 3261 led some to write
    try:
        IPv6Address(host)
    except AddressValueError:
        raise BadMessage("Bad host") from None
    return f"[{host.lower()}]"


def parse_params_untrusted(text: str) -> Params:
    """';a=1;b' without its leading semicolon → (('a','1'),('b',None)). Quoted values keep their quotes."""
    if text.count(";") > _MAX_PARAMS:
        raise BadMessage("Too many parameters")
    found: list[tuple[str, str | None]] = []
    for part in split_semicolons(text):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not name:
            if part.strip():
                raise BadMessage("Bad parameter")
            continue
        found.append((name, value.strip() if equals else None))
    return tuple(found)


def split_semicolons(text: str) -> list[str]:
    """Cut at semicolons outside quotes; the pieces as they are."""
    if '"' not in text:
        return text.split(";")
    parts, start = [], 0
    for found in _SPLIT_QUOTED.finditer(text):
        if found[0] == ";":
            parts.append(text[start : found.start()])
            start = found.end()
    parts.append(text[start:])
    return parts


def parse_uri_untrusted(text: str) -> Uri:
    """Any URI of a SIP message. Raises `BadMessage` when a sip, sips or tel URI breaks its grammar.

    Cached: a box sees the same few contacts and numbers again and again, and a `Uri` never changes.
    """
    return _known[text]


def _parse(text: str) -> Uri:
    scheme, colon, rest = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme) or _UNFIT.search(rest):
        raise BadMessage("Bad URI")
    scheme = scheme.lower()
    if scheme in ("sip", "sips"):
        return _parse_sip(scheme, rest)
    if scheme == "tel":
        number, semicolon, params = rest.partition(";")
        if not _TEL_NUMBER.fullmatch(number) or not any(c.isalnum() or c in "*#" for c in number):
            raise BadMessage("Bad tel URI")
        return Uri("tel", number, "", None, _uri_params(params) if semicolon else ())
    return Uri(scheme, rest, "")


_known = Remembered(_parse)


def _parse_sip(scheme: str, rest: str) -> Uri:
    """RFC 3261 §25.1. '@' stands nowhere in the grammar but behind the userinfo, so the first one ends it.

    '?' and ';' may stand in the userinfo; behind it the first '?' begins the headers, where a stray '@' is let pass.
    """
    user: str | None = None
    password: str | None = None
    userinfo, at, after = rest.partition("@")
    if at:
        user, colon, secret = userinfo.partition(":")
        if colon:
            password = secret
            if not _PASSWORD.fullmatch(secret):
                raise BadMessage("Bad URI password")
        if not user or not _USER.fullmatch(user):
            raise BadMessage("Bad URI user")
    else:
        after = rest
    after, question, headers = after.partition("?")
    hostport, semicolon, params = after.partition(";")
    host, port = split_host_port(hostport)
    if question and not _HEADERS.fullmatch(headers):
        raise BadMessage("Bad URI headers")
    parsed = _uri_params(params) if semicolon else ()
    return Uri(scheme, user, host, port, parsed, password, headers if question else None)


def _uri_params(text: str) -> Params:
    parsed = parse_params_untrusted(text)
    for name, value in parsed:
        if not _PARAM.fullmatch(name) or (value is not None and not _PARAM.fullmatch(value)):
            raise BadMessage("Bad URI parameter")
    return parsed
