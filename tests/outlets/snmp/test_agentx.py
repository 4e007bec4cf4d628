"""AgentX on the wire: what is read from strangers ends in facts or in BadMessage; both byte orders; bulk."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.outlets.snmp import agentx
from appliance.outlets.snmp.agentx import Asked, PduType, Range
from appliance.outlets.snmp.mib import date_and_time, label
from appliance.outlets.snmp.tree import MOST_ROWS, Branch, Cell, Scalar, Table, Tree
from appliance.outlets.snmp.value import Oid, Syntax, bounded
from appliance.sip.errors import BadMessage

BASE = (1, 3, 6, 1, 4, 1, 32473, 1)


@given(st.binary(min_size=20, max_size=20), st.binary(max_size=200))
def test_whatever_comes_is_read_or_is_a_bad_message(head: bytes, payload: bytes) -> None:
    try:
        header = agentx.read_header_untrusted(head)
        assert header.length <= agentx.LONGEST_PAYLOAD
    except BadMessage:
        header = agentx.read_header_untrusted(agentx.write(PduType.GET_BULK, b"", flags=head[0] & 0x08))
    for read in (agentx.read_asked_untrusted, agentx.read_answered_untrusted):
        try:
            read(header, payload)
        except BadMessage:
            pass


@given(st.lists(st.tuples(st.lists(st.integers(0, 2**32 - 1), max_size=100), st.booleans()), max_size=5), st.booleans())
def test_ranges_are_read_in_both_byte_orders(ranges: list[tuple[list[int], bool]], network: bool) -> None:
    order = ">" if network else "<"
    payload = b""
    for start, include in ranges:
        payload += struct.pack(f"{order}4B{len(start)}I", len(start), 0, include, 0, *start)
        payload += struct.pack(f"{order}4B2I", 2, 4, 0, 0, 1, 7)
    packed = struct.pack(f"{order}BBBx4I", 1, PduType.GET_NEXT, 0x10 if network else 0, 1, 2, 3, len(payload))
    header = agentx.read_header_untrusted(packed)
    assert (header.session, header.transaction, header.packet) == (1, 2, 3)
    asked = agentx.read_asked_untrusted(header, payload)
    assert asked == Asked(tuple(Range(tuple(start), include, (1, 3, 6, 1, 4, 1, 7)) for start, include in ranges))


@pytest.mark.parametrize(
    "head",
    [
        b"\2" + bytes(19),
        struct.pack(">BBBx4I", 1, 5, 0x10, 0, 0, 0, agentx.LONGEST_PAYLOAD + 4),
        struct.pack(">BBBx4I", 1, 5, 0x10, 0, 0, 0, 6),
    ],
)
def test_what_cannot_begin_a_pdu_is_refused(head: bytes) -> None:
    with pytest.raises(BadMessage):
        agentx.read_header_untrusted(head)


def test_numbers_stay_within_their_types() -> None:
    assert bounded(Syntax.COUNTER32, 2**32 + 5) == 5
    assert bounded(Syntax.COUNTER64, 2**64 + 5) == 5
    assert bounded(Syntax.GAUGE32, 2**40) == 2**32 - 1
    assert bounded(Syntax.GAUGE32, -3) == 0
    assert bounded(Syntax.INTEGER, -(2**40)) == -(2**31)
    text = bounded(Syntax.OCTETS, "ä" * 200)
    assert isinstance(text, bytes)
    assert len(text.decode()) == 127


def test_a_date_is_eleven_octets_in_utc() -> None:
    assert date_and_time(0.25) == bytes((7, 178, 1, 1, 0, 0, 0, 2, ord("+"), 0, 0))
    assert date_and_time(None) is None


def test_long_labels_stay_apart_and_short_enough() -> None:
    one, other = label("x" * 40 + "1"), label("x" * 40 + "2")
    assert one != other
    assert len(one) == len(other) == 33
    assert label("ab") == (2, 97, 98)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def table(rows: Callable[[], dict[Oid, int]], clock: Clock) -> Branch:
    cells = [
        Cell[int](2, Syntax.GAUGE32, lambda row: row),
        Cell[int](4, Syntax.GAUGE32, lambda row: row if row % 2 else None),
    ]
    return Table((*BASE, 2), cells, rows, clock)


def walk(tree: Tree) -> list[Oid]:
    found: list[Oid] = []
    name: Oid = (1,)
    while (one := tree.after(name)).syntax is not Syntax.END_OF_MIB_VIEW:
        name = one.name
        found.append(name)
    return found


@given(st.sets(st.lists(st.integers(0, 50), min_size=1, max_size=3).map(tuple), max_size=30))
def test_a_walk_ends_is_in_order_and_meets_everything(indexes: set[Oid]) -> None:
    rows = {index: sum(index) for index in indexes}
    tree = Tree([Scalar((*BASE, 1), Syntax.GAUGE32, lambda: 1), table(lambda: rows, Clock())])
    found = walk(tree)
    assert found == sorted(set(found))
    expected = [(*BASE, 1, 0), *((*BASE, 2, 1, 2, *index) for index in rows)]
    expected += [(*BASE, 2, 1, 4, *index) for index, row in rows.items() if row % 2]
    assert set(found) == set(expected)
    for name in found:
        assert tree.get(name).content == tree.after(name, include=True).content


@given(st.lists(st.integers(0, 6), max_size=14).map(tuple), st.booleans())
def test_what_comes_after_any_name_comes_after_it(name: Oid, include: bool) -> None:
    rows = {(number, 1): number for number in range(5)}
    tree = Tree([Scalar((1, 3), Syntax.GAUGE32, lambda: 1), Table((1, 4), [Cell(1, Syntax.GAUGE32, lambda row: row)],
                                                                  lambda: rows, Clock())])  # fmt: skip
    found = tree.after(name, include=include)
    every = walk(tree)
    after = [one for one in every if one > name or (include and one == name)]
    if after:
        assert found.name == after[0]
    else:
        assert found.syntax is Syntax.END_OF_MIB_VIEW


def test_a_name_that_is_not_there_says_what_is_missing() -> None:
    tree = Tree([table(lambda: {(1,): 1}, Clock())])
    assert tree.get((*BASE, 2, 1, 2, 9)).syntax is Syntax.NO_SUCH_INSTANCE
    assert tree.get((*BASE, 3, 0)).syntax is Syntax.NO_SUCH_OBJECT
    assert tree.after((*BASE, 1), end=(*BASE, 2)).syntax is Syntax.END_OF_MIB_VIEW


def test_rows_are_of_one_moment_for_a_second_and_never_too_many() -> None:
    clock, asked = Clock(), [0]

    def rows() -> dict[Oid, int]:
        asked[0] += 1
        return {(number,): 1 for number in range(MOST_ROWS + 50)}

    tree = Tree([table(rows, clock)])
    assert len(walk(tree)) == 2 * MOST_ROWS
    assert asked == [1]
    clock.now = 1.5
    tree.get((*BASE, 2, 1, 2, 1))
    assert asked == [2]


def test_overlapping_branches_are_our_bug() -> None:
    with pytest.raises(ValueError, match="within"):
        Tree([Scalar((1, 2), Syntax.GAUGE32, int), Scalar((1, 2, 3), Syntax.GAUGE32, int)])
