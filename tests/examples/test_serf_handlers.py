"""Event handlers: what scripts are given and what becomes of what they print."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.serf.handlers import (
    OUTPUT_MAX,
    WAITING_MAX,
    Handlers,
    Script,
    environment,
    parse_script,
    standard_input,
)
from examples.serf.happenings import Filter, Happening, kind_of, parse_filters, title
from examples.serf.journal import KEPT, Journal
from serfevents import Change, Member, MembersChanged, QueryReceived, Status, UserEventReceived

VERSIONS = bytes((1, 5, 2, 2, 5, 5))
OWN = Member(
    "a", ("127.0.0.1", 1), {"role": "web", "x-y.1": "2\t3", "é": "ü"}, Status.ALIVE, VERSIONS
)
OTHER = Member("b\tc\n", ("::1", 2), {"role": "d\tb", "n": "1"}, Status.ALIVE, VERSIONS)

JOINED = MembersChanged(Change.JOIN, (OWN, OTHER))
DEPLOY = UserEventReceived(4, "deploy", b"v1", coalesce=True)
LOAD = QueryReceived(77, 9, 12345, "load", b"hi\n", "b", 10.0)


class Host:
    """Handlers on a loop, their log and their responses."""

    def __init__(self, *scripts: str) -> None:
        self.lines: list[str] = []
        self.responses: list[tuple[int, bytes]] = []
        self.refusal = ""
        journal = Journal(clock=lambda: 0.0)
        journal.listen("trace", self.lines.append)
        parsed = [script for text in scripts for script in parse_script(text)]
        self.handlers = Handlers(parsed, lambda: OWN, self._respond, journal)

    def _respond(self, query: int, payload: bytes) -> None:
        if self.refusal:
            raise ValueError(self.refusal)
        self.responses.append((query, payload))

    def run(self, *happenings: Happening, until: Callable[[Host], object]) -> None:
        async def work() -> None:
            task = asyncio.create_task(self.handlers.run())
            for happening in happenings:
                self.handlers.handle(happening)
            async with asyncio.timeout(20.0):
                while not until(self):  # noqa: ASYNC110 - what it waits for is no future
                    await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(work())

    def said(self, text: str) -> bool:
        return any(text in line for line in self.lines)


# --- filters ----------------------------------------------------------------------------------


def test_a_filter_names_a_kind_and_perhaps_a_name() -> None:
    filters = parse_filters("member-join,user:deploy,query,user:a:b")

    expected = (
        Filter("member-join"),
        Filter("user", "deploy"),
        Filter("query"),
        Filter("user", "a:b"),
    )
    assert filters == expected
    assert parse_filters("") == (Filter("*"),)


@pytest.mark.parametrize("text", ["bogus", "member-join:x", "user,", "member"])
def test_a_filter_of_no_kind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no kind of event"):
        parse_filters(text)


def test_a_filter_admits_what_it_names() -> None:
    happenings = (JOINED, DEPLOY, LOAD)

    def admitted(kind: str, name: str = "") -> list[bool]:
        return [Filter(kind, name).admits(each) for each in happenings]

    assert admitted("*") == [True, True, True]
    assert admitted("member-join") == [True, False, False]
    assert admitted("member-leave") == [False, False, False]
    assert admitted("user") == [False, True, False]
    assert admitted("user", "deploy") == [False, True, False]
    assert admitted("user", "other") == [False, False, False]
    assert admitted("query", "load") == [False, False, True]


def test_events_have_serfs_names() -> None:
    assert [kind_of(each) for each in (JOINED, DEPLOY, LOAD)] == ["member-join", "user", "query"]
    titles = [title(each) for each in (JOINED, DEPLOY, LOAD)]
    assert titles == ["member-join", "user-event: deploy", "query: load"]


def test_a_script_is_named_with_what_it_is_for() -> None:
    assert parse_script("x.sh") == (Script(Filter("*"), "x.sh"),)
    assert parse_script("user:a,query=x.sh a=b") == (
        Script(Filter("user", "a"), "x.sh a=b"),
        Script(Filter("query"), "x.sh a=b"),
    )


# --- what a script is given -------------------------------------------------------------------


def test_the_environment_is_serfs() -> None:
    own = {
        "SERF_SELF_NAME": "a",
        "SERF_SELF_ROLE": "web",
        "SERF_TAG_ROLE": "web",
        "SERF_TAG_X_Y_1": "2\t3",
        "SERF_TAG__": "ü",
    }

    assert environment(JOINED, OWN) == {"SERF_EVENT": "member-join", **own}
    assert environment(DEPLOY, OWN) == {
        "SERF_EVENT": "user",
        "SERF_USER_EVENT": "deploy",
        "SERF_USER_LTIME": "4",
        **own,
    }
    assert environment(LOAD, OWN) == {
        "SERF_EVENT": "query",
        "SERF_QUERY_NAME": "load",
        "SERF_QUERY_LTIME": "9",
        **own,
    }


def test_members_are_lines_of_four_words() -> None:
    assert standard_input(JOINED).decode() == (
        "a\t127.0.0.1\tweb\trole=web,x-y.1=2\\t3,é=ü\nb\\tc\\n\t::1\td\\tb\trole=d\\tb,n=1\n"
    )


def test_a_payload_ends_with_a_newline_unless_there_is_none() -> None:
    silent = UserEventReceived(4, "deploy", b"", coalesce=True)

    given = [standard_input(each) for each in (DEPLOY, LOAD, silent)]
    assert given == [b"v1\n", b"hi\n", b""]


# --- running ----------------------------------------------------------------------------------


def test_scripts_run_in_the_order_of_events(tmp_path: Path) -> None:
    file = tmp_path / "out"
    slow = f"sleep 0.2; echo $SERF_EVENT $SERF_SELF_NAME $SERF_USER_EVENT >> {file}"
    host = Host(f"member-join,user={slow}", f"*=wc -l >> {file}", "user:other=false")

    host.run(JOINED, DEPLOY, until=lambda _: file.exists() and file.read_text().count("\n") == 4)

    assert file.read_text().split("\n") == ["member-join a", "2", "user a deploy", "1", ""]


def test_what_a_script_prints_for_a_query_is_the_response() -> None:
    host = Host("query:load=cat; echo err >&2")

    host.run(LOAD, until=lambda host: host.responses)

    assert host.responses == [(77, b"hi\nerr\n")]
    assert host.said("[DEBUG] agent: Event 'query' script output: hi\\nerr\\n")


def test_a_silent_script_responds_nothing() -> None:
    host = Host("query=true")

    host.run(LOAD, until=lambda host: host.said("script output"))

    assert host.responses == []


def test_a_failing_script_responds_nothing() -> None:
    host = Host("query=echo answer; exit 3")

    host.run(LOAD, until=lambda host: host.said("exit status 3"))

    assert host.responses == []
    assert host.said("[ERR] agent: Error invoking script 'echo answer; exit 3': exit status 3")


def test_a_response_that_can_not_be_sent_is_said() -> None:
    host = Host("query=echo answer")
    host.refusal = "too late"

    host.run(LOAD, until=lambda host: host.said("too late"))

    assert host.said("[WARN] agent: Failed to respond to query 'load': too late")


def test_only_the_end_of_much_output_is_kept() -> None:
    host = Host("query=head -c 100000 /dev/zero; echo end")

    host.run(LOAD, until=lambda host: host.responses)

    (_, output), *_ = host.responses
    assert output == bytes(OUTPUT_MAX - 4) + b"end\n"


def test_a_script_that_reads_nothing_runs_all_the_same() -> None:
    host = Host("query=exec 0<&-; echo done")
    large = QueryReceived(78, 9, 12345, "load", bytes(1 << 20), "b", 10.0)

    host.run(large, until=lambda host: host.responses)

    assert host.responses == [(78, b"done\n")]


def test_a_nul_in_a_name_keeps_no_script_from_running() -> None:
    host = Host("query=echo $SERF_QUERY_NAME")
    nul = QueryReceived(79, 9, 12345, "lo\0ad", b"", "b", 10.0)

    host.run(nul, until=lambda host: host.responses)

    assert host.responses == [(79, b"load\n")]


def test_a_slow_script_is_told_of() -> None:
    host = Host("user=sleep 60")

    host.run(DEPLOY, until=lambda host: host.said("slow"))

    assert host.said("[WARN] agent: Script 'sleep 60' slow, execution exceeding 1s")


def test_events_for_slow_scripts_do_not_pile_up() -> None:
    host = Host("user=sleep 60")

    host.run(*[DEPLOY] * (WAITING_MAX + 2), until=lambda host: host.said("Dropping"))

    assert host.said("[WARN] agent: Dropping event for slow scripts: user-event: deploy")


def test_scripts_can_be_changed() -> None:
    host = Host("query=echo old")
    host.handlers.change(parse_script("query=echo new"))

    host.run(LOAD, until=lambda host: host.responses)

    assert host.responses == [(77, b"new\n")]


# --- the log ----------------------------------------------------------------------------------


def test_a_line_has_serfs_form() -> None:
    journal = Journal(clock=lambda: 1_000_000_000.0)
    lines: list[str] = []
    journal.listen("info", lines.append)

    journal.info("agent", "hello")

    (line,) = lines
    assert line[:3] == "200"
    assert line[19:] == " [INFO] agent: hello"


def test_listeners_hear_their_level_and_what_was_before() -> None:
    journal = Journal(clock=lambda: 0.0)
    early: list[str] = []
    late: list[str] = []
    number = journal.listen("WARN", early.append)
    assert (journal.hears("info"), journal.hears("err")) == (False, True)
    for say in (journal.trace, journal.debug, journal.info, journal.warn, journal.error):
        say("a", "x")

    journal.listen("debug", late.append, replay=True)
    journal.change(number, "info")
    journal.info("a", "y")
    journal.forget(number)
    journal.error("a", "z")

    assert [line.split()[2] for line in early] == ["[WARN]", "[ERR]", "[INFO]"]
    assert [line.split()[2] for line in late] == [
        "[DEBUG]",
        "[INFO]",
        "[WARN]",
        "[ERR]",
        "[INFO]",
        "[ERR]",
    ]


def test_only_the_last_lines_are_kept() -> None:
    journal = Journal(clock=lambda: 0.0)
    for number in range(KEPT + 10):
        journal.info("a", str(number))
    lines: list[str] = []

    journal.listen("info", lines.append, replay=True)

    assert (len(lines), lines[0][-2:]) == (KEPT, "10")


def test_an_unknown_level_is_refused_in_serfs_words() -> None:
    with pytest.raises(ValueError, match="Unknown log level: BOGUS"):
        Journal().listen("bogus", print)
