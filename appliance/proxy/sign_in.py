"""Who a request comes from, by password: digest judged, failures counted by source and by account, challenges made.

An unknown user, a wrong password and a password that is not even looked at get the same answer by the same path: the
digest is computed in each case, and the challenge differs in its nonce only (RFC 3261 §22, RFC 7616 §5.5).
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.logs import log
from appliance.proxy.credentials import Authenticator
from appliance.proxy.gate import Gate
from appliance.proxy.lapsed_logins import LapsedLogins
from appliance.router.causes import Cause
from appliance.router.logins import Logins
from appliance.sip.errors import Rejected
from appliance.sip.server_transaction import ServerTransaction


class SignIn:
    """`clock` is monotonic, `wall` the time that nonces are made of."""

    def __init__(self, gate: Gate, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self.logins = Logins()
        self.lapsed = LapsedLogins()
        self._gate = gate
        self._clock = clock
        self._wall = wall

    def configure(self, authenticator: Authenticator, account_attempts: int) -> None:
        """Take new users and limits; what is known of those that stay is kept."""
        self._authenticator = authenticator
        self.logins.attempts_a_minute = account_attempts
        self.logins.keep(authenticator.users)

    def user_of(self, transaction: ServerTransaction, *, proxy: bool) -> str:
        """The user whose password the request proves.

        Raises `Rejected` with a challenge, `BadMessage` (400) for credentials that cannot be read.
        """
        now, wall = self._clock(), self._wall()
        flow = transaction.flow
        guard, logins = self._gate.guard, self.logins
        source = guard.source(flow.remote[0], now)
        proved = flow.reliable or source.exempt
        allowed: Callable[[str, str], bool] | None = None
        if logins.alarmed(now):

            def allowed(name: str, nonce: str) -> bool:
                return logins.judges(name, source.key, now, reached=proved or guard.reached(source, nonce))

        verdict = self._authenticator.judge(transaction.request, wall, proxy=proxy, allowed=allowed)
        user = verdict.user
        if user is not None:
            if proved or guard.reached(source, verdict.nonce):
                guard.verified(source, now)
                logins.succeeded(user, source.key)
            if self.lapsed.waiting:
                self.lapsed.came_back(transaction.request.call_id)
            return user
        if verdict.wrong:
            guard.failed(source, now, proved=proved or guard.reached(source, verdict.nonce))
            if verdict.claimed in self._authenticator.users and logins.failed(verdict.claimed, source.key, now):
                log.warning("account.attacked", user=verdict.claimed, wrong_a_minute=logins.attempts_a_minute)
        challenge = self._authenticator.challenge(wall, verdict, proxy=proxy)
        guard.challenged(source, challenge.nonce, now)
        if self.lapsed.tell is not None:
            request, fault = transaction.request, verdict.reason if verdict.wrong else ""
            name = verdict.claimed or request.from_name
            self.lapsed.challenged(request.call_id, source.key, name, request.method, request.uri, fault, now)
        why = Cause.CREDENTIALS if verdict.wrong else Cause.NONE
        raise Rejected(challenge.status, "", challenge.cause or "no credentials yet", challenge.headers, why=why)
