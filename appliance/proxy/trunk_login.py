"""Our account at one trunk: whose challenges are answered, and what is kept of them (RFC 3261 §22, RFC 8760).

Credentials go to the trunk's own realms and addresses and nowhere else: a challenge of anybody behind the trunk, or of
another host, is not ours to answer. Nonces that were taken are kept for each address, so that the next request is
answered before it is asked, as long as the trunk takes that.
"""

from __future__ import annotations

import ipaddress

import attrs

from appliance.config.dialplan import TrunkSettings
from appliance.config.secret import Secret
from appliance.proxy.dialog_shift import STRIDE
from appliance.sip.digest import DigestClient, parse_auth_untrusted
from appliance.sip.errors import BadMessage
from appliance.sip.flow import Address
from appliance.sip.message import Request, Response

_HEADERS = (("proxy-authenticate", "proxy-authorization"), ("www-authenticate", "authorization"))
_MOST_CHALLENGES = 8
_MOST_SERVERS = 64
_MOST_ADDRESSES = 1024
_MOST_MISSES = 3
"""Answers in advance that were in vain before the trunk is left to ask for a while."""
_LEFT_TO_ASK_S = 600.0
_MOST_TRIES = STRIDE - 1

Signatures = dict[tuple[str, str], DigestClient]
"""What a request is signed with, by header of the credentials and realm."""


@attrs.define
class _Server:
    """What is known of one address that has challenged us."""

    signatures: Signatures = attrs.field(factory=dict)
    misses: int = 0
    silent_until: float = 0.0


@attrs.frozen
class Account:
    """What may change at a reload: another account has other nonces."""

    username: str
    password: Secret
    realms: frozenset[str]
    algorithms: frozenset[str]

    @classmethod
    def of(cls, trunk: TrunkSettings) -> Account | None:
        """The account of a trunk, None for one that has none."""
        if trunk.password is None:
            return None
        hosts = [gateway.host for gateway in (*trunk.gateways, *trunk.registrar)]
        if trunk.domain is not None:
            hosts.append(trunk.domain)
        realms = frozenset(realm.casefold() for realm in trunk.realm or hosts)
        return cls(
            trunk.auth_username or trunk.username, trunk.password, realms, frozenset(map(str, trunk.login_algorithms))
        )


