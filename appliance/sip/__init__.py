"""SIP without sockets: bytes and a clock in, bytes and events out."""
