"""The ways in and out of the box: listeners, connections and the resolver, on trio."""
