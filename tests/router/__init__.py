"""Routing decisions, without a network."""
