"""The whole state as a stream of bytes, and back."""
