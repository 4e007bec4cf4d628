from __future__ import annotations

import ssl
from pathlib import Path

import attrs
import pytest
import trio

from appliance.transport.options import ConnectionLimits, ListenerOptions, Target, TlsClientOptions, TlsServerOptions
from appliance.transport.tls import identities, names
from appliance.transport.transports import Transports
from tests.transport.certificates import Authority
from tests.transport.core import Core
from tests.transport.messages import ok, options
from tests.transport.test_tcp import ended, received


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def tls(certificate: Path, name: str = "tls", *, client: str = "none", ca: Path | None = None, **more: object):
    server = TlsServerOptions(certificate=certificate, client_certificate=client, client_ca=ca)
    return ListenerOptions(name=name, transport="tls", port=0, tls=server, **more)  # type: ignore[arg-type]


def answering(core: Core) -> None:
    core.react = lambda data, flow: flow.send(ok()) if data.startswith(b"OPTIONS") else None


async def openssl(host: str, port: int, ca: Path, name: str, client: Path | None = None) -> trio.SSLStream:
    """A client of trio's own making, so that our TLS does not only talk to itself."""
    context = ssl.create_default_context(cafile=str(ca))
    if client is not None:
        context.load_cert_chain(client)
    stream = trio.SSLStream(await trio.open_tcp_stream(host, port), context, server_hostname=name)
    with trio.fail_after(60):
        await stream.do_handshake()
    return stream


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_tls_client_is_served(transports: Transports, core: Core, authority: Authority, host: str) -> None:
    answering(core)
    listener = await transports.listen(tls(authority.issue("example.com")))
    stream = await openssl(host, listener.port, authority.ca, "example.com")
    await stream.send_all(options("1") + options("2", b"x" * 50_000))
    await core.arrived(2)
    _, flow = core.messages[1]
    assert (flow.transport, flow.secure, flow.peer_identities) == ("TLS", True, ())
    assert await received(stream, 2 * len(ok())) == ok() * 2
    await stream.aclose()
    await core.closed()
    assert transports.snapshot()[0].drops == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_our_own_connection_checks_the_name_and_is_reused(
    transports: Transports, core: Core, authority: Authority, host: str
) -> None:
    answering(core)
    listener = await transports.listen(tls(authority.issue("sip:example.com", "other.example.com")))
    target = Target("tls", host, listener.port, "example.com", tls=TlsClientOptions(ca=authority.ca))
    flow = transports.connect(target)
    flow.send(options("1"))
    await core.arrived(2)
    assert transports.connect(target) is flow
    assert flow.peer_identities == ("example.com",)
    flow.close()
    await core.closed(2)


@pytest.mark.parametrize(
    ("in_certificate", "wanted", "cause"),
    [
        ("other.example.com", "example.com", "tls-wrong-name"),
        ("*.example.com", "sip.example.com", "tls-wrong-name"),
        ("example.com", None, "tls-wrong-name"),
        ("sip:alice@example.com", "example.com", "tls-wrong-name"),
    ],
)
async def test_a_certificate_for_somebody_else_is_refused(
    transports: Transports, core: Core, authority: Authority, in_certificate: str, wanted: str | None, cause: str
) -> None:
    listener = await transports.listen(tls(authority.issue(in_certificate)))
    flow = transports.connect(Target("tls", "127.0.0.1", listener.port, wanted, tls=TlsClientOptions(ca=authority.ca)))
    flow.send(options())
    await core.until(lambda: flow in core.ended)
    assert core.messages == []
    assert transports.snapshot()[0].drops[cause] == 1


async def test_a_certificate_of_another_authority_is_refused_unless_told_otherwise(
    transports: Transports, core: Core, authority: Authority, tmp_path: Path
) -> None:
    answering(core)
    listener = await transports.listen(tls(authority.issue("example.com")))
    stranger = Authority(tmp_path, "stranger")
    strict = TlsClientOptions(ca=stranger.ca)
    flow = transports.connect(Target("tls", "127.0.0.1", listener.port, "example.com", tls=strict))
    await core.until(lambda: flow in core.ended)
    lax = TlsClientOptions(verify=False)
    transports.connect(Target("tls", "127.0.0.1", listener.port, "example.com", tls=lax)).send(options())
    await core.arrived(2)


async def test_a_server_may_be_known_by_its_address(transports: Transports, core: Core, authority: Authority) -> None:
    listener = await transports.listen(tls(authority.issue("127.0.0.1")))
    target = Target("tls", "127.0.0.1", listener.port, "127.0.0.1", tls=TlsClientOptions(ca=authority.ca))
    transports.connect(target).send(options())
    await core.arrived()


