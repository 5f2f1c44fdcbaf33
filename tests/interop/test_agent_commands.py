"""The original `serf` command drives our agent: each test is run with theirs and with ours."""

from __future__ import annotations

import base64
import json
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

import msgpack
import pytest
from serfclient.client import SerfClient

from examples.serf.options import OptionError, parse
from memberlist import parse_address
from tests.interop.agents import PATIENCE, SERF, Agent, text, until
from tests.interop.mixed import KINDS, OurAgent, finish, lines, output, recorder

pytestmark = pytest.mark.interop

KEY = bytes(range(32))
NEW_KEY = bytes(range(1, 33))

Start = Callable[..., Agent]


@pytest.fixture(params=KINDS)
def start(request: pytest.FixtureRequest, serf: str, tmp_path: Path) -> Iterator[Start]:
    """Start agents of one kind: `start("one", "-tag=role=web", key=...)`."""
    started: list[Agent] = []
    kind = KINDS[request.param]

    def launch(name: str, *options: str, **settings: object) -> Agent:
        started.append(kind(name, tmp_path, *options, **settings))  # type: ignore[arg-type]
        return started[-1]

    yield launch
    for one in started:
        one.kill()


def pair(start: Start, *options: str, **settings: object) -> tuple[Agent, Agent]:
    """Start two agents, `one` and `two`, that know each other."""
    one = start("one", "-tag=role=web", *options, **settings)
    two = start("two", "-tag=role=db", f"-join={text(one.address)}", *options, **settings)
    for agent in (one, two):
        until(partial(knows_both, agent))
    return one, two


def knows_both(agent: Agent) -> bool:
    return [agent.status(name) for name in ("one", "two")] == ["alive", "alive"]


def test_every_flag_of_theirs_is_known_to_ours(serf: str) -> None:
    """Those that ours leaves out are refused for a reason, and not as unknown."""
    shown = subprocess.run([serf, "agent", "-help"], capture_output=True, text=True, check=False)
    flags = re.findall(r"^  -([a-z-]+)", shown.stdout + shown.stderr, re.MULTILINE)

    refused = {}
    for flag in flags:
        try:
            parse([f"-{flag}=x"])
        except OptionError as error:
            refused[flag] = str(error)

    assert len(flags) > 25
    assert {flag for flag, why in refused.items() if "there is no flag" in why} == set()
    left_out = {flag for flag, why in refused.items() if "is not supported: " in why}
    assert left_out == {"discover", "iface", "syslog"}


# --- members and info -------------------------------------------------------------------------


def test_members_are_listed_in_every_form(start: Start) -> None:
    one, two = pair(start)

    plain = sorted(output(one.cli("members")).splitlines())  # theirs come in any order
    detailed = output(one.cli("members", "-detailed"))
    (web,) = json.loads(output(one.cli("members", "-format=json", "-name=one")))["members"]

    assert [line.split() for line in plain] == [
        ["one", text(one.address), "alive", "role=web"],
        ["two", text(two.address), "alive", "role=db"],
    ]
    assert detailed.count("Protocol Version: 5") == 2
    assert detailed.count("Available Protocol Range: [2, 5]") == 2
    assert web == {
        "name": "one",
        "addr": text(one.address),
        "port": one.address[1],
        "tags": {"role": "web"},
        "status": "alive",
        "protocol": {"max": 5, "min": 2, "version": 5},
    }


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["-tag=role=w.*"], {"one"}),
        (["-tag=role=w"], set()),  # in full
        (["-name=t.o"], {"two"}),
        (["-status=alive"], {"one", "two"}),
        (["-status=failed"], set()),
        (["-status=alive", "-tag=role=db", "-name=o.*"], set()),
    ],
)
def test_members_are_filtered(start: Start, flags: list[str], names: set[str]) -> None:
    one, _ = pair(start)

    found = json.loads(output(one.cli("members", "-format=json", *flags)))["members"]

    assert {member["name"] for member in found or ()} == names


