"""The text console of a Jackfield image: 80 by 24, for a VGA screen and a serial line alike.

screen.py draws what facts.py found out, terminal.py knows keys and escape codes, menu.py what the numbers do. It runs
as the user jackfield and asks the running box and boxd for everything.
"""