async def test_a_client_certificate_gives_identities_and_makes_an_alias(
    transports: Transports, core: Core, authority: Authority
) -> None:
    listener = await transports.listen(
        tls(authority.issue("example.com"), client="required", ca=authority.ca, bind=("127.0.0.1",))
    )
    mine = authority.issue("sip:carrier.example.net", "ignored.example.net", "sip:bob@carrier.example.net")
    stream = await openssl("127.0.0.1", listener.port, authority.ca, "example.com", mine)
    await stream.send_all(options())
    _, flow = await core.arrived()
    assert flow.peer_identities == ("carrier.example.net", "sip:bob@carrier.example.net")
    assert transports.alias(flow, 5061)
    assert transports.connect(Target("tls", "127.0.0.1", 5061, "carrier.example.net")) is flow
    assert transports.connect(Target("tls", "127.0.0.1", 5061, "example.net")) is not flow
    await stream.aclose()
    await core.until(lambda: flow in core.ended)
    assert transports.connect(Target("tls", "127.0.0.1", 5061, "carrier.example.net")) is not flow


async def test_a_client_without_certificate_gets_no_alias(
    transports: Transports, core: Core, authority: Authority
) -> None:
    listener = await transports.listen(tls(authority.issue("example.com"), client="optional", ca=authority.ca))
    stream = await openssl("127.0.0.1", listener.port, authority.ca, "example.com")
    await stream.send_all(options())
    _, flow = await core.arrived()
    assert not transports.alias(flow, 5061)
    await stream.aclose()


@pytest.mark.parametrize("known", [False, True], ids=["none", "stranger's"])
async def test_a_client_without_a_good_certificate_is_refused(
    transports: Transports, core: Core, authority: Authority, tmp_path: Path, known: bool
) -> None:
    listener = await transports.listen(tls(authority.issue("example.com"), client="required", ca=authority.ca))
    mine = Authority(tmp_path, "stranger").issue("sip:carrier.example.net") if known else None
    with pytest.raises(trio.BrokenResourceError):
        stream = await openssl("127.0.0.1", listener.port, authority.ca, "example.com", mine)
        await stream.send_all(options())
        await stream.receive_some()
    assert core.messages == []
    refused(transports, "tls-handshake")


def refused(transports: Transports, cause: str) -> None:
    assert transports.snapshot()[0].drops == {cause: 1}
    assert transports.snapshot()[0].connections == 0


async def test_a_handshake_has_a_deadline(transports: Transports, core: Core, authority: Authority) -> None:
    listener = await transports.listen(
        tls(authority.issue("example.com"), limits=ConnectionLimits(read_deadline_s=0.2))
    )
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        await stream.send_all(b"\x16\x03\x01")
        await ended(stream)
    refused(transports, "handshake-deadline")
    assert core.ended == []


async def test_plain_text_on_a_tls_port_is_refused(transports: Transports, core: Core, authority: Authority) -> None:
    listener = await transports.listen(tls(authority.issue("example.com")))
    async with await trio.open_tcp_stream("127.0.0.1", listener.port) as stream:
        await stream.send_all(options())
        await ended(stream)
    refused(transports, "tls-handshake")


def with_certificate(transports: Transports, tls: TlsServerOptions) -> None:
    """What a reload does to the listener."""
    listener = transports.listener("tls")
    assert listener is not None
    transports.reconfigure(attrs.evolve(listener.options, tls=tls))


async def test_a_new_certificate_serves_new_connections_and_leaves_the_old(
    transports: Transports, core: Core, authority: Authority
) -> None:
    listener = await transports.listen(tls(authority.issue("old.example.com")))
    old = await openssl("127.0.0.1", listener.port, authority.ca, "old.example.com")
    with_certificate(transports, TlsServerOptions(certificate=authority.issue("new.example.com")))
    new = await openssl("127.0.0.1", listener.port, authority.ca, "new.example.com")
    with pytest.raises(trio.BrokenResourceError):
        await openssl("127.0.0.1", listener.port, authority.ca, "old.example.com")
    for number, stream in enumerate((old, new), 1):
        await stream.send_all(options())
        await core.arrived(number)
        await stream.aclose()


async def test_a_bad_certificate_file_changes_nothing(
    transports: Transports, core: Core, authority: Authority, tmp_path: Path
) -> None:
    listener = await transports.listen(tls(authority.issue("example.com")))
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing of the kind")
    with pytest.raises(ssl.SSLError):
        with_certificate(transports, TlsServerOptions(certificate=bad))
    with pytest.raises(FileNotFoundError):
        with_certificate(transports, TlsServerOptions(certificate=tmp_path / "none.pem"))
    await (await openssl("127.0.0.1", listener.port, authority.ca, "example.com")).aclose()


