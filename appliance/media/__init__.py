"""Media endpoints on sockets: ports, relay, bridge, test lines."""
