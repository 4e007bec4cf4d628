"""Who is asking: digest authentication of our users (RFC 3261 §22, RFC 8760), from memory.

Hashes are made when the configuration is loaded, so a request costs two hashes and no password lies about. Whether a
user may use the address-of-record that a request names is the proxy's question.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence

import attrs

from appliance.config.dialplan import UserSettings
from appliance.sip.digest import Credential, DigestVerifier, Verdict, ha1_of, parse_auth_untrusted
from appliance.sip.errors import BadMessage
from appliance.sip.message import Request

_CREDENTIALS = frozenset({"proxy-authorization", "authorization"})


@attrs.frozen
class Challenge:
    """Not known yet: answer `status` with `headers`. `cause` is for the log; empty where nothing was claimed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    cause: str
    nonce: str


NO_CREDENTIALS = Verdict(None, False, "")


def credentials_of(users: Mapping[str, UserSettings], realm: str, algorithms: Sequence[str]) -> dict[str, Credential]:
    """User name → hashes. A user with neither password nor hash gets none and cannot sign in."""
    found: dict[str, Credential] = {}
    for name, user in users.items():
        stored = {"MD5": user.ha1_md5, "SHA-256": user.ha1_sha256}
        ha1: dict[str, str] = {}
        for algorithm in algorithms:
            secret = stored.get(algorithm)
            if secret is not None:
                ha1[algorithm] = secret.reveal().lower()
            elif user.password is not None:
                ha1[algorithm] = ha1_of(algorithm, name, realm, user.password.reveal())
        if ha1:
            found[name] = Credential(ha1=ha1)
    return found


class Authenticator:
    """Checks credentials in requests against our users.

    `key`: secret bytes that outlive a restart, so that nonces do, too. Times are wall-clock seconds.
    """

    def __init__(
        self,
        realm: str,
        key: bytes,
        users: Mapping[str, UserSettings],
        *,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        nonce_lifetime_s: float = 300.0,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._verifier = DigestVerifier(realm, key, random_bytes, algorithms, nonce_lifetime_s)
        self._credentials: dict[str, Credential] = {}
        self.use(users)

    @property
    def realm(self) -> str:
        return self._verifier.realm

    def use(self, users: Mapping[str, UserSettings]) -> None:
        """From now on these users, e.g. after a reload."""
        self._credentials = credentials_of(users, self.realm, self._verifier.algorithms)

    def admit(self, name: str, password: str) -> None:
        """Let one more sign in, until `dismiss` or `use`: a guest, of whom the settings know nothing."""
        ha1 = {algorithm: ha1_of(algorithm, name, self.realm, password) for algorithm in self._verifier.algorithms}
        self._credentials[name] = Credential(ha1=ha1)

    def dismiss(self, name: str) -> None:
        self._credentials.pop(name, None)

    @property
    def users(self) -> Collection[str]:
        """The names of those who can sign in."""
        return self._credentials.keys()

    def judge(
        self, request: Request, now: float, *, proxy: bool, allowed: Callable[[str, str], bool] | None = None
    ) -> Verdict:
        """Who it is, by Proxy-Authorization where we are the request's proxy, otherwise by Authorization.

        `allowed`, where given, is asked for (user, nonce): a user who is not looks like an unknown one. An unknown
        user and a wrong password look alike and take equally long. Raises `BadMessage` (400) for credentials that
        cannot be read.
        """
        header = "proxy-authorization" if proxy else "authorization"
        if header not in request.kinds:
            return NO_CREDENTIALS

        values = request.get_all(header)
        lookup: Callable[[str], Credential | None] = self._credentials.get
        if allowed is not None:
            nonces = [parse_auth_untrusted(value)[1].get("nonce", "") for value in values]

            def lookup(name: str) -> Credential | None:
                return self._credentials.get(name) if any(allowed(name, nonce) for nonce in nonces) else None

        return self._verifier.verify_any_untrusted(values, request.method, request.uri, lookup, now, request.body)

    def challenge(self, now: float, verdict: Verdict, *, proxy: bool) -> Challenge:
        """What to answer where `verdict` names nobody."""
        name = "proxy-authenticate" if proxy else "www-authenticate"
        values = self._verifier.challenge(now, verdict.stale)
        nonce = values[0].partition(', nonce="')[2].partition('"')[0]
        return Challenge(407 if proxy else 401, tuple((name, value) for value in values), verdict.reason, nonce)

    def check(self, request: Request, now: float, *, proxy: bool) -> str | Challenge:
        """The user's name, or the challenge to answer with: 407 where we are the request's proxy, 401 otherwise."""
        verdict = self.judge(request, now, proxy=proxy)
        return verdict.user if verdict.user is not None else self.challenge(now, verdict, proxy=proxy)

    def strip(self, request: Request) -> None:
        """Take what answers our challenges out of a request that goes on: it is nobody else's business.

        Credentials for others, who may well have a realm of the same name, stay.
        """
        if _CREDENTIALS.isdisjoint(request.kinds):
            return
        for header in _CREDENTIALS:
            if header in request.kinds:
                values = request.get_all(header)
                others = [value for value in values if not self._is_ours(value, header)]
                if len(others) < len(values):
                    request.remove(header)
                    for value in others:
                        request.append(header, value)

    def _is_ours(self, value: str, header: str) -> bool:
        try:
            _, params = parse_auth_untrusted(value)
        except BadMessage:
            return False
        if header == "proxy-authorization" and params.get("realm") == self.realm:
            return True
        return self._verifier.issued(params.get("nonce", ""))
