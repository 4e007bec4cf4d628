"""SNMP: a sub-agent (AgentX, RFC 2741) of the machine's snmpd, its MIB and its notifications."""
