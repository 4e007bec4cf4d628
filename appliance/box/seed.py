"""cloud-init's NoCloud seed: what of user-data, meta-data and network-config is for us. Nothing of it is ever run.

Taken are write_files below /etc/jackfield/conf.d, the host name, and the addresses of network-config (versions 1 and
2). Whatever else is asked for is named, so that nobody waits for it.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import yaml

from .machine import Refused

LABELS: Final = ("CIDATA", "cidata")
FOLDER: Final = "/etc/jackfield/conf.d/"
LONGEST: Final = 1 << 18
"""Bytes of YAML."""
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's is quick. Both make plain data only, and fail badly at texts that are nested without end."""
DEEPEST: Final = 64
LONGEST_FILE: Final = 4 << 20


@attrs.frozen
class Seed:
    """`files` by their names below conf.d; `left` says in a few words each what was not taken."""

    files: Mapping[str, bytes]
    host_name: str = ""
    left: tuple[str, ...] = ()


def read_seed_untrusted(user_data: bytes, meta_data: bytes, network_config: bytes) -> Seed:
    """Each may be empty. Raises `Refused` where one cannot be read."""
    user: dict[str, Any] = {}
    left: list[str] = []
    if user_data.lstrip().startswith(b"#cloud-config"):
        user = _yaml(user_data, "user-data")
    elif user_data.strip():
        left.append("user-data, which is no #cloud-config")
    meta, network = _yaml(meta_data, "meta-data"), _yaml(network_config, "network-config")
    files: dict[str, bytes] = {}
    listed = user.get("write_files")
    for one in listed if isinstance(listed, list) else []:
        path = one.get("path") if isinstance(one, dict) else None
        if not isinstance(path, str) or not path.startswith(FOLDER):
            left.append(f"the file {str(path)[:80]}")
            continue
        files[path.removeprefix(FOLDER)] = _content(one, path)
    cards = list(_cards(network.get("network", network)))
    if cards:
        files["90-network.conf"] = "\n".join(["# From the network-config of cloud-init.", *cards, ""]).encode()
    name = next(
        (found for found in (user.get("fqdn"), user.get("hostname"), meta.get("local-hostname")) if found is not None),
        "",
    )
    known = {"write_files", "hostname", "fqdn", "preserve_hostname", "prefer_fqdn_over_hostname"}
    left += [f"{key[:40]} of user-data" for key in user if isinstance(key, str) and key not in known]
    return Seed(files, name if isinstance(name, str) else "", tuple(left))


def _yaml(data: bytes, name: str) -> dict[str, Any]:
    if len(data) > LONGEST:
        raise Refused(f"{name} is longer than {LONGEST >> 10} KiB")
    try:
        _must_be_shallow(data.decode(), name)
        said = yaml.load(data.decode(), _LOADER) if data.strip() else {}  # noqa: S506 (a safe one)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError, OverflowError) as error:
        raise Refused(f"{name} cannot be read: {' '.join(str(error).split())[:200]}") from None
    return said if isinstance(said, dict) else {}


def _must_be_shallow(text: str, name: str) -> None:
    """Looked at event by event, and no further than up to where it is too deep."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise Refused(f"{name} is nested more than {DEEPEST} deep")


def _content(one: Mapping[str, Any], path: str) -> bytes:
    content, encoding = one.get("content", ""), one.get("encoding", "")
    if not isinstance(content, (str, bytes)) or not isinstance(encoding, str):
        raise Refused(f"the content of {path} is no text")
    data = content.encode() if isinstance(content, str) else content
    try:
        if encoding in ("b64", "base64", "gz+b64", "gz+base64", "gzip+b64", "gzip+base64"):
            data = base64.b64decode(data)
        if encoding.startswith("gz"):
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(LONGEST_FILE + 1)
    except (binascii.Error, OSError, EOFError, zlib.error):
        raise Refused(f"the content of {path} is not {encoding}") from None
    if len(data) > LONGEST_FILE:
        raise Refused(f"{path} is longer than {LONGEST_FILE >> 20} MiB")
    return data


def _cards(network: Any) -> Iterator[str]:
    if not isinstance(network, dict):
        return
    if network.get("version") == 2 and isinstance(network.get("ethernets"), dict):
        for name, card in network["ethernets"].items():
            if isinstance(card, dict):
                yield from _card_2(str(name), card)
    elif network.get("version") == 1 and isinstance(network.get("config"), list):
        for card in network["config"]:
            if isinstance(card, dict) and card.get("type") == "physical":
                yield from _card_1(card)


def _card_2(name: str, card: Mapping[str, Any]) -> Iterator[str]:
    """netplan's way."""
    match = card.get("match")
    if isinstance(match, dict) and isinstance(match.get("name"), str):
        name = match["name"]
    routes = card.get("routes")
    gateways = [card.get("gateway4"), card.get("gateway6")]
    for route in routes if isinstance(routes, list) else []:
        if isinstance(route, dict) and route.get("to") in ("default", "0.0.0.0/0", "::/0"):
            gateways.append(route.get("via"))
    servers = card.get("nameservers")
    servers = servers if isinstance(servers, dict) else {}
    yield from _section(name, _texts(card.get("addresses")), gateways, servers.get("addresses"), servers.get("search"))


def _card_1(card: Mapping[str, Any]) -> Iterator[str]:
    subnets = card.get("subnets")
    addresses, gateways, servers, search = [], [], [], []
    for one in subnets if isinstance(subnets, list) else []:
        if isinstance(one, dict) and one.get("type") in ("static", "static6"):
            address = str(one.get("address", ""))
            if "/" not in address and one.get("netmask") is not None:
                address += f"/{_length(str(one['netmask']))}"
            addresses.append(address)
            gateways.append(one.get("gateway"))
            servers += _texts(one.get("dns_nameservers"))
            search += _texts(one.get("dns_search"))
    yield from _section(str(card.get("name", "eth0")), addresses, gateways, servers, search)


def _section(name: str, addresses: list[str], gateways: list[Any], dns: Any, search: Any) -> Iterator[str]:
    """Our own words; what is wrong in them is found where all configuration is checked."""
    yield f"[interface {_line(name)}]"
    yield f"address = {', '.join(addresses) or 'dhcp'}"
    for key, values in (("gateway", _texts(gateways)), ("dns", _texts(dns)), ("search", _texts(search))):
        if values and not (key == "gateway" and not addresses):
            yield f"{key} = {', '.join(dict.fromkeys(values))}"


def _texts(values: Any) -> list[str]:
    if isinstance(values, str):
        values = values.split()
    return [_line(one) for one in values if isinstance(one, str) and one] if isinstance(values, list) else []


def _line(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:200]


def _length(netmask: str) -> str:
    try:
        return str(sum(int(part).bit_count() for part in netmask.split(".")))
    except ValueError:
        return netmask[:40]