def test_an_expression_that_is_none_is_an_error(start: Start) -> None:
    one = start("one")

    answer = one.cli("members", "-tag=role=(")

    assert answer.returncode == 1
    assert "Error retrieving members" in answer.stdout
    assert set(one.members()) == {"one"}


def test_info_tells_what_operators_ask(start: Start) -> None:
    one, _ = pair(start, "-event-handler=user:deploy=true")

    words = output(one.cli("info"))
    found = json.loads(output(one.cli("info", "-format=json")))

    assert set(found) == {"agent", "runtime", "serf", "tags", "event_handlers"}
    assert found["agent"] == {"name": "one"}
    assert found["tags"] == {"role": "web"}
    assert found["event_handlers"] == {"user:deploy": "true"}
    runtime = {"arch", "cpu_count", "goroutines", "max_procs", "os", "version"}
    assert set(found["runtime"]) == runtime
    assert set(found["serf"]) == {
        "coordinate_resets",
        "encrypted",
        "event_queue",
        "event_time",
        "failed",
        "health_score",
        "intent_queue",
        "left",
        "member_time",
        "members",
        "query_queue",
        "query_time",
    }
    serf = found["serf"]
    assert (serf["members"], serf["failed"], serf["left"]) == ("2", "0", "0")
    assert (serf["encrypted"], serf["health_score"]) == ("false", "0")
    assert "serf:\n\tcoordinate_resets = 0\n\tencrypted = false\n" in words


# --- joining and leaving ----------------------------------------------------------------------


def test_join_says_how_many_were_contacted(start: Start) -> None:
    one, two = start("one"), start("two")

    said = output(one.cli("join", text(two.address)))

    assert said == "Successfully joined cluster by contacting 1 nodes.\n"
    until(lambda: two.status("one") == "alive")


def test_a_join_that_reaches_nobody_is_an_error(start: Start) -> None:
    one = start("one")

    answer = one.cli("join", "127.0.0.1:1", "127.0.0.1:2")

    assert answer.returncode == 1
    assert answer.stdout.startswith(
        "Error joining the cluster: 2 errors occurred:\n\t* Failed to join 127.0.0.1: "
    )


def test_leave_ends_the_agent_and_the_others_know(start: Start) -> None:
    one, two = pair(start)

    said = output(two.cli("leave"))

    assert said == "Graceful leave complete\n"
    assert finish(two.process, PATIENCE) == 0
    until(lambda: one.status("two") == "left")


def test_an_interrupt_is_a_leave(start: Start) -> None:
    one, two = pair(start)

    two.process.send_signal(signal.SIGINT)

    assert finish(two.process, PATIENCE) in (0, 1)  # theirs gives up after three seconds
    until(lambda: one.status("two") == "left")


def test_a_termination_is_none(start: Start) -> None:
    one, two = pair(start)

    two.process.send_signal(signal.SIGTERM)

    assert finish(two.process, PATIENCE) == 1
    until(lambda: one.status("two") == "failed")


def test_force_leave_makes_a_failed_member_left_and_prune_forgets_it(start: Start) -> None:
    one, two = pair(start)
    two.kill()
    until(lambda: one.status("two") == "failed")

    output(one.cli("force-leave", "two"))
    until(lambda: one.status("two") == "left")
    output(one.cli("force-leave", "-prune", "two"))

    until(lambda: one.status("two") == "unknown")


def test_force_leave_of_nobody_is_no_error(start: Start) -> None:
    one = start("one")

    assert output(one.cli("force-leave", "nobody")) == ""


# --- events and queries -----------------------------------------------------------------------


def test_events_reach_the_handlers_of_all(start: Start, tmp_path: Path) -> None:
    script, out = recorder(tmp_path, "seen")
    one, _ = pair(start, f"-event-handler=user:deploy={script}")

    said = output(one.cli("event", "deploy", "v1"))
    output(one.cli("event", "other", "v1"))

    assert said == "Event 'deploy' dispatched! Coalescing enabled: true\n"
    until(lambda: lines(out) == ["user deploy v1;"] * 2)


