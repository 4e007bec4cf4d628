"""Setting up a fresh box: who has the code of its console becomes its administrator, and gives it a name and addresses.

The code is a file of the state directory that firstboot made, and is gone once it has served. Each wrong code is
counted; after many the code is another, whoever tried.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import trio

from ..accounts.account import hash_password
from ..box.asking import ask_box
from ..box.firstboot import put
from ..box.machine import NotOurImage, Refused
from ..box.setup_code import SETUP, code_of, make_code
from ..config import Settings
from ..config.mistakes import ConfigRejected
from ..identity import StateDamaged, keep_administrator
from ..logs import log
from .asking import Answer

SHORTEST_PASSWORD: Final = 8
LONGEST_PASSWORD: Final = 256
MOST_WRONG: Final = 30
NETWORK_FILE: Final = "90-network.conf"
NAME_FILE: Final = "90-host-name.conf"


class Setup:
    """For one running box."""

    def __init__(
        self, conf_dir: Path, state_dir: Path, settings: Callable[[], Settings], reload: Callable[[], Awaitable[Answer]]
    ) -> None:
        self._conf_dir = conf_dir
        self._state_dir = state_dir
        self._settings = settings
        self._reload = reload
        self._wrong = 0
        self._turn = trio.Lock()

    def waits(self) -> bool:
        """Whether the box waits to be set up."""
        return bool(code_of(self._state_dir))

    def right(self, code: str) -> bool:
        """Whether that is the code; it takes the same time for all of one length."""
        given = "".join(letter for letter in code.lower() if letter.isalnum())
        kept = code_of(self._state_dir).replace("-", "")
        if kept and hmac.compare_digest(given.encode(), kept.encode()):
            return True
        self._wrong += 1
        if kept and self._wrong >= MOST_WRONG:
            self._wrong = 0
            make_code(self._state_dir)
            log.warning("setup.new_code", after=MOST_WRONG)
        return False

    async def finish(self, code: str, password: str, name: str, network: Mapping[str, str]) -> Answer:
        """Set the box up. `name` and the words of `network` (card, address, gateway, dns) may be empty.

        The answer holds ok and `network`, a sentence, or `error`; then the code is still good.
        """
        async with self._turn:
            if not self.right(code):
                return {"ok": False, "error": "That is not the code that the console shows."}
            if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
                return {
                    "ok": False,
                    "error": f"Give a password of {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.",
                }
            files: dict[str, bytes | None] = {}
            if name:
                files[NAME_FILE] = f"[appliance]\nname = {_line(name)}\n".encode()
            if network.get("address"):
                files[NETWORK_FILE] = network_file(network)
            try:
                await trio.to_thread.run_sync(self._keep, files, password)
            except ConfigRejected as rejected:
                first = rejected.mistakes[0]
                return {"ok": False, "error": f"{first.key or first.section}: {first.mistake}. {first.remedy}."}
            except (Refused, StateDamaged, OSError) as error:
                return {"ok": False, "error": str(error)}
            log.warning("setup.done", files=", ".join(files))
            await self._reload()
            said = await trio.to_thread.run_sync(_apply_network) if NETWORK_FILE in files else ""
        return {"ok": True, "network": said}

    def _keep(self, files: Mapping[str, bytes | None], password: str) -> None:
        if files:
            put(self._conf_dir, self._state_dir, files)
        keep_administrator(self._state_dir, self._settings().web.administrator, hash_password(password))
        (self._state_dir / SETUP).unlink(missing_ok=True)


def network_file(words: Mapping[str, str]) -> bytes:
    """The drop-in for one card: `card`, `address` (dhcp, or with the length of its network), `gateway`, `dns`."""
    lines = [f"[interface {_line(words.get('card') or 'en*')}]"]
    lines += [f"{key} = {_line(words[key])}" for key in ("address", "gateway", "dns") if words.get(key)]
    return ("\n".join(lines) + "\n").encode()


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:300].strip()


def _apply_network() -> str:
    try:
        answer = ask_box("network-apply")
    except (NotOurImage, Refused) as refused:
        return f"The addresses are not taken up: {refused}."
    if not answer["changed"]:
        return ""
    return (
        f"The box has its new addresses now. Sign in there and confirm them within {answer['confirm_within_s']} s, "
        "on the page Machine or on the console; else the old ones return."
    )
