"""What the agent says about itself: one line each, in Serf's form, kept for `serf monitor`.

Deviation: what can't be printed, line ends included, is shown escaped. Serf prints it as it is.

Source: serf's cmd/serf/command/agent/log_writer.go and log_levels.go.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

#: From the most talkative on; the words are those of `-log-level`.
LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERR")

#: Characters of a line beside its time; the name of a query alone may have a hundred thousand.
LINE_MAX = 16 << 10

#: Lines that are kept for those who ask later.
KEPT = 512

Sink = Callable[[str], None]


class Journal:
    """Keep the last lines and give each line to those who listen at its level.

    Args:
        clock: Seconds since 1970, for the time that each line begins with.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._sinks: dict[int, tuple[int, Sink]] = {}
        self._listeners = 0

    def listen(self, level: str, sink: Sink, *, replay: bool = False) -> int:
        """Give `sink` every line from `level` on, with `replay` the kept ones first.

        Returns:
            A number for `change` and `forget`.

        Raises:
            ValueError: There is no such level; the message says so in Serf's words.
        """
        least = rank(level)
        if replay:
            for at, line in self._kept:
                if at >= least:
                    sink(line)
        self._listeners += 1
        self._sinks[self._listeners] = least, sink
        return self._listeners

    def change(self, listener: int, level: str) -> None:
        """Give a listener lines from another level on.

        Raises:
            ValueError: There is no such level.
        """
        self._sinks[listener] = rank(level), self._sinks[listener][1]

    def forget(self, listener: int) -> None:
        """Give a listener nothing any more."""
        self._sinks.pop(listener, None)

    @staticmethod
    def check(level: str) -> None:
        """Refuse an unknown level with `ValueError`."""
        rank(level)

    def hears(self, level: str) -> bool:
        """Return whether anybody listens at a level: what nobody hears need not be composed."""
        return any(least <= rank(level) for least, _ in self._sinks.values())

    def trace(self, source: str, text: str) -> None:
        """Say what happens all the time."""
        self._say("TRACE", source, text)

    def debug(self, source: str, text: str) -> None:
        """Say what only helps to find a fault."""
        self._say("DEBUG", source, text)

    def info(self, source: str, text: str) -> None:
        """Say what an operator likes to know."""
        self._say("INFO", source, text)

    def warn(self, source: str, text: str) -> None:
        """Say what an operator should know."""
        self._say("WARN", source, text)

    def error(self, source: str, text: str) -> None:
        """Say what went wrong."""
        self._say("ERR", source, text)

    def _say(self, level: str, source: str, text: str) -> None:
        # Peers choose names: one must not end the line, forge another, or upset a terminal.
        if len(text) > LINE_MAX:
            text = text[:LINE_MAX] + "..."
        if not text.isprintable():
            text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
        now = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(self._clock()))
        line = f"{now} [{level}] {source}: {text}"
        at = rank(level)
        self._kept.append((at, line))
        for least, sink in list(self._sinks.values()):
            if at >= least:
                sink(line)


def rank(level: str) -> int:
    """Return how urgent a level is.

    Raises:
        ValueError: There is no such level.
    """
    if level.upper() not in LEVELS:
        raise ValueError(f"Unknown log level: {level.upper()}")
    return LEVELS.index(level.upper())
