"""Floor 3: who may sign in to the web side, as what, and the log of what they did."""
