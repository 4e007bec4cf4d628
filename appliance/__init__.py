"""Jackfield: a SIP network appliance. Floors and rooms are guarded by tests/test_floors.py."""

__version__ = "0.1.0"
