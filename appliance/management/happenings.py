"""What happens beside calls, on its way to the store of records: sign-ins, bans, alarms, reloads, start and stop.

Each room tells of its own by a callback that it has for whoever listens; registrations come from proxy/records.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ..accounts.audit import AuditEntry
from ..alarms import Alarm, Change
from ..proxy.records import Records

Reload = Callable[[], Awaitable[dict[str, Any]]]
_SIGN_IN = "sign-in"
_SIGN_OUT = "sign-out"


class Happenings:
    """Turns what rooms tell into events of the store. Nothing here waits or raises."""

    def __init__(self, records: Records) -> None:
        self._event = records.event

    def audited(self, entry: AuditEntry) -> None:
        """An entry of the audit log."""
        if entry.what == _SIGN_IN:
            done = entry.result == "done"
            self._event(_SIGN_IN if done else "sign-in refused", entry.who, entry.source, "" if done else entry.result)
        elif entry.what == _SIGN_OUT:
            self._event(_SIGN_OUT, entry.who, entry.source)
        else:
            told = f"{entry.what} {entry.subject}".strip()
            self._event("action", entry.who, entry.source, f"{told}: {entry.result}")

    def alarm(self, change: Change, alarm: Alarm) -> None:
        """See `Alarms.subscribe`."""
        subject = f"{alarm.kind.name} {alarm.subject}".strip()
        if change is Change.CLEARED:
            self._event("alarm cleared", subject)
        else:
            self._event("alarm", subject, detail=f"{alarm.severity.value}: {alarm.sentence}")

    def ban(self, source: str, why: str) -> None:
        """See `Gate.on_ban` and `BanControl.on_change`."""
        self._event("ban" if why else "unban", source, source.partition("/")[0], why)

    def of_reload(self, reload: Reload) -> Reload:
        """The same reload, told."""

        async def told() -> dict[str, Any]:
            answer = await reload()
            if answer.get("ok"):
                changes = _shortened(answer.get("changes")) or "nothing has changed"
                self._event("reload", "configuration", detail=changes)
            else:
                self._event("reload refused", "configuration", detail=_shortened(answer.get("mistakes")))
            return answer

        return told

    def start(self, version: str) -> None:
        """The box serves."""
        self._event("start", f"version {version}")

    def stop(self) -> None:
        """No new calls from now on."""
        self._event("stop", "")


def _shortened(told: object, most: int = 5) -> str:
    texts = [str(one) for one in told] if isinstance(told, list) else []
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most])[:2000] + more
