"""Wrong passwords by account: when somebody guesses one user's password from many places, who is still judged.

A lock on the account alone would let anybody lock its owner out. So while an account is under attack, judged are only
sources that once gave its right password, and sources that have received a challenge at their very address and have
not been wrong more than twice there. A forged sender is neither; a guesser has three tries from each address that is
really his; the owner, also at a new address, gets in at the first attempt. All others get the same answer as for a
wrong password. Accounts that do not exist are not kept here, so made-up names cost no memory.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

_GOOD_EACH = 16
_WRONG_EACH = 256
_TRIES = 3


@attrs.define(slots=True)
class _Account:
    spent: float = 0.0
    at: float = 0.0
    under_attack_until: float = 0.0
    wrong: dict[str, int] = attrs.field(factory=dict)
    """Tries by source during the attack."""
    good: dict[str, None] = attrs.field(factory=dict)
    """Sources that gave the right password, the latest last."""


class Logins:
    """`attempts_a_minute` wrong passwords for one account make an attack, which lasts a minute more than they come."""

    def __init__(self, attempts_a_minute: int = 30) -> None:
        self.attempts_a_minute = attempts_a_minute
        self._accounts: dict[str, _Account] = {}
        self._alarm_until = 0.0

    def alarmed(self, now: float) -> bool:
        """Whether any account is under attack: otherwise everybody is judged."""
        return now < self._alarm_until

    def attacked(self, now: float) -> list[str]:
        """The accounts under attack."""
        return [name for name, account in self._accounts.items() if now < account.under_attack_until]

    def judges(self, name: str, source: str, now: float, *, reached: bool) -> bool:
        """Whether a password for this account is looked at. `reached`: a challenge has arrived at the source."""
        account = self._accounts.get(name)
        if account is None or now >= account.under_attack_until or source in account.good:
            return True
        return reached and account.wrong.get(source, 0) < _TRIES

    def failed(self, name: str, source: str, now: float) -> bool:
        """A wrong password for an account that exists; True where an attack begins with it."""
        account = self._accounts.setdefault(name, _Account())
        most = self.attempts_a_minute
        account.spent = max(0.0, account.spent - (now - account.at) * most / 60) + 1
        account.at = now
        began = False
        if account.spent > most:
            account.spent = float(most)
            began = now >= account.under_attack_until
            if began:
                account.wrong.clear()
            account.under_attack_until = now + 60
            self._alarm_until = max(self._alarm_until, now + 60)
        if len(account.wrong) < _WRONG_EACH or source in account.wrong:
            account.wrong[source] = account.wrong.get(source, 0) + 1
        return began

    def succeeded(self, name: str, source: str) -> None:
        """The right password, for a challenge that was sent to this source."""
        account = self._accounts.get(name)
        if account is None:
            account = self._accounts[name] = _Account()
        good = account.good
        if source not in good:
            if len(good) >= _GOOD_EACH:
                del good[next(iter(good))]
            good[source] = None

    def keep(self, names: Collection[str]) -> None:
        """Forget all accounts but these, e.g. after a reload."""
        for name in [name for name in self._accounts if name not in names]:
            del self._accounts[name]
