"""Digest authentication, both sides (RFC 7616, RFC 8760, RFC 3261 §22).

The verifier keeps no list of the nonces it gave out: each carries its time, a random part and a keyed hash of both.
It remembers only the counts of nonces that were used with success, so nobody without a password can fill its memory.
Who may use which address-of-record is the caller's question; clock, key and randomness are the caller's, too.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from urllib.parse import unquote

import attrs

from appliance.sip.errors import BadMessage
from appliance.sip.uri import parse_uri_untrusted

_HASHES = {
    "MD5": partial(hashlib.md5, usedforsecurity=False),
    "SHA-256": partial(hashlib.sha256, usedforsecurity=False),
    "SHA-512-256": partial(hashlib.new, "sha512_256", usedforsecurity=False),
}

#: For the client side, best first (RFC 8760 §2.4 leaves the choice to the order of the challenges: ours, then theirs).
_STRENGTH = ("SHA-512-256", "SHA-256", "MD5")

_MAX_VALUE = 4096
_MAX_PARAMS = 32
_MAX_VALUES = 8
_WINDOW = 64
"""How far a nonce count may lag behind the highest one seen (requests overtake each other on UDP)."""

#: One auth-param and the comma after it. No two neighbouring repetitions share a character.
_AUTH_PARAM = re.compile(
    r"[ \t,]*([A-Za-z0-9.!%*_+`'~-]+)[ \t]*=[ \t]*(?:\"((?:[^\"\\]++|\\.)*+)\"|([^ \t,\"]*))[ \t]*(?:,|$)", re.DOTALL
)
_USUAL = frozenset(
    {"username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "opaque", "qop", "nc", "stale", "domain"}
)
_HEX_COUNT = re.compile(r"[0-9A-Fa-f]{8}")
_NONCE = re.compile(r"[0-9a-f]{40}")


@attrs.frozen(slots=True)
class Credential:
    """What proves a user: a password, or stored H(user:realm:password) in hex by algorithm ("MD5", "SHA-256").

    A password is hashed for each request, which takes a moment longer than for a user whom nobody knows.
    """

    password: str | None = attrs.field(default=None, repr=False)
    ha1: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen(slots=True)
class Verdict:
    """`user` is who it is, or None. `stale`: the password was right, only the nonce is not: challenge with stale=true.

    `reason` is for the log, never for the wire. `claimed` is the user that was named, and `nonce` the one answered,
    where there were credentials that could be judged.
    """

    user: str | None
    stale: bool
    reason: str
    claimed: str = ""
    nonce: str = ""

    @property
    def wrong(self) -> bool:
        """Somebody guessed: the user is unknown, or the password is not theirs."""
        return self.user is None and not self.stale and bool(self.claimed)


def parse_auth_untrusted(value: str, header: str = "Authorization") -> tuple[str, dict[str, str]]:
    """A challenge or credentials as (scheme in lower case, parameters by lower case name, quotes undone).

    Raises `BadMessage` naming `header`; for schemes other than Digest the parameters are not read.
    """
    scheme, _, text = value.strip().partition(" ")
    scheme = scheme.lower()
    if scheme != "digest":
        return scheme, {}
    if len(text) > _MAX_VALUE:
        raise BadMessage(f"{header} too long")
    text = text.strip(" \t,\r\n")
    plain = _plain_params(text)
    if plain is not None:
        return scheme, plain
    params: dict[str, str] = {}
    position = 0
    while position < len(text):
        found = _AUTH_PARAM.match(text, position)
        if found is None or len(params) >= _MAX_PARAMS:
            raise BadMessage(f"Bad {header}")
        name, quoted, token = found.groups()
        name = name.lower()
        if name in params:
            raise BadMessage(f"Bad {header}: {name} twice")
        if quoted is None:
            quoted = token
        elif "\\" in quoted:
            quoted = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
        params[name] = quoted
        position = found.end()
    return scheme, params


def _plain_params(text: str) -> dict[str, str] | None:
    """The parameters of a usual text, read at a third of the price; None where it needs a closer look."""
    if "\\" in text:
        return None
    params: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        name, value = name.strip(" \t").lower(), value.strip(" \t")
        if not equals or name not in _USUAL or name in params:
            return None
        quotes = value.count('"')
        if quotes == 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        elif quotes or " " in value or "\t" in value:
            return None
        params[name] = value
    return params


def _hash(algorithm: str, text: str) -> str:
    return _HASHES[algorithm](text.encode("utf-8", "surrogateescape")).hexdigest()


def ha1_of(algorithm: str, username: str, realm: str, password: str) -> str:
    """H(username:realm:password) in hex, as may be stored in place of the password (RFC 7616 §3.4.2)."""
    return _hash(algorithm, f"{username}:{realm}:{password}")


def response_of(
    algorithm: str,
    ha1: str,
    *,
    method: str,
    uri: str,
    nonce: str,
    nc: str = "",
    cnonce: str = "",
    qop: str = "",
    body: bytes = b"",
) -> str:
    """The `response` in hex (RFC 7616 §3.4.1); without `qop` that of RFC 2069. `-sess` algorithms are understood."""
    base = algorithm.removesuffix("-sess")
    if base != algorithm:
        ha1 = _hash(base, f"{ha1}:{nonce}:{cnonce}")
    a2 = f"{method}:{uri}"
    if qop == "auth-int":
        a2 += ":" + _HASHES[base](body).hexdigest()
    ha2 = _hash(base, a2)
    middle = f"{nonce}:{nc}:{cnonce}:{qop}" if qop else nonce
    return _hash(base, f"{ha1}:{middle}:{ha2}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class DigestVerifier:
    """The server side for one realm.

    `key` is secret, 16 to 64 bytes; with a kept key and a wall clock, nonces outlive a restart. `random_bytes(n)` is
    where randomness comes from. `algorithms` are offered in this order (RFC 8760 §2.3: preferred first).
    """

    def __init__(
        self,
        realm: str,
        key: bytes,
        random_bytes: Callable[[int], bytes],
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        nonce_lifetime_s: float = 300.0,
        max_nonces: int = 65536,
    ) -> None:
        if unknown := [name for name in algorithms if name not in _HASHES]:
            raise ValueError(f"unknown digest algorithm {unknown[0]}")
        self.realm = realm
        self.algorithms = tuple(algorithms)
        self.nonce_lifetime_s = nonce_lifetime_s
        self._key = key
        self._random = random_bytes
        self._opaque = self._mac(b"opaque" + realm.encode())
        self._nobody = self._mac(b"nobody") * 3
        self._nobodys = {one: ha1_of(one, "nobody", realm, self._nobody) for one in self.algorithms}
        """What those whom nobody knows are held against: no more and no less work than for stored hashes."""
        self._max_nonces = max_nonces
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """Used nonce → (highest count seen, bits of the counts below it that were seen), oldest use first."""
        self._forgotten = -1
        """Unlisted nonces issued at or before this second may have been used already."""

    def _mac(self, data: bytes) -> str:
        return hashlib.blake2b(data, key=self._key, digest_size=10).hexdigest()

    def challenge(self, now: float, stale: bool = False) -> list[str]:
        """The values of the WWW-Authenticate or Proxy-Authenticate headers, one for each algorithm (RFC 8760 §2.3)."""
        nonce = (int(now) & 0xFFFFFFFF).to_bytes(4, "big").hex() + self._random(6).hex()
        nonce += self._mac(nonce.encode())
        head = f'Digest realm={_quoted(self.realm)}, nonce="{nonce}", opaque="{self._opaque}"'
        tail = ', qop="auth", stale=true' if stale else ', qop="auth"'
        return [f"{head}, algorithm={algorithm}{tail}" for algorithm in self.algorithms]

    def verify_any_untrusted(
        self,
        values: Iterable[str],
        method: str,
        uri: str,
        lookup: Callable[[str], Credential | None],
        now: float,
        body: bytes = b"",
    ) -> Verdict:
        """`verify_untrusted` over all Authorization headers of a request: the first good one, else the stale one."""
        best = Verdict(None, False, "no credentials")
        for value in list(values)[:_MAX_VALUES]:
            verdict = self.verify_untrusted(value, method, uri, lookup, now, body)
            if verdict.user is not None:
                return verdict
            if not best.stale and verdict.reason != "another realm":
                best = verdict
        return best

    def verify_untrusted(
        self,
        value: str,
        method: str,
        uri: str,
        lookup: Callable[[str], Credential | None],
        now: float,
        body: bytes = b"",
    ) -> Verdict:
        """Judge one Authorization or Proxy-Authorization value. Raises `BadMessage` (400) where it cannot be read.

        `method` and `uri` are those of the request line. Unknown users cost as much as those with stored hashes.
        Credentials without qop (RFC 2069) count as first use of their nonce and are good once.
        """
        scheme, params = parse_auth_untrusted(value)
        if scheme != "digest":
            return Verdict(None, False, "another scheme")
        if params.get("realm") != self.realm:
            return Verdict(None, False, "another realm")
        username = _username(params)
        try:
            nonce, claimed_uri, response = params["nonce"], params["uri"], params["response"]
        except KeyError as missing:
            raise BadMessage(f"Bad Authorization: no {missing.args[0]}") from None
        algorithm = self._algorithm(params.get("algorithm") or "MD5")
        if algorithm is None:
            return Verdict(None, False, "algorithm not offered")
        qop = params.get("qop", "").lower()
        count, nc, cnonce = 1, params.get("nc", ""), params.get("cnonce", "")
        if qop:
            if not _HEX_COUNT.fullmatch(nc) or "cnonce" not in params:
                raise BadMessage("Bad Authorization: nc or cnonce")
            if qop not in ("auth", "auth-int"):
                raise BadMessage("Bad Authorization: qop")
            count = int(nc, 16)
        credential = lookup(username)
        expected = response_of(
            algorithm,
            self._ha1(algorithm, username, credential),
            method=method,
            uri=claimed_uri,
            nonce=nonce,
            nc=nc,
            cnonce=cnonce,
            qop=qop,
            body=body,
        )
        right = hmac.compare_digest(expected.encode(), response.lower().encode("utf-8", "surrogateescape"))
        if credential is None:
            return Verdict(None, False, "unknown user", username, nonce)
        if not right:
            return Verdict(None, False, "wrong password", username, nonce)
        if not _same_target(claimed_uri, uri):
            return Verdict(None, False, "credentials for another uri", username, nonce)
        if fault := self._spend(nonce, count, now):
            return Verdict(None, True, fault, username, nonce)
        return Verdict(username, False, "", username, nonce)

    def issued(self, nonce: str) -> bool:
        """Whether a challenge of ours gave out this nonce, however long ago."""
        return bool(_NONCE.fullmatch(nonce)) and hmac.compare_digest(self._mac(nonce[:20].encode()), nonce[20:])

    def _algorithm(self, name: str) -> str | None:
        name = name.upper()
        return name if name in self.algorithms else None

    def _ha1(self, algorithm: str, username: str, credential: Credential | None) -> str:
        if credential is None:
            return self._nobodys[algorithm]
        stored = credential.ha1.get(algorithm)
        if stored is not None:
            return stored.lower()
        password = credential.password
        return ha1_of(algorithm, username, self.realm, self._nobody if password is None else password)

    def _spend(self, nonce: str, count: int, now: float) -> str:
        """Count one use of `nonce`; the fault where it is not ours, too old, or the count was seen before."""
        if not self.issued(nonce):
            return "nonce not ours"
        issued = int(nonce[:8], 16)
        age = (int(now) - issued) & 0xFFFFFFFF
        if age > self.nonce_lifetime_s:
            return "nonce expired"
        seen = self._counts.get(nonce)
        if seen is None:
            if issued <= self._forgotten:
                return "nonce forgotten"
            self._counts[nonce] = (count, 0)
            if len(self._counts) > self._max_nonces:
                oldest, _ = self._counts.popitem(last=False)
                self._forgotten = max(self._forgotten, int(oldest[:8], 16))
            return ""
        highest, bits = seen
        ahead = count - highest
        if ahead > 0:
            bits = ((bits << ahead) | (1 << (ahead - 1))) & ((1 << _WINDOW) - 1) if ahead <= _WINDOW else 0
            highest = count
        else:
            if ahead == 0 or -ahead > _WINDOW or bits >> (-ahead - 1) & 1:
                return "nonce count seen before"
            bits |= 1 << (-ahead - 1)
        self._counts[nonce] = (highest, bits)
        self._counts.move_to_end(nonce)
        return ""


def _username(params: Mapping[str, str]) -> str:
    name = params.get("username")
    if name is None:
        charset, quote, encoded = params.get("username*", "").partition("'")  # RFC 7616 §3.4: RFC 5987 notation
        if not quote or charset.lower() != "utf-8":
            raise BadMessage("Bad Authorization: no username")
        name = unquote(encoded.partition("'")[2])
    return name


def _same_target(claimed: str, uri: str) -> bool:
    """Whether credentials made for one URI fit a request for another.

    Proxies and phones change hosts, ports and parameters on the way, so only two differing users count as different.
    """
    if claimed == uri:
        return True
    try:
        one, two = parse_uri_untrusted(claimed), parse_uri_untrusted(uri)
    except BadMessage:
        return False
    return not (one.user and two.user) or one.username == two.username


@attrs.define(slots=True)
class DigestClient:
    """Our side of one challenge: credentials for any number of requests, with a rising nonce count."""

    username: str
    password: str = attrs.field(repr=False)
    realm: str
    nonce: str
    algorithm: str
    qop: str
    opaque: str | None
    stale: bool
    count: int = 0

    @classmethod
    def of_challenges_untrusted(cls, values: Iterable[str], username: str, password: str) -> DigestClient:
        """From the WWW-Authenticate or Proxy-Authenticate values of a 401 or 407: the strongest that we can do.

        Raises `BadMessage` where none is.
        """
        best: tuple[int, str, dict[str, str]] | None = None
        for value in list(values)[:_MAX_VALUES]:
            scheme, params = parse_auth_untrusted(value, "challenge")
            name = params.get("algorithm", "MD5").upper()
            base = name.removesuffix("-SESS")
            offered = {token.strip().lower() for token in params.get("qop", "").split(",")}
            if scheme != "digest" or base not in _STRENGTH or not {"realm", "nonce"} <= params.keys():
                continue
            if not offered & {"", "auth", "auth-int"}:
                continue
            rank = _STRENGTH.index(base)
            if best is None or rank < best[0]:
                best = rank, base if base == name else f"{base}-sess", params
        if best is None:
            raise BadMessage("No usable challenge")
        _, algorithm, params = best
        offered = {token.strip().lower() for token in params.get("qop", "").split(",")}
        return cls(
            username=username,
            password=password,
            realm=params["realm"],
            nonce=params["nonce"],
            algorithm=algorithm,
            qop="auth" if "auth" in offered else "auth-int" if "auth-int" in offered else "",
            opaque=params.get("opaque"),
            stale=params.get("stale", "").lower() == "true",
        )

    def authorize(self, method: str, uri: str, cnonce: str, body: bytes = b"") -> str:
        """The Authorization or Proxy-Authorization value for a request; `cnonce` is fresh random text each time."""
        self.count += 1
        nc = f"{self.count:08x}"
        base = self.algorithm.removesuffix("-sess")
        response = response_of(
            self.algorithm,
            ha1_of(base, self.username, self.realm, self.password),
            method=method,
            uri=uri,
            nonce=self.nonce,
            nc=nc,
            cnonce=cnonce,
            qop=self.qop,
            body=body,
        )
        out = [
            f"Digest username={_quoted(self.username)}, realm={_quoted(self.realm)}, nonce={_quoted(self.nonce)}",
            f'uri="{uri}", response="{response}", algorithm={self.algorithm}',
        ]
        if self.opaque is not None:
            out.append(f"opaque={_quoted(self.opaque)}")
        if self.qop:
            out.append(f"cnonce={_quoted(cnonce)}, nc={nc}, qop={self.qop}")
        elif base != self.algorithm:
            out.append(f"cnonce={_quoted(cnonce)}")
        return ", ".join(out)
