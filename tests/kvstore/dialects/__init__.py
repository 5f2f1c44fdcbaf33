"""Tests of the façades: what each says, without its peer. Beside the peers: tests/interop."""
