"""What a self-test is allowed and told: a throwaway account, the box's domain and its listeners. JSON both ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

TONE = "selftest-tone"
ECHO = "selftest-echo"


@attrs.frozen
class Door:
    """One listener: where to connect to. `path`, `origin` and `certificate` (a file, "" for none) are those of WSS."""

    name: str
    transport: str
    host: str
    port: int
    path: str = "/"
    origin: str = ""
    certificate: str = ""


@attrs.frozen
class Permission:
    """`names` are the host names that phones know the box by: the certificate should hold one of them."""

    user: str
    password: str = attrs.field(repr=False)
    domain: str
    names: tuple[str, ...]
    doors: tuple[Door, ...]

    def as_json(self) -> dict[str, Any]:
        return {**attrs.asdict(self), "names": list(self.names), "doors": [attrs.asdict(one) for one in self.doors]}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Permission:
        """Raises `KeyError` or `TypeError` where it is not one."""
        return cls(
            user=str(said["user"]),
            password=str(said["password"]),
            domain=str(said["domain"]),
            names=tuple(map(str, said["names"])),
            doors=tuple(Door(**one) for one in said["doors"]),
        )
