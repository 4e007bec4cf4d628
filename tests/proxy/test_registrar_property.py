"""Random lives of phones against a model that is a dictionary (RFC 3261 §10.3), with restarts in between."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from appliance.proxy.gruu import TemporaryGruus
from appliance.proxy.location import Location
from appliance.proxy.registrar import Registrar, RegistrarOptions
from appliance.sip.message import Response
from appliance.storage.bindings import BindingChange, BindingRow, BindingSource, Done
from tests.proxy.desk import KEY, NOW, Wire, register_request

AORS = ("sip:alice@example.com", "sip:bob@example.com")
HOSTS = ("192.0.2.7", "10.0.0.1", "phone.example.net", "a1b2.invalid")
LIMIT = 3

aors = st.sampled_from(AORS)
contacts = st.builds("sip:{}@{}".format, st.sampled_from("ab"), st.sampled_from(HOSTS))
call_ids = st.sampled_from(("1", "2"))
cseqs = st.integers(1, 12)
flows = st.sampled_from(
    [Wire("UDP"), Wire("UDP", ("192.0.2.8", 5060)), Wire("TCP", id="tcp"), Wire("WS", id="ws"), Wire("WSS", id="wss")]
)
wishes = st.lists(st.tuples(contacts, st.sampled_from((0, 30, 60, 600, 10_000))), min_size=1, max_size=3)


class MirrorBindings:
    """A store that is a dictionary."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], BindingRow] = {}

    def attach(self, source: BindingSource) -> None:
        source.restore(list(self.rows.values()))

    def write(self, changes: Sequence[BindingChange], done: Done) -> None:
        for aor, key, row in changes:
            if row is None:
                del self.rows[aor, key]
            else:
                self.rows[aor, key] = row
        done(None)


@attrs.define
class Known:
    """What the model holds of one contact."""

    expires_at: float
    call_id: str
    cseq: int
    flow: Wire
    refreshed_at: float
    lost: bool = False

    def lives_by_its_flow(self, contact: str) -> bool:
        host = contact.partition("@")[2]
        if self.flow.transport in ("WS", "WSS") or host.endswith(".invalid"):
            return True
        return self.flow.transport == "TCP" and host[0].isdigit() and host != self.flow.remote[0]


class Life(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.store = MirrorBindings()
        self.model: dict[str, dict[str, Known]] = {aor: {} for aor in AORS}
        self.start()

    def start(self) -> None:
        gruus = TemporaryGruus(KEY)
        self.location = Location(gruus)
        options = RegistrarOptions(max_contacts=LIMIT)
        self.registrar = Registrar(self.location, self.store, options, gruus)

    def ask(self, aor: str, flow: Wire, call_id: str, cseq: int, *headers: str) -> Response:
        replies: list[Response] = []
        request = register_request(*headers, call_id=call_id, cseq=cseq, aor=aor)
        self.registrar.register(request, flow, aor, self.now, replies.append)
        (reply,) = replies
        return reply

    @rule(aor=aors, flow=flows, call_id=call_ids, cseq=cseqs, wishes=wishes)
    def register(self, aor: str, flow: Wire, call_id: str, cseq: int, wishes: list[tuple[str, int]]) -> None:
        answer = self.ask(aor, flow, call_id, cseq, *(f"Contact: <{uri}>;expires={s}" for uri, s in wishes))
        after = dict(self.living(aor))
        mine: set[str] = set()
        for contact, expires_s in wishes:
            if 0 < expires_s < 60:
                assert answer.status == 423
                return
            old = after.get(contact)
            if old is not None and contact not in mine and old.call_id == call_id and old.cseq >= cseq:
                assert answer.status == 500
                return
            after.pop(contact, None)
            if expires_s:
                mine.add(contact)
                after[contact] = Known(self.now + min(expires_s, 7200), call_id, cseq, flow, self.now)
        lost = [c for _, c in sorted((known.refreshed_at, c) for c, known in after.items() if known.lost)]
        if len(after) > LIMIT:
            if len(after) - len(lost) > LIMIT and mine:
                assert answer.status == 403
                return
            for contact in lost[: len(after) - LIMIT]:
                del after[contact]
        assert answer.status == 200
        self.model[aor] = after
        listed = {line.partition(">")[0][1:] for line in answer.get_all("contact")}
        assert listed == set(after)

    @rule(aor=aors, call_id=call_ids, cseq=cseqs)
    def remove_all(self, aor: str, call_id: str, cseq: int) -> None:
        late = any(known.call_id == call_id and known.cseq >= cseq for known in self.living(aor).values())
        answer = self.ask(aor, Wire(), call_id, cseq, "Contact: *", "Expires: 0")
        assert answer.status == (500 if late else 200)
        if not late:
            self.model[aor] = {}

    @rule(seconds=st.sampled_from((1, 59, 60, 61, 601, 7200)))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def sweep(self) -> None:
        self.registrar.expire(self.now)
        assert self.location.count == sum(len(self.living(aor)) for aor in AORS)

    @rule(flow=flows.filter(lambda flow: flow.transport != "UDP"))
    def flow_closes(self, flow: Wire) -> None:
        self.registrar.flow_closed(flow)
        for known in self.model.values():
            for contact, one in list(known.items()):
                if one.flow is flow and not one.lost and one.lives_by_its_flow(contact):
                    del known[contact]

    @rule()
    def restart(self) -> None:
        self.start()
        for known in self.model.values():
            for contact, one in known.items():
                if one.flow.transport != "UDP" and one.lives_by_its_flow(contact):
                    one.lost = True

    def living(self, aor: str) -> dict[str, Known]:
        return {contact: known for contact, known in self.model[aor].items() if known.expires_at > self.now}

    @invariant()
    def what_is_called_is_what_the_model_has(self) -> None:
        for aor in AORS:
            called = {b.contact: b.expires_at for b in self.location.bindings(aor, self.now)}
            assert called == {uri: known.expires_at for uri, known in self.living(aor).items() if not known.lost}

    @invariant()
    def the_store_follows_memory(self) -> None:
        # A restart ends flows without writing so: the flow of a connection means nothing to the next process.
        def told(row: BindingRow) -> BindingRow:
            return row if row.transport == "UDP" else row._replace(flow_id="")

        assert sorted(map(told, self.store.rows.values())) == sorted(map(told, self.registrar.rows()))


Life.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