def test_an_event_that_is_too_large_is_refused(start: Start) -> None:
    one = start("one")

    answer = one.cli("event", "deploy", "x" * 600)

    assert answer.returncode == 1
    assert answer.stdout == (
        "Error sending event: user event exceeds configured limit of 512 bytes before encoding\n"
    )


def test_member_events_name_the_members(start: Start, tmp_path: Path) -> None:
    script, out = recorder(tmp_path, "seen")
    pair(start, f"-event-handler=member-join={script}")

    until(lambda: any("two,127.0.0.1,db,role=db;" in line for line in lines(out)))
    until(lambda: any("one,127.0.0.1,web,role=web;" in line for line in lines(out)))


def test_a_query_is_acknowledged_and_answered(start: Start) -> None:
    one, _ = pair(start, "-event-handler=query:load=echo $SERF_SELF_NAME $(cat)")

    found = json.loads(output(one.cli("query", "-format=json", "load", "p")))

    assert set(found["Acks"]) == {"one", "two"}
    assert found["Responses"] == {"one": "one p\n", "two": "two p\n"}


def test_a_query_in_words(start: Start) -> None:
    one, _ = pair(start, "-event-handler=query:load=echo $SERF_SELF_NAME")

    said = output(one.cli("query", "-node=two", "-timeout=2s", "load"))

    assert said.splitlines() == [
        "Query 'load' dispatched",
        "Ack from 'two'",
        "Response from 'two': two",
        "Total Acks: 1",
        "Total Responses: 1",
    ]


@pytest.mark.parametrize(
    ("flags", "acks"),
    [
        (["-tag=role=d"], {"two"}),
        (["-tag=role=^w.b$", "-node=one"], {"one"}),
        (["-node=nobody"], set()),
        (["-no-ack"], set()),
        (["-relay-factor=1"], {"one", "two"}),
    ],
)
def test_a_query_is_filtered(start: Start, flags: list[str], acks: set[str]) -> None:
    one, _ = pair(start)

    found = json.loads(output(one.cli("query", "-format=json", "-timeout=1s", *flags, "load")))

    assert set(found["Acks"] or ()) == acks


def test_a_query_with_an_expression_that_is_none_finds_nobody(start: Start) -> None:
    """Theirs asks all the same and waits for nobody; ours says so at once."""
    one = start("one")

    answer = one.cli("query", "-format=json", "-timeout=1s", "-tag=role=(", "load")

    if isinstance(one, OurAgent):
        assert answer.returncode == 1
        assert answer.stdout.startswith("Error sending query: missing-parenthesis")
    else:
        assert json.loads(output(answer)) == {"Acks": None, "Responses": {}}


def test_queries_that_are_too_large_or_reserved_are_refused(start: Start) -> None:
    one = start("one")

    large = one.cli("query", "load", "x" * 1100)
    reserved = one.cli("query", "_serf_conflict", "one")

    assert (large.returncode, reserved.returncode) == (1, 1)
    assert large.stdout == "Error sending query: query exceeds limit of 1024 bytes\n"
    assert reserved.stdout == ("Error sending query: Queries cannot contain the '_serf_' prefix\n")


def test_reachability_contacts_everybody(start: Start) -> None:
    one, _ = pair(start)

    said = output(one.cli("reachability", "-verbose"))

    assert "Total members: 2, live members: 2\n" in said
    assert "Successfully contacted all live nodes\n" in said
    assert set(re.findall("Ack from '(.*)'", said)) == {"one", "two"}


# --- tags, coordinates, keys ------------------------------------------------------------------


def test_tags_are_set_and_deleted(start: Start) -> None:
    one, two = pair(start)

    said = output(one.cli("tags", "-set=a=1", "-set=b=2", "-delete=role", "-delete=none"))

    assert said == "Successfully updated agent tags\n"
    assert one.members()["one"]["tags"] == {"a": "1", "b": "2"}
    until(lambda: two.members()["one"]["tags"] == {"a": "1", "b": "2"})


