"""Access control: who may do what, as in Consul."""
