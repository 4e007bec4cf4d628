import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.rtc import stun
from appliance.rtc.errors import BadMedia
from appliance.rtc.stun import build_stun, error_code, parse_stun_untrusted, xor_mapped_address

# RFC 5769: the messages as printed there.
CAPTURES = Path(__file__).parent.parent / "captures" / "rfc5769"
REQUEST = (CAPTURES / "2.1-request.dat").read_bytes()
RESPONSE_IPV4 = (CAPTURES / "2.2-response-ipv4.dat").read_bytes()
RESPONSE_IPV6 = (CAPTURES / "2.3-response-ipv6.dat").read_bytes()
LONG_TERM = (CAPTURES / "2.4-request-long-term.dat").read_bytes()
PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")


def test_rfc_5769_request():
    message = parse_stun_untrusted(REQUEST)
    assert message.kind == stun.BINDING_REQUEST
    assert message.transaction == TRANSACTION
    assert message.get(stun.USERNAME) == b"evtj:h6vY"
    assert message.get(stun.SOFTWARE) == b"STUN test client"
    assert message.get(stun.PRIORITY) == bytes.fromhex("6e0001ff")
    assert message.get(stun.ICE_CONTROLLED) == bytes.fromhex("932ff9b151263b36")
    assert message.verify_fingerprint()
    assert message.verify_integrity(PASSWORD)
    assert not message.verify_integrity(PASSWORD + "x")
    assert message.unknown_required() == ()


@pytest.mark.parametrize(
    ("data", "address"),
    [
        (RESPONSE_IPV4, ("192.0.2.1", 32853)),
        (RESPONSE_IPV6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
    ],
)
def test_rfc_5769_responses(data, address):
    message = parse_stun_untrusted(data)
    assert message.kind == stun.BINDING_SUCCESS
    assert message.verify_fingerprint()
    assert message.verify_integrity(PASSWORD)
    assert message.mapped_address() == address
    assert message.get(stun.XOR_MAPPED_ADDRESS) == xor_mapped_address(address, TRANSACTION)


def test_rfc_5769_request_with_a_long_term_credential():
    message = parse_stun_untrusted(LONG_TERM)
    assert (message.get(stun.USERNAME) or b"").decode() == "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
    assert message.get(0x0014) == b"example.org"
    # The password is given there as it is after SASLprep.
    key = hashlib.md5("\u30de\u30c8\u30ea\u30c3\u30af\u30b9:example.org:TheMatrIX".encode()).digest()
    assert message.verify_integrity(key)
    assert message.unknown_required() == ()


def test_every_flipped_bit_of_the_request_is_noticed():
    for position in range(len(REQUEST) * 8):
        data = bytearray(REQUEST)
        data[position // 8] ^= 1 << position % 8
        try:
            message = parse_stun_untrusted(bytes(data))
        except BadMedia:
            continue
        assert not (message.fingerprint_at >= 0 and message.verify_fingerprint() and message.verify_integrity(PASSWORD))


def test_attributes_behind_the_integrity_are_ignored():
    message = build_stun(stun.BINDING_REQUEST, TRANSACTION, [], password=PASSWORD, fingerprint=False)
    message += stun.USERNAME.to_bytes(2, "big") + b"\0\x04evil"
    message = message[:2] + (len(message) - 20).to_bytes(2, "big") + message[4:]
    parsed = parse_stun_untrusted(message)
    assert parsed.verify_integrity(PASSWORD)
    assert parsed.get(stun.USERNAME) is None


def test_errors_are_read_back():
    data = build_stun(stun.BINDING_ERROR, TRANSACTION, [(stun.ERROR_CODE, error_code(487, "Role Conflict"))])
    assert parse_stun_untrusted(data).error() == (487, "Role Conflict")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        REQUEST[:19],
        REQUEST[:-4],
        REQUEST + b"\0\0\0\0",
        b"\0\x01\0\x04" + REQUEST[4:20] + b"\0\x06\0\x09",
        b"\0\x01\0\x08" + REQUEST[4:20] + b"\0\x08\0\x04abcd",
        REQUEST[:4] + b"\0\0\0\0" + REQUEST[8:],
        build_stun(1, TRANSACTION, [(0x8000, b"")] * 65),
    ],
)
def test_malformed_messages_are_bad_media(data):
    with pytest.raises(BadMedia):
        parse_stun_untrusted(data)


@given(st.binary(max_size=200))
def test_random_bytes_only_raise_bad_media(data):
    try:
        parse_stun_untrusted(data)
    except BadMedia:
        pass


@given(st.lists(st.tuples(st.integers(0x8000, 0x8021), st.binary(max_size=40)), max_size=20), st.text(max_size=30))
def test_what_is_built_is_read_back(attributes, password):
    message = parse_stun_untrusted(build_stun(1, TRANSACTION, attributes, password=password))
    assert message.verify_fingerprint()
    assert message.verify_integrity(password)
    assert [each for each in message.attributes if each[0] >= 0x8000 and each[0] < 0x8022] == attributes


@given(st.binary(min_size=1, max_size=60), st.integers(20, len(REQUEST) - 1))
def test_messages_with_damaged_attributes_only_raise_bad_media(noise, at):
    data = (REQUEST[:at] + noise + REQUEST[at + len(noise) :])[: len(REQUEST)]
    try:
        message = parse_stun_untrusted(data)
        message.verify_integrity(PASSWORD)
        message.verify_fingerprint()
        message.mapped_address()
        message.error()
    except BadMedia:
        pass
