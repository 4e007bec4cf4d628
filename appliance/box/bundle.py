"""An update bundle, judged before anything is written: what it holds, whether it is whole and ours, and fits this box.

RAUC verifies the signature (`rauc info`, with the keyring of the image). It reads the content only while it installs,
when the other slot is lost already, so that content is held against the signed root hash here (dm-verity's tree).
What is refused is refused in one sentence.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import BinaryIO, Final

import attrs
import trio

from .machine import Machine, Ran, Refused

CONFIGURATION: Final = "etc/rauc/system.conf"
OLDEST: Final = "usr/lib/jackfield/oldest"
"""Of the running image: the oldest version that may be installed over it."""
BLOCK: Final = 4096
_DIGEST: Final = 32
_AT_ONCE: Final = 256 * BLOCK
_MAGIC: Final = b"hsqs"
_FACT: Final = re.compile(
    r"^\s*(Compatible|Version|Description|Verity Salt|Verity Hash|Verity Size):\s+'?([^'\n]*)'?$", re.MULTILINE
)
_VERSION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})*)(?:[~+-].*)?")
_FOREIGN: Final = (
    "self-signed certificate",
    "unable to get local issuer",
    "unable to get issuer",
    "signer certificate",
)
_CHANGED: Final = ("verification failure", "verify error", "asn1", "bad signature", "digest")


@attrs.frozen
class Bundle:
    """What a bundle that this box takes says of itself. `size` in bytes."""

    name: str
    version: str
    compatible: str
    description: str
    size: int


@attrs.frozen
class _Tree:
    """The hash tree behind the content: `size` bytes of it, and the signed root."""

    salt: bytes
    root: bytes
    size: int


async def judge(machine: Machine, file: Path) -> Bundle:
    """What is in a bundle that may be installed here. Raises `Refused`, the sentence begins with the file's name."""
    name = file.name
    try:
        with file.open("rb") as content:
            magic, size = content.read(len(_MAGIC)), content.seek(0, 2)
    except OSError as error:
        raise Refused(f"{name} cannot be read: {error.strerror}") from None
    if magic != _MAGIC:
        raise Refused(f"{name} is not an update bundle")
    ran = await machine.run(
        ("env", "LC_ALL=C", "rauc", f"--conf={machine.root / CONFIGURATION}", "info", str(file)), b""
    )
    if ran.code:
        raise Refused(f"{name} {_why_untrusted(ran)}")
    facts = dict(_FACT.findall(ran.output))
    version, compatible = facts.get("Version", ""), facts.get("Compatible", "")
    ours = machine_kind(machine)
    if compatible != ours:
        raise Refused(f"{name} is for other hardware: {compatible or 'it does not say which'}, this box is {ours}")
    oldest = oldest_allowed(machine)
    if number_of(version) < number_of(oldest):
        raise Refused(f"{name} is version {version}, older than {oldest}, the oldest that may be installed here")
    try:
        tree = _Tree(
            bytes.fromhex(facts["Verity Salt"]), bytes.fromhex(facts["Verity Hash"]), int(facts["Verity Size"])
        )
    except (KeyError, ValueError):
        raise Refused(f"{name} is not in the verity format that this box takes") from None
    try:
        whole = await trio.to_thread.run_sync(_holds, file, tree)
    except OSError as error:
        raise Refused(f"{name} cannot be read: {error.strerror}") from None
    if not whole:
        raise Refused(f"{name} was changed after it was signed, or damaged on its way here")
    return Bundle(name, version, compatible, facts.get("Description", ""), size)


def machine_kind(machine: Machine) -> str:
    """What bundles for this box name as their hardware. Raises `Refused`."""
    try:
        text = (machine.root / CONFIGURATION).read_text(encoding="utf-8")
    except OSError as error:
        raise Refused(f"the configuration of updates cannot be read: {error.strerror}") from None
    found = re.search(r"^compatible=(.+)$", text, re.MULTILINE)
    if found is None:
        raise Refused("the configuration of updates does not say what hardware this is")
    return found[1].strip()


def oldest_allowed(machine: Machine) -> str:
    """The version below which nothing is installed; 0 where the image sets none."""
    try:
        return (machine.root / OLDEST).read_text(encoding="utf-8").strip() or "0"
    except OSError:
        return "0"


def number_of(version: str) -> tuple[int, ...]:
    """For comparing: 1.10 is newer than 1.9; what follows -, + or ~ does not count; what is no version is oldest."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return ()
    parts = [int(part) for part in found[1].split(".")]
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _why_untrusted(ran: Ran) -> str:
    said = ran.output.lower()
    if ran.code in (124, 127):
        return f"cannot be looked at: {ran.output}"
    if "failed to load ca" in said:
        return "cannot be verified: the keyring of this box cannot be read"
    if "expired" in said or "not yet valid" in said:
        return "is signed with a certificate that did not hold when it was signed"
    if any(one in said for one in _FOREIGN):
        return "is signed with a key that this box does not trust"
    if "invalid bundle format" in said or "signature size" in said:
        return "is cut off, or not an update bundle: it carries no signature"
    if "signature" in said and any(one in said for one in _CHANGED):
        return "was changed after it was signed, or damaged on its way here"
    last = ran.output.splitlines()[-1] if ran.output else f"exit code {ran.code}"
    return f"cannot be verified: {last}"


def _holds(file: Path, tree: _Tree) -> bool:
    """Whether the content gives the signed root hash, and the tree that lies behind it is the same."""
    with file.open("rb") as content:
        size = content.seek(0, 2)
        content.seek(size - 8)
        data_size = size - 8 - int.from_bytes(content.read(8), "big") - tree.size
        if data_size <= 0 or data_size % BLOCK or tree.size % BLOCK:
            return False
        content.seek(0)
        levels = [_digests_of_file(content, data_size, tree.salt)]
        while len(levels[-1]) > BLOCK:
            levels.append(_digests(levels[-1], tree.salt))
        root = hashlib.sha256(tree.salt + levels[-1]).digest()
        stored = content.read(tree.size)
    return root == tree.root and stored == b"".join(reversed(levels))


def _digests_of_file(content: BinaryIO, size: int, salt: bytes) -> bytes:
    begun, found = hashlib.sha256(salt), bytearray()
    while size:
        data = memoryview(content.read(min(_AT_ONCE, size)))
        if not data:
            break
        size -= len(data)
        for start in range(0, len(data), BLOCK):
            one = begun.copy()
            one.update(data[start : start + BLOCK])
            found += one.digest()
    return _padded(found)


def _digests(blocks: bytes, salt: bytes) -> bytes:
    found = bytearray()
    for start in range(0, len(blocks), BLOCK):
        found += hashlib.sha256(salt + blocks[start : start + BLOCK]).digest()
    return _padded(found)


def _padded(digests: bytearray) -> bytes:
    return bytes(digests + bytes(-len(digests) % BLOCK))
