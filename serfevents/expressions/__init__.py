"""Tag expressions: regular expressions as Go has them, at a bounded cost."""
