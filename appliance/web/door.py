"""The one place where a page or an action asks who is there, what they may, and writes down what they did.

An action is a POST of a page of ours: it carries the session's form token, and leaves one entry in the audit log
whatever comes of it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from quart import Response, abort, request
from werkzeug.datastructures import MultiDict

from appliance.accounts.account import accounts_of
from appliance.config.accounts import Role
from appliance.logs import log

from .inside import Answer, Inside
from .sessions import Session, Sessions

Form = MultiDict[str, str]
LONGEST_SUBJECT: Final = 300


class Door:
    """Used while a request is answered."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self.sessions = Sessions(
            secret=lambda: inside.identity().token_secret,
            accounts=lambda: accounts_of(inside.identity().administrators, inside.settings().accounts),
            lifetime_s=lambda: inside.settings().web.session_lifetime_s,
            wall=time.time,
        )

    def session(self) -> Session | None:
        """Who is signed in, None for nobody."""
        return self.sessions.find_untrusted(request.cookies.get(cookie_name()))

    def may(self, needed: Role) -> bool:
        """Whether somebody is signed in whose role is enough."""
        session = self.session()
        return session is not None and session.role.may(needed)

    async def admit(self, needed: Role, what: str) -> tuple[Session, Form]:
        """Who asks for `what` by a form, and the form; 403 for anybody else, who is written down where known."""
        form = await request.form
        session = self.session()
        if session is None:
            abort(403)
        if form.get("token") != session.form_token:
            await self.write_down(session, what, "", "refused: no token of the page")
            abort(403)
        if not session.role.may(needed):
            await self.write_down(session, what, "", f"refused: needs the role {needed.value}")
            abort(403)
        return session, form

    async def act(
        self,
        needed: Role,
        what: str,
        subject: Callable[[Form], str],
        do: Callable[[Form], Awaitable[Answer]],
    ) -> tuple[dict[str, object], int]:
        """Judge a POST, do it, write it down, and answer with JSON: `ok`, and `error` or what `do` has to say."""
        form = await request.form
        session = self.session()
        if session is None:
            return {"ok": False, "error": "Sign in first."}, 401
        about = subject(form)[:LONGEST_SUBJECT]
        if form.get("token") != session.form_token:
            await self.write_down(session, what, about, "refused: no token of the page")
            return {"ok": False, "error": "This page is too old. Load it again."}, 403
        if not session.role.may(needed):
            await self.write_down(session, what, about, f"refused: needs the role {needed.value}")
            return {"ok": False, "error": f"This needs the role {needed.value}; yours is {session.role.value}."}, 403
        try:
            answer = dict(await do(form))
        except Exception as error:
            await self.write_down(session, what, about, f"failed: {type(error).__name__}")
            raise
        if answer.get("ok"):
            await self.write_down(session, what, about, "done")
            return answer, 200
        mistakes = answer.get("mistakes")
        reason = answer.get("error") or (mistakes[0] if isinstance(mistakes, list) and mistakes else "no reason given")
        await self.write_down(session, what, about, f"failed: {reason}")
        return {**answer, "error": str(reason)}, 409

    async def write_down(self, session: Session, what: str, subject: str, result: str) -> None:
        """One entry of the audit log."""
        log.info("web.action", name=session.name, what=what, subject=subject, result=result)
        await self._inside.audit.write(
            who=session.name,
            role=session.role.value,
            source=request.remote_addr or "",
            what=what,
            subject=subject,
            result=result,
        )


def plain(text: str, status: int) -> Response:
    """A short answer for programs."""
    return Response(text, status, content_type="text/plain; charset=utf-8")


def cookie_name() -> str:
    """One name a side: ports do not tell cookies apart, and the plain one must not stand in for the other."""
    return "__Host-jackfield" if request.is_secure else "jackfield"


def found(form: Form, *names: str) -> tuple[str, ...]:
    """Fields that a form of ours always has, or 400."""
    values = [form.get(name) for name in names]
    if any(value is None or len(value) > LONGEST_SUBJECT for value in values):
        abort(400)
    return tuple(value.strip() for value in values if value is not None)
