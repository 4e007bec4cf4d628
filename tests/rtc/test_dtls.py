import pytest

from appliance.rtc.dtls import HANDSHAKE_S, MTU, DtlsIdentity, DtlsSession, DtlsState, pack_records
from appliance.rtc.srtp import AEAD_AES_128_GCM, PacketBuffer

ALICE, BOB = DtlsIdentity.generate(), DtlsIdentity.generate()


def fingerprints(identity: DtlsIdentity, algorithm: str = "sha-256") -> list[tuple[str, bytes]]:
    return [(algorithm, identity.fingerprint(algorithm))]


def pair(**changes: list[tuple[str, bytes]]) -> tuple[DtlsSession, DtlsSession]:
    client = DtlsSession(ALICE, client=True, fingerprints=changes.get("client_wants", fingerprints(BOB)), now=0.0)
    server = DtlsSession(BOB, client=False, fingerprints=changes.get("server_wants", fingerprints(ALICE)), now=0.0)
    return client, server


def exchange(client: DtlsSession, server: DtlsSession, lose: int = -1) -> int:
    """Pass datagrams to and fro until both are silent; `lose` is the number of one that gets lost."""
    count = 0
    for _ in range(50):
        moved = False
        for source, target in ((client, server), (server, client)):
            for datagram in source.take_datagrams():
                moved = True
                if count != lose:
                    target.receive_untrusted(datagram, 0.0)
                count += 1
        if not moved:
            break
    return count


def test_two_ends_agree_on_keys():
    client, server = pair()
    client.start(0.0)
    exchange(client, server)
    assert client.state is server.state is DtlsState.CONNECTED
    assert client.keys is not None
    assert server.keys is not None
    assert client.keys.profile is AEAD_AES_128_GCM
    assert (client.keys.send, client.keys.receive) == (server.keys.receive, server.keys.send)
    sender, receiver, buffer = client.keys.contexts()[1], server.keys.contexts()[0], PacketBuffer()
    packet = b"\x80\x00\x00\x01" + b"\0" * 168
    size = sender.protect(buffer, buffer.put(packet))
    assert bytes(buffer.view[: receiver.unprotect(buffer, size)]) == packet


@pytest.mark.parametrize("algorithm", ["sha-1", "sha-256", "sha-384", "sha-512"])
def test_fingerprints_of_every_hash_are_verified(algorithm):
    client, server = pair(client_wants=fingerprints(BOB, algorithm), server_wants=fingerprints(ALICE, algorithm))
    client.start(0.0)
    exchange(client, server)
    assert client.state is server.state is DtlsState.CONNECTED


@pytest.mark.parametrize(
    "wanted",
    [fingerprints(ALICE), [("sha-256", b"\0" * 32)], [("md5", b"\0" * 16)], []],
    ids=["another's", "zeros", "unknown hash", "none"],
)
def test_a_certificate_that_the_sdp_does_not_name_gives_no_keys(wanted):
    client, server = pair(client_wants=wanted)
    client.start(0.0)
    exchange(client, server)
    assert client.state is DtlsState.FAILED
    assert client.keys is None
    assert client.failure is not None
    assert "fingerprint" in client.failure


def test_the_strongest_offered_hash_decides():
    client, server = pair(client_wants=[("sha-512", b"\0" * 64), *fingerprints(BOB)])
    client.start(0.0)
    exchange(client, server)
    assert client.state is DtlsState.FAILED


def test_datagrams_fit_the_mtu():
    client, server = pair()
    client.start(0.0)
    hello = client.take_datagrams()
    server.receive_untrusted(hello[0], 0.0)
    flight = server.take_datagrams()
    assert flight
    assert all(len(datagram) <= MTU for datagram in flight)


def test_records_are_never_split_between_datagrams():
    record = b"\x16\xfe\xfd" + b"\0" * 8 + (500).to_bytes(2, "big") + b"x" * 500
    assert pack_records(record * 5) == [record * 2, record * 2, record]


def test_garbage_before_and_within_the_handshake_does_no_harm():
    client, server = pair()
    for garbage in (b"\x16", b"\x16\xfe\xfd" + b"\0" * 20, b"\x15\xfe\xfd" + b"\xff" * 30, b"\x17" * 100):
        server.receive_untrusted(garbage, 0.0)
    client.start(0.0)
    exchange(client, server)
    assert client.state is server.state is DtlsState.CONNECTED
    client.receive_untrusted(b"\x16\xfe\xfd" + b"\0" * 40, 0.0)
    assert client.state is DtlsState.CONNECTED


def test_a_handshake_that_nobody_answers_ends_in_a_sentence():
    client, _ = pair()
    client.start(0.0)
    client.poll(HANDSHAKE_S - 1)
    assert client.state is DtlsState.HANDSHAKING
    client.poll(HANDSHAKE_S)
    assert client.state is DtlsState.FAILED
    assert client.failure == "the peer never answered our DTLS ClientHello"
