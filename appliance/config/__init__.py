"""Ground: the configuration of the appliance, declared once and read from INI drop-ins.

setting.py declares one setting, kinds.py and patch.py read values, sections.py and dialplan.py are the
sections, settings.py is the whole. This room reads files and nothing else: no sockets, no trio.
"""

from .dialplan import LineKind, LineSettings, Profile, RouteSettings, TrunkSettings, UserSettings
from .kinds import Span
from .patch import Gateway, Match, MatchKind, Target, TargetKind
from .qos import QosSettings
from .secret import Secret
from .sections import (
    Anchor,
    ApplianceSettings,
    ClientCertificate,
    DigestAlgorithm,
    ListenerSettings,
    LogLevel,
    MediaSettings,
    RegistrarSettings,
    SipSettings,
    StorageSettings,
    Synchronous,
    Transport,
    WebSettings,
)
from .security import AclSettings, SecuritySettings
from .settings import SECTIONS, SectionKind, Settings

__all__ = [
    "SECTIONS",
    "AclSettings",
    "Anchor",
    "ApplianceSettings",
    "ClientCertificate",
    "DigestAlgorithm",
    "Gateway",
    "LineKind",
    "LineSettings",
    "ListenerSettings",
    "LogLevel",
    "Match",
    "MatchKind",
    "MediaSettings",
    "Profile",
    "QosSettings",
    "RegistrarSettings",
    "RouteSettings",
    "Secret",
    "SectionKind",
    "SecuritySettings",
    "Settings",
    "SipSettings",
    "Span",
    "StorageSettings",
    "Synchronous",
    "Target",
    "TargetKind",
    "Transport",
    "TrunkSettings",
    "UserSettings",
    "WebSettings",
]
