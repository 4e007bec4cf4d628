"""Routing decisions: synchronous, pure, explained."""
