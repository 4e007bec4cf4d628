"""The control socket of the running box: what is asked of it from the command line, and what it answers.

asking.py is the side that asks, serving.py the side that answers, lock.py keeps a state directory to one box; the
other files are one subject each: what the box does and tells when it is asked for alarms, bans, records and so on.
"""