@attrs.define(eq=False)
class TrunkLogin:
    """The account of the trunk `name` and what has come of it."""

    name: str
    account: Account
    trunk: TrunkSettings
    fault: str = ""
    """Why the trunk does not take our password, in words; '' while it does."""
    _servers: dict[Address, _Server] = attrs.field(factory=dict)
    _addresses: dict[str, None] = attrs.field(init=False, factory=dict)
    """Of gateways and registrars, as far as they are known; the latest last."""

    def __attrs_post_init__(self) -> None:
        self.learn(*(gateway.host for gateway in (*self.trunk.gateways, *self.trunk.registrar)))

    def learn(self, *hosts: str) -> None:
        """These hosts of the configuration, or addresses that DNS has for them, are the trunk's; names are left out."""
        for host in hosts:
            try:
                address = str(ipaddress.ip_address(host))
            except ValueError:
                continue
            self._addresses[address] = None
            if len(self._addresses) > _MOST_ADDRESSES:
                del self._addresses[next(iter(self._addresses))]

    def owns(self, address: str) -> bool:
        """Whether this IP literal is the trunk's: of a gateway, or of whom it trusts."""
        if address in self._addresses:
            return True
        ip = ipaddress.ip_address(address.partition("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return str(ip) in self._addresses or any(ip in network for network in self.trunk.trusted)

    def in_advance(self, address: Address, now: float) -> Signatures:
        """What to sign a request with that nobody has asked yet; empty where the trunk likes to ask first."""
        server = self._servers.get(address)
        return server.signatures if server is not None and now >= server.silent_until else {}

    def accepted(self, address: Address, *, unasked: bool) -> None:
        """A signed request was not challenged; `unasked`: not even before."""
        self.fault = ""
        server = self._servers.get(address)
        if server is not None and unasked:
            server.misses = 0

    def signatures_for(
        self, response: Response, address: Address, used: Signatures, unasked: bool, now: float
    ) -> Signatures | None:
        """What the challenged request is to be signed with next; `used` is what it was signed with.

        `unasked`: in advance. None where no challenge is ours. Raises `LoginRefused` where our password was not taken.
        """
        asked = self._challenges_untrusted(response)
        if not asked:
            return None
        server = self._servers.get(address)
        if server is None:
            if len(self._servers) >= _MOST_SERVERS:
                self._servers.clear()
            server = self._servers[address] = _Server()
        if unasked:
            server.misses += 1
            if server.misses >= _MOST_MISSES:
                server.misses = 0
                server.silent_until = now + _LEFT_TO_ASK_S
        for place, client in asked.items():
            before = used.get(place)
            if before is not None and not unasked and not client.stale:
                server.signatures = {}
                self.fault = f"{self.name} does not take our password for realm {client.realm}"
                raise LoginRefused(self.fault)
        server.signatures = {**used, **asked}
        return server.signatures

    def _challenges_untrusted(self, response: Response) -> Signatures:
        """The challenges for us that we can answer, at most one for each realm."""
        found: Signatures = {}
        for header, answer in _HEADERS:
            by_realm: dict[str, list[str]] = {}
            for value in response.get_all(header)[:_MOST_CHALLENGES]:
                if not value.isprintable():
                    continue
                try:
                    scheme, params = parse_auth_untrusted(value, "challenge")
                except BadMessage:
                    continue
                realm = params.get("realm", "")
                algorithm = params.get("algorithm", "MD5").upper().removesuffix("-SESS")
                known = realm.casefold() in self.account.realms and algorithm in self.account.algorithms
                if scheme == "digest" and known:
                    by_realm.setdefault(realm, []).append(value)
            for realm, values in by_realm.items():
                try:
                    found[answer, realm] = DigestClient.of_challenges_untrusted(
                        values, self.account.username, self.account.password.reveal()
                    )
                except BadMessage:
                    continue
        return found


@attrs.define(eq=False)
class Signing:
    """One request's dealings with a trunk that may challenge it. `tries` were challenged and answered before."""

    login: TrunkLogin
    tries: int = 0
    signatures: Signatures = attrs.field(factory=dict)
    _address: Address | None = None
    """That the signatures are for."""
    _unasked: bool = False

    def begin(self, address: Address, now: float) -> None:
        """It is about to go there."""
        if self._address != address:
            self._address = address
            self.signatures = self.login.in_advance(address, now)
            self._unasked = bool(self.signatures)

    def challenged(self, response: Response, now: float, *, room: bool) -> bool:
        """Whether the 401 or 407 is ours to answer; `room`: there is a CSeq number for it.

        Raises `LoginRefused` where it is ours and no answer will do.
        """
        login = self.login
        assert self._address is not None
        signatures = login.signatures_for(response, self._address, self.signatures, self._unasked, now)
        if signatures is None:
            return False
        if self.tries >= _MOST_TRIES or not room:
            raise LoginRefused(f"{login.name} asks for our password again and again")
        self.signatures = signatures
        self._unasked = False
        self.tries += 1
        return True

    def heard(self, status: int) -> None:
        """It was answered: by anything but a challenge, that is well."""
        if self.signatures and status not in (401, 407):
            assert self._address is not None
            self.login.accepted(self._address, unasked=self._unasked)


class LoginRefused(Exception):  # noqa: N818 (it says what happened)
    """The trunk challenged us again although we had answered rightly, as far as we know."""


def sign(request: Request, signatures: Signatures, cnonce: str) -> None:
    """Add credentials, in the place of any that the sender had for the same realm."""
    for (header, realm), client in signatures.items():
        if header in request.kinds:
            _forget(request, header, realm)
        request.append(header, client.authorize(request.method, request.uri, cnonce, request.body))


def _forget(request: Request, header: str, realm: str) -> None:
    values = request.get_all(header)
    request.remove(header)
    for value in values:
        try:
            theirs = parse_auth_untrusted(value)[1].get("realm")
        except BadMessage:
            theirs = None
        if theirs != realm:
            request.append(header, value)
