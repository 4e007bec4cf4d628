"""The running box as those see it who look after it: SNMP's tables and figures, the trace for HEP, alarms, support.

alarm_watch.py measures and raises alarms; snmp_*.py read core, metrics and alarms as rows and cells, hep_view.py the
trace as packets, for the outlets that speak the protocols; web_view.py is what the pages ask of files and machine;
support.py the bundle for those who help from afar.
"""
