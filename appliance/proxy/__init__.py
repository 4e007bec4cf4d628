"""The SIP core on top of the transaction layer: forwarding, registrar, calls."""
