"""Flows and listeners on trio: UDP, TCP, TLS, WS, WSS, and the RFC 3263 resolver."""
