"""Real peers, driven on loopback."""
