"""Transcripts: a command, a line of dashes, and everything that happened.

A block is lines of comment that start with `#`, commands, a line of dashes, and what the commands
showed. Blocks are separated by blank lines. What commands mean is the caller's.
"""

import re
from collections.abc import Callable

DASHES = "----"


def replay(text: str, do: Callable[[str], list[str]]) -> str:
    """Return a script with what its commands show now."""
    shown: list[str] = []
    for block in re.split(r"\n{2,}", text.strip()):
        head = block.partition(f"\n{DASHES}")[0].splitlines()
        shown += head
        commands = [line for line in head if not line.startswith("#")]
        if commands:
            shown.append(DASHES)
            shown += [line for command in commands for line in do(command)]
        shown.append("")
    return "\n".join(shown).rstrip() + "\n"