def test_tags_that_are_too_large_are_refused(start: Start) -> None:
    one = start("one", "-tag=role=web")

    answer = one.cli("tags", f"-set=a={'x' * 600}")

    assert answer.returncode == 1
    assert "Encoded length of tags exceeds limit of 512 bytes" in answer.stdout
    assert one.members()["one"]["tags"] == {"role": "web"}


def test_tags_survive_a_restart_in_their_file(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "tags"
    first = start("one", f"-tags-file={file}")
    output(first.cli("tags", "-set=a=1"))
    first.kill()

    again = start("one", f"-tags-file={file}")

    assert json.loads(file.read_text()) == {"a": "1"}
    assert again.members()["one"]["tags"] == {"a": "1"}


def test_round_trip_times_are_estimated(start: Start) -> None:
    one, _ = pair(start)

    until(lambda: one.cli("rtt", "two").returncode == 0)
    said = output(one.cli("rtt", "two", "one"))
    unknown = one.cli("rtt", "nobody")

    estimate = re.fullmatch(r"Estimated two <-> one rtt: ([\d.]+) ms\n", said)
    assert estimate is not None
    assert float(estimate[1]) < 100
    assert unknown.returncode == 1
    assert 'Could not find a coordinate for node "nobody"' in unknown.stdout


def test_keys_are_rotated_everywhere(start: Start) -> None:
    old, new = (base64.b64encode(key).decode() for key in (KEY, NEW_KEY))
    one, two = pair(start, key=KEY, keyring=True)

    assert f"{old}  [2/2]" in output(one.cli("keys", "-list"))
    assert "Successfully installed key!" in output(one.cli("keys", f"-install={new}"))
    assert "Successfully changed primary key!" in output(one.cli("keys", f"-use={new}"))
    in_use = one.cli("keys", f"-remove={new}")
    assert "Successfully removed key!" in output(one.cli("keys", f"-remove={old}"))
    listed = output(one.cli("keys", "-list"))

    assert in_use.returncode == 1
    assert "2/2 nodes reported failure" in in_use.stdout
    assert in_use.stdout.count("Removing the primary key is not allowed") == 2
    assert f"{new}  [2/2]" in listed
    assert old not in listed
    assert (one.keys(), two.keys()) == ([NEW_KEY], [NEW_KEY])
    assert one.info("encrypted") == "true"


def test_keys_that_are_none_are_refused(start: Start) -> None:
    one = start("one", key=KEY)

    no_base64 = one.cli("keys", "-install=!!")
    too_short = one.cli("keys", "-install=AAAA")
    unknown = one.cli("keys", f"-use={base64.b64encode(NEW_KEY).decode()}")

    assert no_base64.returncode == 1
    assert "illegal base64 data" in no_base64.stdout
    assert "key size must be 16, 24 or 32 bytes" in too_short.stdout
    assert "Requested key is not in the keyring" in unknown.stdout


def test_without_encryption_there_are_no_keys(start: Start) -> None:
    one = start("one")

    listed = one.cli("keys", "-list")
    installed = one.cli("keys", f"-install={base64.b64encode(NEW_KEY).decode()}")

    assert (listed.returncode, installed.returncode) == (1, 1)
    assert "Keyring is empty (encryption not enabled)" in listed.stdout
    assert "No keyring to modify (encryption not enabled)" in installed.stdout


def test_a_generated_key_works(start: Start) -> None:
    assert SERF is not None
    made = subprocess.run([SERF, "keygen"], capture_output=True, text=True, check=True)

    one = start("one", key=base64.b64decode(made.stdout))

    assert made.stdout.strip() in output(one.cli("keys", "-list"))


# --- RPC --------------------------------------------------------------------------------------


def test_a_monitor_gets_what_was_and_what_is_said(start: Start) -> None:
    assert SERF is not None
    one = start("one")
    line = [SERF, "monitor", f"-rpc-addr={one.rpc}", "-log-level=debug"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as monitor:
        assert monitor.stdout is not None
        shown = iter(monitor.stdout.readline, "")

        assert any("[INFO] agent: Serf agent starting" in said for said in shown)
        assert any("EventMemberJoin: one 127.0.0.1" in said for said in shown)
        output(one.cli("event", "deploy", "v1"))
        assert any("Received event: user-event: deploy" in said for said in shown)
        monitor.kill()


def test_a_monitor_of_an_unknown_level_is_refused(start: Start) -> None:
    one = start("one")

    answer = one.cli("monitor", "-log-level=bogus")

    assert answer.returncode == 1
    assert "Unknown log level: BOGUS" in answer.stdout


def test_a_key_keeps_strangers_out(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"rpc_auth": "secret"}))
    monkeypatch.setenv("SERF_RPC_AUTH", "secret")
    one = start("one", f"-config-file={file}")

    assert output(one.cli("members")).startswith("one")
    monkeypatch.setenv("SERF_RPC_AUTH", "wrong")
    assert "Invalid authentication token" in one.cli("members").stdout
    monkeypatch.delenv("SERF_RPC_AUTH")
    assert "Authentication required" in one.cli("members").stdout


