"""The web side: Quart-Trio on Hypercorn."""
