"""The doctor: looks at the machine, the network and the configuration for what would keep calls from working.

It changes nothing and runs without a running box too. Each file looks at one subject and yields findings.
"""
