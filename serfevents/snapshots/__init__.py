"""What a member remembers across a restart, in Serf's file format."""
