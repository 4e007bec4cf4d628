"""What can be done from the pages: hold a gateway, ban a source, take a binding away, reload; each with its role."""

from __future__ import annotations

from collections.abc import Callable

from quart import abort
from quart_trio import QuartTrio

from appliance.config.accounts import Role

from .door import Door, Form, found
from .inside import Answer, Inside

Result = tuple[dict[str, object], int]


def add_actions(site: QuartTrio, inside: Inside, door: Door) -> None:
    """The addresses /do/…, answered with JSON."""
    actions = inside.actions

    @site.post("/do/gateway")
    async def gateway() -> Result:
        async def hold(form: Form) -> Answer:
            action, trunk, name = found(form, "action", "trunk", "gateway")
            if action not in ("drain", "block", "unblock") or not trunk:
                abort(400)
            return await actions.gateway(action, trunk, name)

        return await door.act(Role.OPERATOR, "gateway", _words("action", "trunk", "gateway"), hold)

    @site.post("/do/ban")
    async def ban() -> Result:
        async def change(form: Form) -> Answer:
            action, source, length = found(form, "action", "source", "length")
            if action not in ("add", "remove"):
                abort(400)
            if not source:
                return {"ok": False, "error": "Give an address such as 192.0.2.7, or a network such as 192.0.2.0/24."}
            return await actions.ban(action, source, length)

        return await door.act(Role.OPERATOR, "ban", _words("action", "source", "length"), change)

    @site.post("/do/unregister")
    async def unregister() -> Result:
        async def remove(form: Form) -> Answer:
            [identity] = found(form, "id")
            return await actions.unregister(identity)

        return await door.act(Role.OPERATOR, "unregister", _words("user", "contact"), remove)

    @site.post("/do/reload")
    async def reload() -> Result:
        async def take_up(form: Form) -> Answer:
            return await actions.reload()

        return await door.act(Role.ADMINISTRATOR, "reload", lambda form: "", take_up)


def _words(*names: str) -> Callable[[Form], str]:
    def subject(form: Form) -> str:
        return " ".join(filter(None, (form.get(name, "").strip() for name in names)))

    return subject
