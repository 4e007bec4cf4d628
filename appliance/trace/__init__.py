"""What went over the wire: every SIP message in and out, kept in a bounded ring and looked at when somebody asks.

A floor of its own between the ground and the rooms that show it: it knows flows and bytes, and parses nothing before
it is asked.
"""
