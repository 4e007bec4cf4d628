"""The first start without a keyboard: configuration is sought, proved and taken; a code stands by for the rest.

Looked at are credentials, a stick or CD labelled JACKFIELD, and a NoCloud seed, in this order; each adds drop-ins to
conf.d, and a later one may replace what an earlier one brought. Each is checked as a whole before any of it is taken.
It runs as root before Jackfield does, and once: a mark on the data partition says that it was done.
"""

from __future__ import annotations

import json
import re
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import attrs
import trio

from ..config.accounts import Role
from ..config.loader import load_settings
from ..config.mistakes import ConfigRejected
from ..config.settings import Settings
from ..logs import log
from .credentials import MODULES, credentials
from .machine import Machine, Refused, give, write_file
from .saving import belongs_to_conf, copy_tree
from .seed import LABELS, read_seed_untrusted
from .setup_code import make_code
from .stick import LABEL, open_stick

MARK: Final = "firstboot.json"
SAID: Final = "run/jackfield/firstboot"
"""What was done, for the console, until the machine restarts."""
REFUSED: Final = "nothing was taken"
MOST_FILES: Final = 1000
MOST_BYTES: Final = 16 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,120}")
_DRIVES_S, _LOOK_S = 5.0, 0.25
"""A drive of CDs may be found some seconds after udev says that it has settled."""
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")


@attrs.frozen
class Brought:
    """What one source brings: files by their names below conf.d. `left` names what of it is not for us."""

    source: str
    files: Mapping[str, bytes]
    left: tuple[str, ...] = ()


async def first_boot(machine: Machine) -> list[str]:
    """What was done, a sentence each; nothing where it was done before. Raises `NotOurImage`, `OSError`."""
    machine.must_be_ours()
    if (machine.own / MARK).exists():
        return []
    said, sources = [], []
    async for brought in _sources(machine):
        if isinstance(brought, str):
            said.append(brought)
            continue
        said += [f"{brought.source}: {one} was left out, this box does not know it" for one in brought.left]
        try:
            names = take(machine, brought)
        except (Refused, ConfigRejected) as error:
            said.append(f"{brought.source}: {REFUSED}. {error}")
            continue
        sources.append(brought.source)
        said.append(f"{brought.source}: took {', '.join(names)}")
    if not sources:
        said.append("no configuration was brought: the box has its default one, and addresses by DHCP")
    if not _has_administrator(machine):
        make_code(machine.state_dir)
        said.append("the box waits to be set up on its web page, with the code that its console shows")
    write_file(machine.own / MARK, json.dumps({"at": int(time.time()), "sources": sources}).encode())
    write_file(machine.root / SAID, "".join(f"{one}\n" for one in said).encode(), 0o644)
    for sentence in said:
        log.info("box.firstboot", did=sentence)
    return said


async def _sources(machine: Machine) -> AsyncIterator[Brought | str]:
    """Those that are there; a sentence for one that cannot be read."""
    for module in MODULES:
        await machine.run(("modprobe", "-q", module), b"")
    given = credentials(machine)
    if given:
        yield _of_credentials(given)
    labelled = machine.root / "dev/disk/by-label"
    with trio.move_on_after(_DRIVES_S):
        # For both: a stick may be there long before a CD. udev tells nobody.
        while not all(any((labelled / one).exists() for one in labels) for labels in ((LABEL,), LABELS)):  # noqa: ASYNC110
            await trio.sleep(_LOOK_S)
    for label, read in ((LABEL, _of_stick), *((label, _of_seed) for label in LABELS)):
        if not (labelled / label).exists():
            continue
        try:
            async with open_stick(machine, label) as folder:
                brought = read(folder)
            yield brought
        except (Refused, OSError) as error:
            yield f"the stick {label}: {error}"


def _of_credentials(given: Mapping[str, bytes]) -> Brought:
    files, left = {}, []
    for name, value in given.items():
        if name == "conf":
            files["50-credential.conf"] = value
        elif name.startswith("conf."):
            files[name.removeprefix("conf.").removesuffix(".conf") + ".conf"] = value
        elif name == "hostname":
            files["90-host-name.conf"] = _named(value.decode("ascii", "replace").strip())
        else:
            left.append(f"the credential {name}")
    return Brought("the credentials of the virtual machine", files, tuple(left))