async def test_a_slow_tls_reader_gets_everything_in_order(
    transports: Transports, core: Core, authority: Authority
) -> None:
    listener = await transports.listen(
        tls(authority.issue("example.com"), limits=ConnectionLimits(write_buffer_bytes=10**8))
    )
    stream = await openssl("127.0.0.1", listener.port, authority.ca, "example.com")
    await stream.send_all(options())
    _, flow = await core.arrived()
    sent = b"".join(options(str(number), b"x" * 10_000) for number in range(500))
    for number in range(500):
        flow.send(options(str(number), b"x" * 10_000))
    assert await received(stream, len(sent)) == sent
    await stream.aclose()


def test_names_of_a_certificate_follow_rfc_5922() -> None:
    both = {"subjectAltName": (("URI", "sip:Example.COM"), ("DNS", "dns.example.com"))}
    assert identities(both) == ("example.com",)
    assert names(both, "EXAMPLE.com")
    assert not names(both, "dns.example.com")
    common = {"subject": ((("commonName", "Example.com"),),)}
    assert names(common, "example.com")
    assert not names({**common, "subjectAltName": (("DNS", "other.example.com"),)}, "example.com")
    assert names({"subjectAltName": (("IP Address", "0:0:0:0:0:0:0:1"),)}, "::1")


# Trunks with identities of their own


async def test_each_identity_has_connections_of_its_own(
    transports: Transports, core: Core, authority: Authority
) -> None:
    answering(core)
    certificate = authority.issue("example.com")
    listener = await transports.listen(tls(certificate, client="required", ca=authority.ca))
    seen = {}
    for name in ("one.example.net", "two.example.net"):
        options_ = TlsClientOptions(ca=authority.ca, certificate=authority.issue(name))
        target = Target("tls", "127.0.0.1", listener.port, "example.com", tls=options_)
        flow = transports.connect(target)
        assert transports.connect(target) is flow
        flow.send(options(name))
        _, there = await core.arrived(2 * len(seen) + 1)
        await core.arrived(2 * len(seen) + 2)
        seen[flow.id] = there.peer_identities
    assert list(seen.values()) == [("one.example.net",), ("two.example.net",)]


async def test_a_trunk_may_have_another_name_than_the_host_that_leads_there(
    transports: Transports, core: Core, authority: Authority
) -> None:
    answering(core)
    listener = await transports.listen(tls(authority.issue("sip:carrier.example.net")))
    for name, arrives in (("carrier.example.net", True), ("other.example.net", False)):
        options_ = TlsClientOptions(ca=authority.ca, name=name)
        flow = transports.connect(Target("tls", "127.0.0.1", listener.port, tls=options_))
        flow.send(options("1"))
        if arrives:
            await core.arrived(2)
        else:
            assert await core.closed() is flow
    assert len(core.messages) == 2


async def test_a_renewed_client_certificate_is_shown_from_then_on_and_what_stands_goes_on(
    transports: Transports, core: Core, authority: Authority, tmp_path: Path
) -> None:
    answering(core)
    listener = await transports.listen(tls(authority.issue("example.com"), client="required", ca=authority.ca))
    mine = tmp_path / "mine.pem"
    mine.write_bytes(authority.issue("old.example.net").read_bytes())
    target = Target(
        "tls", "127.0.0.1", listener.port, "example.com", tls=TlsClientOptions(ca=authority.ca, certificate=mine)
    )
    first = transports.connect(target)
    first.send(options("1"))
    await core.arrived(2)
    mine.write_bytes(authority.issue("new.example.net").read_bytes())
    transports.renew_contexts()
    assert transports.connect(target) is first
    first.send(options("2"))
    assert (await core.arrived(3))[1].peer_identities == ("old.example.net",)
    await core.arrived(4)
    first.close()
    await core.closed(2)
    transports.connect(target).send(options("3"))
    assert (await core.arrived(5))[1].peer_identities == ("new.example.net",)


async def test_an_alias_is_not_used_where_we_show_a_certificate(
    transports: Transports, core: Core, authority: Authority
) -> None:
    """The peer's own connection knows us by our listener's certificate, not as who we are at that trunk."""
    mine = authority.issue("carrier.example.net")
    listener = await transports.listen(tls(authority.issue("example.com"), client="required", ca=authority.ca))
    stream = await openssl("127.0.0.1", listener.port, authority.ca, "example.com", mine)
    await stream.send_all(options("1"))
    _, flow = await core.arrived()
    assert transports.alias(flow, 5061)
    as_ourselves = Target("tls", "127.0.0.1", 5061, "carrier.example.net")
    assert transports.connect(as_ourselves) is flow
    other = TlsClientOptions(ca=authority.ca, certificate=mine)
    assert transports.connect(attrs.evolve(as_ourselves, tls=other)) is not flow
