"""The replicated state: what the store is made of, and what must always hold in it."""
