"""What each command does to the state, or why it is refused."""
