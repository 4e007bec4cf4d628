"""Access lists: the narrowest network decides."""

from __future__ import annotations

import pytest

from appliance.config.kinds import network
from appliance.config.security import AclDefault, AclSettings
from appliance.router.acl import AccessList, ip_of


def acl(allow: str = "", deny: str = "", default: AclDefault = AclDefault.AUTO) -> AccessList:
    read = network().read
    return AccessList(
        AclSettings(
            name="x", allow=tuple(map(read, allow.split())), deny=tuple(map(read, deny.split())), default=default
        )
    )


@pytest.mark.parametrize(
    ("lists", "address", "admitted"),
    [
        (acl(), "192.0.2.1", True),
        (acl(allow="192.0.2.0/24"), "192.0.2.1", True),
        (acl(allow="192.0.2.0/24"), "192.0.3.1", False),
        (acl(allow="192.0.2.0/24", default=AclDefault.ALLOW), "192.0.3.1", True),
        (acl(deny="192.0.2.0/24"), "192.0.2.1", False),
        (acl(deny="192.0.2.0/24"), "192.0.3.1", True),
        (acl(deny="192.0.2.0/24", default=AclDefault.DENY), "192.0.3.1", False),
        (acl(allow="192.0.2.7", deny="192.0.2.0/24"), "192.0.2.7", True),
        (acl(allow="192.0.2.0/24", deny="192.0.2.7"), "192.0.2.7", False),
        (acl(allow="192.0.2.7", deny="192.0.2.7"), "192.0.2.7", False),
        (acl(allow="2001:db8::/32"), "2001:db8:1::5", True),
        (acl(allow="2001:db8::/32"), "fe80::1%eth0", False),
        (acl(allow="192.0.2.0/24"), "::ffff:192.0.2.9", True),
        (acl(allow="192.0.2.0/24"), "2001:db8::1", False),
    ],
)
def test_the_narrowest_network_decides(lists: AccessList, address: str, admitted: bool) -> None:
    ip = ip_of(address)
    assert ip is not None
    assert lists.admits(ip) is admitted


def test_what_is_no_address_is_told_apart() -> None:
    assert ip_of("") is None
    assert ip_of("example.com") is None
