"""The self-test: a small user agent that calls the running box through its own listeners, over real sockets.

What it needs to know it gets in a Permission; what it found is a Report. It runs in the box or in a process of its own.
"""
