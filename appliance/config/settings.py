"""The whole configuration as one frozen object, and the table of its sections."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import attrs

from .accounts import AccountSettings
from .admission import GuardSettings, LimitSettings, PrioritySettings, RefusalSettings
from .alarm_outlets import MailSettings, WebhookSettings
from .alarms import AlarmSettings
from .dialplan import LineSettings, TrunkSettings, UserSettings
from .enum import EnumSettings
from .groups import GroupSettings
from .health import HealthSettings
from .hep import HepSettings
from .log import LogSettings, SyslogSettings
from .machine import ConsoleSettings, InterfaceSettings, TimeSettings
from .mistakes import Place
from .numbers import NumberList, NumbersSettings
from .qos import QosSettings
from .quality import QualitySettings
from .records import RecordsSettings
from .report import ReportSettings
from .rewriting import NumberPlanSettings, RulesSettings
from .routes import RouteSettings, TableSettings
from .schedule import LocationSettings, ScheduleSettings
from .secret import Secret
from .sections import (
    ApplianceSettings,
    ListenerSettings,
    MediaSettings,
    RegistrarSettings,
    SipSettings,
    StorageSettings,
    WebSettings,
)
from .security import AclSettings, SecuritySettings
from .selftest import SelfTestSettings
from .session_timers import SessionTimerSettings
from .snmp import SnmpSettings
from .stir import StirSettings
from .trace import TraceSettings

V = TypeVar("V")


def _ordered(sections: Mapping[str, V]) -> Mapping[str, V]:
    return MappingProxyType({name: sections[name] for name in sorted(sections)})


@attrs.frozen
class Written:
    """One setting as it stands in a file, e.g. ("[user 1001]", "display-name", …); `text` hides what is secret."""

    section: str
    key: str
    text: str
    place: Place


@attrs.frozen(kw_only=True)
class Settings:
    """What runs. Named sections come in the order of their names; all defaults make an empty box."""

    appliance: ApplianceSettings = attrs.field(factory=ApplianceSettings)
    sip: SipSettings = attrs.field(factory=SipSettings)
    registrar: RegistrarSettings = attrs.field(factory=RegistrarSettings)
    media: MediaSettings = attrs.field(factory=MediaSettings)
    log: LogSettings = attrs.field(factory=LogSettings)
    syslogs: Mapping[str, SyslogSettings] = attrs.field(factory=dict, converter=_ordered)
    webhooks: Mapping[str, WebhookSettings] = attrs.field(factory=dict, converter=_ordered)
    mails: Mapping[str, MailSettings] = attrs.field(factory=dict, converter=_ordered)
    alarms: AlarmSettings = attrs.field(factory=AlarmSettings)
    qos: QosSettings = attrs.field(factory=QosSettings)
    security: SecuritySettings = attrs.field(factory=SecuritySettings)
    web: WebSettings = attrs.field(factory=WebSettings)
    accounts: Mapping[str, AccountSettings] = attrs.field(factory=dict, converter=_ordered)
    storage: StorageSettings = attrs.field(factory=StorageSettings)
    listeners: Mapping[str, ListenerSettings] = attrs.field(factory=dict, converter=_ordered)
    users: Mapping[str, UserSettings] = attrs.field(factory=dict, converter=_ordered)
    trunks: Mapping[str, TrunkSettings] = attrs.field(factory=dict, converter=_ordered)
    health: Mapping[str, HealthSettings] = attrs.field(factory=dict, converter=_ordered)
    enums: Mapping[str, EnumSettings] = attrs.field(factory=dict, converter=_ordered)
    qualities: Mapping[str, QualitySettings] = attrs.field(factory=dict, converter=_ordered)
    groups: Mapping[str, GroupSettings] = attrs.field(factory=dict, converter=_ordered)
    routes: Mapping[str, RouteSettings] = attrs.field(factory=dict, converter=_ordered)
    tables: Mapping[str, TableSettings] = attrs.field(factory=dict, converter=_ordered)
    numbers: Mapping[str, NumbersSettings] = attrs.field(factory=dict, converter=_ordered)
    schedules: Mapping[str, ScheduleSettings] = attrs.field(factory=dict, converter=_ordered)
    locations: Mapping[str, LocationSettings] = attrs.field(factory=dict, converter=_ordered)
    lines: Mapping[str, LineSettings] = attrs.field(factory=dict, converter=_ordered)
    limits: Mapping[str, LimitSettings] = attrs.field(factory=dict, converter=_ordered)
    refusals: Mapping[str, RefusalSettings] = attrs.field(factory=dict, converter=_ordered)
    priority: PrioritySettings = attrs.field(factory=PrioritySettings)
    rules: Mapping[str, RulesSettings] = attrs.field(factory=dict, converter=_ordered)
    numberplans: Mapping[str, NumberPlanSettings] = attrs.field(factory=dict, converter=_ordered)
    stir: StirSettings = attrs.field(factory=StirSettings)
    acls: Mapping[str, AclSettings] = attrs.field(factory=dict, converter=_ordered)
    number_lists: Mapping[str, NumberList] = attrs.field(factory=dict, eq=False, repr=False)
    """What the files of `numbers` hold, by name."""
    written: tuple[Written, ...] = attrs.field(default=(), eq=False, repr=False)
    """What the files say, line by line, in the order of SECTIONS; the rest is defaults."""
    guards: GuardSettings = attrs.field(factory=GuardSettings)
    session_timers: SessionTimerSettings = attrs.field(factory=SessionTimerSettings)
    trace: TraceSettings = attrs.field(factory=TraceSettings)
    heps: Mapping[str, HepSettings] = attrs.field(factory=dict, converter=_ordered)
    snmp: SnmpSettings = attrs.field(factory=SnmpSettings)
    records: RecordsSettings = attrs.field(factory=RecordsSettings)
    reports: Mapping[str, ReportSettings] = attrs.field(factory=dict, converter=_ordered)
    selftest: SelfTestSettings = attrs.field(factory=SelfTestSettings)
    interfaces: Mapping[str, InterfaceSettings] = attrs.field(factory=dict, converter=_ordered)
    time: TimeSettings = attrs.field(factory=TimeSettings)
    console: ConsoleSettings = attrs.field(factory=ConsoleSettings)

    def with_passwords(self, passwords: Mapping[str, Secret]) -> Settings:
        """The same with the given passwords, keyed by user, for the users whose password is auto."""
        users: Any = {
            name: attrs.evolve(user, password=passwords[name])
            if user.password is None and not user.has_hash and name in passwords
            else user
            for name, user in self.users.items()
        }
        return attrs.evolve(self, users=users)

    @property
    def users_without_password(self) -> tuple[str, ...]:
        """Users whose password is to be made at first start."""
        return tuple(n for n, user in self.users.items() if user.password is None and not user.has_hash)


@attrs.frozen
class SectionKind:
    """How a kind of section is headed in the files and where it lives in Settings.

    named: the heading carries a name, [user 1001], and there may be many of them.
    restart: a section added or taken away needs a restart.
    """

    heading: str
    attribute: str
    settings: type[Any]
    named: bool = False
    restart: bool = False

    def title(self, name: str = "") -> str:
        return f"[{self.heading} {name}]" if self.named else f"[{self.heading}]"


SECTIONS: Final = (
    SectionKind("appliance", "appliance", ApplianceSettings),
    SectionKind("listener", "listeners", ListenerSettings, named=True, restart=True),
    SectionKind("sip", "sip", SipSettings),
    SectionKind("registrar", "registrar", RegistrarSettings),
    SectionKind("media", "media", MediaSettings),
    SectionKind("log", "log", LogSettings),
    SectionKind("syslog", "syslogs", SyslogSettings, named=True),
    SectionKind("alarms", "alarms", AlarmSettings),
    SectionKind("webhook", "webhooks", WebhookSettings, named=True),
    SectionKind("mail", "mails", MailSettings, named=True),
    SectionKind("qos", "qos", QosSettings),
    SectionKind("user", "users", UserSettings, named=True),
    SectionKind("trunk", "trunks", TrunkSettings, named=True),
    SectionKind("health", "health", HealthSettings, named=True),
    SectionKind("quality", "qualities", QualitySettings, named=True),
    SectionKind("group", "groups", GroupSettings, named=True),
    SectionKind("enum", "enums", EnumSettings, named=True),
    SectionKind("route", "routes", RouteSettings, named=True),
    SectionKind("table", "tables", TableSettings, named=True),
    SectionKind("numbers", "numbers", NumbersSettings, named=True),
    SectionKind("schedule", "schedules", ScheduleSettings, named=True),
    SectionKind("location", "locations", LocationSettings, named=True),
    SectionKind("line", "lines", LineSettings, named=True),
    SectionKind("limit", "limits", LimitSettings, named=True),
    SectionKind("refusal", "refusals", RefusalSettings, named=True),
    SectionKind("priority", "priority", PrioritySettings),
    SectionKind("rules", "rules", RulesSettings, named=True),
    SectionKind("numberplan", "numberplans", NumberPlanSettings, named=True),
    SectionKind("acl", "acls", AclSettings, named=True),
    SectionKind("security", "security", SecuritySettings),
    SectionKind("guards", "guards", GuardSettings),
    SectionKind("stir", "stir", StirSettings),
    SectionKind("session-timers", "session_timers", SessionTimerSettings),
    SectionKind("snmp", "snmp", SnmpSettings),
    SectionKind("selftest", "selftest", SelfTestSettings),
    SectionKind("web", "web", WebSettings),
    SectionKind("account", "accounts", AccountSettings, named=True),
    SectionKind("storage", "storage", StorageSettings),
    SectionKind("trace", "trace", TraceSettings),
    SectionKind("hep", "heps", HepSettings, named=True),
    SectionKind("records", "records", RecordsSettings),
    SectionKind("report", "reports", ReportSettings, named=True),
    SectionKind("interface", "interfaces", InterfaceSettings, named=True),
    SectionKind("time", "time", TimeSettings),
    SectionKind("console", "console", ConsoleSettings),
)