def test_another_client_gets_along(start: Start) -> None:
    one, two = pair(start)
    host, port = parse_address(one.rpc, 7373)
    client, listener = SerfClient(host, port), SerfClient(host, port)
    stream = listener.stream("user:deploy").body

    members = client.members()
    filtered = client.members(name="t.*", status="alive", tags={"role": "db"})
    stats = client.stats()
    event = client.event("deploy", "v1", coalesce=False)
    told = next(iter(stream))
    joined = client.join(text(two.address))
    forced = client.force_leave("nobody")
    client.close()
    listener.close()

    assert {member["Name"] for member in members.body["Members"]} == {"one", "two"}
    assert [member["Addr"] for member in filtered.body["Members"]] == [b"\x7f\0\0\x01"]
    assert stats.body["agent"] == {"name": "one"}
    assert event.head["Error"] == ""
    assert (told.body["Name"], told.body["Payload"]) == ("deploy", b"v1")
    assert joined.body == {"Num": 1}
    assert forced.head["Error"] == ""


def test_a_client_answers_queries_of_its_stream(start: Start) -> None:
    one, two = pair(start)
    host, port = parse_address(one.rpc, 7373)
    listener = SerfClient(host, port, timeout=10)
    stream = iter(listener.stream("query:load").body)
    line = [SERF or "serf", "query", f"-rpc-addr={two.rpc}", "-format=json", "-timeout=3s", "load"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as query:
        told = next(stream).body
        responder = SerfClient(host, port)
        unknown = responder.connection.call("respond", {"ID": 99, "Payload": b"x"}, False)
        header = msgpack.packb({"Command": "respond", "Seq": 77})
        body = msgpack.packb({"ID": told["ID"], "Payload": b"mine"})
        listener.connection._socket.sendall(header + body)
        answered, _ = query.communicate(timeout=PATIENCE)
    responder.close()
    listener.close()

    assert json.loads(answered)["Responses"] == {"one": "mine"}
    assert unknown.head["Error"] == "No pending queries matching ID"


def test_hostile_clients_harm_nobody(start: Start, seed: int) -> None:
    one = start("one")
    address = parse_address(one.rpc, 7373)
    rng = Random(seed)
    handshake = msgpack.packb({"Command": "handshake", "Seq": 0}) + msgpack.packb({"Version": 1})

    for attempt in range(30):
        with socket.create_connection(address) as client:
            if attempt % 2:
                client.sendall(handshake)
            client.sendall(rng.randbytes(rng.randrange(1, 2000)))

    assert set(one.members()) == {"one"}
