"""The examples do what they say: the drivers on real loopback sockets, the scripts as processes."""