def _of_stick(folder: Path) -> Brought:
    """`conf.d/` of the stick with all that is in it, or the *.conf in its root; and a file hostname."""
    root = next((folder / name for name in ("conf.d", "CONF.D") if (folder / name).is_dir()), folder)
    files: dict[str, bytes] = {}
    size = 0
    for file in sorted(root.rglob("*") if root != folder else root.iterdir()):
        name = str(file.relative_to(root))
        name = name.lower() if name.isupper() else name
        if not stat.S_ISREG(file.lstat().st_mode) or (root == folder and not name.endswith(".conf")):
            continue
        if any(part.startswith(".") for part in name.split("/")):
            continue  # what other systems leave on sticks
        size += file.lstat().st_size
        if len(files) >= MOST_FILES or size > MOST_BYTES:
            raise Refused(f"it holds more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB")
        files[name] = file.read_bytes()
    for named in ("hostname", "HOSTNAME"):
        if (folder / named).is_file():
            text = (folder / named).read_bytes()[:200].decode("ascii", "replace").strip()
            files["90-host-name.conf"] = _named(text)
    return Brought(f"the stick {LABEL}", files)


def _of_seed(folder: Path) -> Brought:
    data = {}
    for name in ("user-data", "meta-data", "network-config"):
        file = folder / name
        data[name] = file.read_bytes()[: MOST_BYTES + 1] if file.is_file() else b""
    seed = read_seed_untrusted(data["user-data"], data["meta-data"], data["network-config"])
    files = dict(seed.files)
    if seed.host_name:
        files["90-host-name.conf"] = _named(seed.host_name)
    return Brought("the seed of cloud-init", files, seed.left)


def _named(name: str) -> bytes:
    if not _HOST_NAME.fullmatch(name):
        raise Refused(f"{name[:80]!r} is no name for a box: letters, digits, dots and dashes")
    return f"[appliance]\nname = {name}\n".encode()


def take(machine: Machine, brought: Brought) -> list[str]:
    """Put the files into conf.d, if all is well with them there; their names.

    Raises `Refused` or `ConfigRejected`, and then nothing has changed.
    """
    if not brought.files:
        raise Refused("it brings no configuration")
    return put(machine.conf_dir, machine.state_dir, brought.files)


def put(conf_dir: Path, state_dir: Path, files: Mapping[str, bytes | None]) -> list[str]:
    """Add files to a conf.d, or take away those that are None, if the whole is well afterwards; the names.

    Raises `Refused` or `ConfigRejected`, and then nothing has changed.
    """
    for name in files:
        if not all(_NAME.fullmatch(part) for part in name.split("/")) or name.count("/") > 3:
            raise Refused(f"{name[:80]!r} is no name for a file of conf.d")
    with tempfile.TemporaryDirectory(prefix="jackfield-check-") as temporary:
        trial = Path(temporary) / "conf.d"
        copy_tree(conf_dir, trial, lambda path: not belongs_to_conf(path, state_dir))
        for name, data in files.items():
            (trial / name).parent.mkdir(parents=True, exist_ok=True)
            if data is None:
                (trial / name).unlink(missing_ok=True)
            else:
                (trial / name).write_bytes(data)
        try:
            load_settings(trial)
        except ConfigRejected as rejected:
            places = [
                attrs.evolve(
                    one,
                    place=attrs.evolve(one.place, file=one.place.file.replace(str(trial), "conf.d")),
                    mistake=one.mistake.replace(str(trial), "conf.d"),
                )
                for one in rejected.mistakes
            ]
            raise ConfigRejected(places) from None
    owner = conf_dir.stat()
    for name, data in files.items():
        file = conf_dir / name
        if data is None:
            file.unlink(missing_ok=True)
            continue
        write_file(file, data, 0o640)
        give(file, owner)
        for folder in file.relative_to(conf_dir).parents:
            give(conf_dir / folder, owner)
    return sorted(files)


def _has_administrator(machine: Machine) -> bool:
    """Whether somebody can sign in to the web side and rule there."""
    try:
        settings: Settings = load_settings(machine.conf_dir)
    except ConfigRejected:
        return False
    declared = any(
        one.role is Role.ADMINISTRATOR and one.password_hash is not None for one in settings.accounts.values()
    )
    return declared or (machine.state_dir / "administrators.json").exists()
