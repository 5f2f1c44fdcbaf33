"""Many seeds or many members in virtual time."""
