"""The layout, as rules over the source: independence, purity, sizes, exports, copies.

It reads source with `ast` and runs none of it, except for `__all__`. A package of the five is
looked at as soon as its folder has a module; what it must add here is one line in each of
`EXPORTS` and, if it needs less than others, `THIRD_PARTY`.
"""

from __future__ import annotations

import ast
import importlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FIVE = ("memberlist", "serfevents", "vivaldi", "raft", "kvstore")

PACKAGES = [name for name in FIVE if any((ROOT / name).glob("*.py"))]

# What a package offers, exactly. A name leaves or joins its list here, in the same commit.
EXPORTS: dict[str, tuple[str, ...]] = {
    "memberlist": (
        "AccusationRefuted",
        "Address",
        "BroadcastFinished",
        "BroadcastOutcome",
        "CloseStream",
        "Config",
        "DecodeError",
        "Effect",
        "Event",
        "Evidence",
        "HealthChanged",
        "JoinFinished",
        "Keyring",
        "KeyringError",
        "MemberFailed",
        "MemberForgotten",
        "MemberJoined",
        "MemberLeft",
        "MemberRefuted",
        "MemberSuspected",
        "MemberUpdated",
        "Memberlist",
        "MemberlistError",
        "MemberlistLeft",
        "MergeRefused",
        "MessageDelivered",
        "MessageFailed",
        "MessageReceived",
        "NameConflict",
        "Node",
        "NodeRefused",
        "NodeState",
        "NotRunning",
        "OpenStream",
        "Output",
        "PacketRejected",
        "PayloadTooLarge",
        "PingCompleted",
        "PingFailed",
        "ProbeFailed",
        "ProbeRecord",
        "QueueFull",
        "SeedOutcome",
        "SendDatagram",
        "SendStream",
        "Stats",
        "StreamRejected",
        "SuspicionConfirmed",
        "UnknownMember",
        "UserStateReceived",
        "parse_address",
    ),
    "memberlist.testing": (
        "Birth",
        "Cluster",
        "Detection",
        "InvariantBroken",
        "Invariants",
        "Network",
        "describe",
        "make_memberlist",
    ),
    "serfevents": (
        "Address",
        "Broadcast",
        "Change",
        "ChangeKeyring",
        "Config",
        "DecodeError",
        "Effect",
        "Event",
        "InvalidExpression",
        "KeyChange",
        "KeysAnswered",
        "Kind",
        "LeaveMembership",
        "Left",
        "Member",
        "MembersChanged",
        "NameConflictDecided",
        "NameConflictSeen",
        "NotRunning",
        "Output",
        "PayloadRejected",
        "PayloadTooLarge",
        "QueryAcknowledged",
        "QueryAnswered",
        "QueryFinished",
        "QueryReceived",
        "QueueFull",
        "Reconnect",
        "Recovered",
        "Rejoin",
        "Remember",
        "Rotation",
        "RotationAdvanced",
        "RotationRunning",
        "RotationStopped",
        "SendReply",
        "SerfEvents",
        "SerfEventsError",
        "Stage",
        "Stats",
        "Status",
        "TagExpression",
        "UnknownQuery",
        "UnsupportedVersion",
        "UpdateMeta",
        "UserEventReceived",
        "compile_expression",
        "decode_tags",
        "default_query_timeout",
        "encode_tags",
        "is_valid_name",
    ),
    "serfevents.testing": (
        "Birth",
        "Cluster",
        "GossipQueue",
        "Host",
        "InvariantBroken",
        "Invariants",
        "MessageType",
        "Network",
        "Report",
        "make_serfevents",
    ),
    "raft": (
        "AddLearner",
        "AddVoter",
        "AddWitness",
        "AlreadyBootstrapped",
        "BacklogDrained",
        "CampaignRefused",
        "Cause",
        "Change",
        "ChangePending",
        "ChangeRefusal",
        "ChangeRefused",
        "CompactionRefused",
        "Config",
        "Configuration",
        "ConfigurationChanged",
        "ConfigurationMismatch",
        "DemoteVoter",
        "Drop",
        "Effect",
        "ElectionFailed",
        "Entries",
        "EntriesCommitted",
        "Entry",
        "EntryKind",
        "Event",
        "ForwardFinished",
        "HardState",
        "LeaderChanged",
        "LogId",
        "LogIds",
        "LogRegression",
        "Message",
        "MessageRejected",
        "NotLeader",
        "Outcome",
        "Output",
        "PeerStatus",
        "Persist",
        "ProgressState",
        "PromoteLearner",
        "ProposalDropped",
        "ProposalsExpired",
        "ProposalsLost",
        "QuiescenceChanged",
        "Raft",
        "RaftError",
        "ReadFailed",
        "ReadFailure",
        "ReadReady",
        "ReadRefused",
        "Refusal",
        "RemoveMember",
        "Role",
        "RoleChanged",
        "SendMessage",
        "Snapshot",
        "SnapshotInstalled",
        "Stats",
        "Status",
        "Stored",
        "StoredInvalid",
        "TransferFinished",
        "TransferOutcome",
        "TransferRefused",
        "Transition",
        "UnknownSequence",
    ),
    "raft.testing": (
        "STORAGE_CHECKS",
        "Application",
        "Birth",
        "Chaos",
        "Clock",
        "Cluster",
        "Disk",
        "DiskStopped",
        "Host",
        "InvariantBroken",
        "Invariants",
        "Journal",
        "Mix",
        "Network",
        "SimulatedDisk",
        "Storage",
        "WalDisk",
        "WalDriver",
        "check_crashes",
        "describe",
        "make_raft",
    ),
    "kvstore": (
        "AclMode",
        "Applied",
        "BadTtl",
        "CasMismatch",
        "Cause",
        "Check",
        "CheckFailed",
        "CheckOk",
        "CloseOk",
        "Command",
        "Compact",
        "CompactOk",
        "Compacted",
        "CompactedRevision",
        "Config",
        "Configure",
        "ConfigureOk",
        "Count",
        "CountOk",
        "Create",
        "DecodeError",
        "Delayed",
        "Delete",
        "DeleteOk",
        "DeleteRange",
        "Denied",
        "DropPolicy",
        "DropQuota",
        "DropRole",
        "DropToken",
        "Entry",
        "Event",
        "Exists",
        "Fencing",
        "Future",
        "FutureRevision",
        "Get",
        "GetOk",
        "Held",
        "ImportRefused",
        "Invalidate",
        "KEEP",
        "Keys",
        "KeysOk",
        "KvstoreError",
        "Level",
        "Lock",
        "LockOk",
        "Malformed",
        "NoSession",
        "Noop",
        "NotFound",
        "NotHeld",
        "Ok",
        "Operation",
        "OverAlready",
        "Policy",
        "Put",
        "PutOk",
        "QuotaExceeded",
        "Range",
        "RangeOk",
        "Rebase",
        "RebaseOk",
        "Refusal",
        "RenewOk",
        "Result",
        "Right",
        "Role",
        "Rule",
        "RulesError",
        "Session",
        "SessionClose",
        "SessionExists",
        "SessionOk",
        "SessionOpen",
        "SessionRenew",
        "SetPolicy",
        "SetQuota",
        "SetRole",
        "SetToken",
        "SnapshotReader",
        "SnapshotWriter",
        "StaleIndex",
        "Stats",
        "Store",
        "Success",
        "Tick",
        "TickOk",
        "Token",
        "TooDeep",
        "TooLarge",
        "TooManyOperations",
        "TooManyWatches",
        "Touch",
        "TouchOk",
        "Txn",
        "TxnError",
        "TxnFailed",
        "TxnOk",
        "Unknown",
        "UnknownWatch",
        "Unlock",
        "UnlockOk",
        "Unsupported",
        "VersionMismatch",
        "WaitDone",
        "WatchBatch",
        "WatchExists",
        "WatchSpec",
        "Watches",
        "decode_command",
        "decode_result",
        "encode_command",
        "encode_result",
        "legacy_token",
        "parse_rules",
        "read_command",
    ),
    "kvstore.testing": (
        "STEPS_MAX",
        "UNKNOWN",
        "Acquire",
        "Add",
        "Append",
        "CompareAndSet",
        "Contains",
        "Dequeue",
        "Enqueue",
        "Locks",
        "LogError",
        "Members",
        "Model",
        "NaiveStore",
        "Operation",
        "Part",
        "Queues",
        "Read",
        "Recorder",
        "Registers",
        "Release",
        "Remove",
        "Report",
        "Sets",
        "Unknown",
        "Verdict",
        "Window",
        "Write",
        "check",
        "picture",
        "read_jepsen_log",
    ),
    "vivaldi": (
        "Client",
        "Config",
        "Coordinate",
        "DecodeError",
        "IncompatibleCoordinates",
        "Interval",
        "InvalidCoordinate",
        "InvalidRtt",
        "Memory",
        "Peers",
        "Profile",
        "Publisher",
        "Rejection",
        "SampleRejected",
        "Stats",
        "VivaldiError",
    ),
    "vivaldi.testing": (
        "Jittered",
        "LatencyModel",
        "Matrix",
        "Ranking",
        "Simulation",
        "Stream",
        "centroid",
        "circle_with_height",
        "clusters",
        "coverage",
        "drift",
        "grid",
        "internet",
        "line",
        "parse_matrix",
        "quantile",
        "random_matrix",
        "ranking",
        "relative_errors",
    ),
}

# Without clock, network, disk, threads, processes and global state.
STDLIB = frozenset(
    {
        "__future__",
        "abc",
        "bisect",
        "collections",
        "contextlib",
        "enum",
        "functools",
        "hashlib",
        "heapq",
        "hmac",
        "ipaddress",
        "itertools",
        "math",
        "operator",
        "random",
        "re",
        "struct",
        "types",
        "typing",
        "zlib",
    }
)
THIRD_PARTY = {
    "memberlist": frozenset({"attrs", "cryptography", "msgpack", "sortedcontainers"}),
    "serfevents": frozenset({"attrs", "msgpack", "sortedcontainers"}),
    "vivaldi": frozenset({"attrs", "msgpack"}),
    "raft": frozenset({"attrs", "msgpack", "sortedcontainers"}),
    "kvstore": frozenset({"attrs", "msgpack", "sortedcontainers"}),
}

# What one module may import besides. It is imported by those who have what it needs, and by no
# other module of its package.
EXTRAS = {
    "kvstore.testing.strategies": frozenset({"hypothesis"}),
    "raft.testing.tla": frozenset({"json"}),
}

# One name of a module that is forbidden otherwise: the default `entropy`, because nonces never
# come from `rng`. Simulations pass a seeded one.
SINGLE_NAMES = {"memberlist": frozenset({("os", "urandom")})}

IMPURE_CALLS = frozenset(
    {"__import__", "breakpoint", "compile", "eval", "exec", "hash", "id", "input", "open", "print"}
)

FILE_LINES_MAX = 700
FUNCTION_LINES_MAX = 60

ROOT_CONTENTS = frozenset({"pyproject.toml", "README.md", "LICENSE", "tests", "examples", *FIVE})
BUILD_LEFTOVERS = frozenset({"build", "dist", "__pycache__"})

KERNEL_BEGIN = "# --- network kernel"
KERNEL_END = "# --- end of the network kernel"


def modules(package: str) -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the source of each module of a package."""
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), path.read_text()


# --- imports and calls


def imports(tree: ast.AST) -> Iterator[tuple[int, str, str | None]]:
    """Yield the line, the module and the name (None for a whole module) of each import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # Style: imports are absolute; a relative one shows as "." and is refused.
            module = "." if node.level else node.module or ""
            yield from ((node.lineno, module, alias.name) for alias in node.names)


def import_faults(source: str, package: str, name: str = "") -> list[str]:
    """Return what the module called `name` of `package` may not import."""
    allowed = STDLIB | THIRD_PARTY[package] | {package} | EXTRAS.get(name, frozenset())
    faults = []
    for line, module, imported in imports(ast.parse(source)):
        root = module.partition(".")[0]
        if root in FIVE and root != package:
            faults.append(f"{line}: {package} must not know {root}")
        elif (module, imported) in SINGLE_NAMES.get(package, ()):
            continue
        elif root not in allowed:
            faults.append(f"{line}: import of {module}")
        elif module == "random" and imported not in {None, "Random"}:
            faults.append(f"{line}: random.{imported} is global")
    return faults


def purity_faults(source: str) -> list[str]:
    """Return the uses of what a deterministic machine must not touch."""
    faults = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="random"), attr=name) if name != "Random":
                faults.append(f"{node.lineno}: random.{name} is global")
            case ast.alias(name="random", asname=str(hidden)) if hidden != "random":
                faults.append(f"{node.lineno}: random hides behind {hidden}")
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                faults.append(f"{node.lineno}: call of {name}()")
            case ast.keyword(arg="key", value=ast.Name(id=name)) if name in IMPURE_CALLS:
                faults.append(f"{node.value.lineno}: order by {name}")
            case ast.AsyncFunctionDef() | ast.AsyncFor() | ast.AsyncWith() | ast.Await():
                faults.append(f"{node.lineno}: asynchronous code")
            case _:
                pass
    return faults


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_itself_and_what_is_pure(package: str) -> None:
    faults = {name: import_faults(source, package, name) for name, source in modules(package)}

    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_no_global_randomness_no_identity_and_no_output(package: str) -> None:
    faults = {name: purity_faults(source) for name, source in modules(package)}

    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os.path",
        "from socket import socket",
        "import logging",
        "import asyncio",
        "from threading import Lock",
        "import vivaldi",
        "from raft.log import Log",
        "from . import errors",
        "from tests import contract",
        "from random import choice",
        "from random import SystemRandom",
        "import os",
        "from os import open",
        "def late():\n    import datetime",
    ],
)
def test_a_forbidden_import_is_found(source: str) -> None:
    assert import_faults(source, "memberlist") != []


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "from random import Random",
        "from collections.abc import Callable",
        "from memberlist.node import Node",
        "from os import urandom",
        "from cryptography.hazmat.primitives.ciphers.aead import AESGCM",
    ],
)
def test_an_allowed_import_passes(source: str) -> None:
    assert import_faults(source, "memberlist") == []


def test_what_one_package_may_import_another_may_not() -> None:
    source = "import cryptography"

    assert import_faults(source, "memberlist") == []
    assert import_faults(source, "vivaldi") != []


@pytest.mark.parametrize(
    "source",
    [
        "x = random.random()",
        "pick = random.choice",
        "rng = random.SystemRandom()",
        "import random as dice",
        "x = hash('a')",
        "x = id(x)",
        "print('x')",
        "open('x')",
        "x = input()",
        "eval('x')",
        "exec('x')",
        "x = sorted(y, key=id)",
        "async def pump(): ...",
    ],
)
def test_an_impure_use_is_found(source: str) -> None:
    assert purity_faults(source) != []


@pytest.mark.parametrize(
    "source",
    [
        "import random\ndef make(rng: random.Random) -> None: ...",
        "x = random.Random(1)",
        "x = self.rng.random()",
        "x = node.id",
        "stream.open()",
    ],
)
def test_a_pure_use_passes(source: str) -> None:
    assert purity_faults(source) == []


def test_what_one_module_may_import_its_package_may_not() -> None:
    source = "import hypothesis"

    assert import_faults(source, "kvstore", "kvstore.testing.strategies") == []
    assert import_faults(source, "kvstore", "kvstore.testing") != []
    assert import_faults("import time", "kvstore", "kvstore.testing.strategies") != []


@pytest.mark.parametrize("package", PACKAGES)
def test_what_needs_more_than_its_package_is_imported_by_no_other_module(package: str) -> None:
    graph = dependencies(dict(modules(package)))

    assert [name for name, targets in graph.items() if targets & EXTRAS.keys()] == []


# --- one way


def dependencies(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return which modules of one package each of its modules imports."""
    graph: dict[str, set[str]] = {}
    for name, source in sources.items():
        targets = graph.setdefault(name, set())
        for _, module, imported in imports(ast.parse(source)):
            whole = f"{module}.{imported}"
            targets |= {whole if whole in sources else module} & sources.keys()
    return graph


def cycle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the modules that import each other in a circle, or nothing."""
    rest = {name: set(targets) for name, targets in graph.items()}
    while free := [name for name, targets in rest.items() if not targets & rest.keys()]:
        for name in free:
            del rest[name]
    return sorted(rest)


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_within_a_package_run_one_way(package: str) -> None:
    graph = dependencies(dict(modules(package)))

    assert cycle(graph) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_in_a_package_needs_its_simulator(package: str) -> None:
    graph = dependencies(dict(modules(package)))
    testing = f"{package}.testing"

    assert [n for n, to in graph.items() if testing in to and not n.startswith(testing)] == []


def test_a_circle_of_imports_is_found() -> None:
    sources = {
        "raft": "from raft.raft import Raft",
        "raft.raft": "from raft.log import Log",
        "raft.log": "from raft import quorum",
        "raft.quorum": "import raft.raft",
    }

    assert cycle(dependencies(sources)) == sorted(sources)
    assert cycle(dependencies(sources | {"raft.quorum": "import math"})) == []


def test_a_part_that_imports_its_own_package_closes_a_circle() -> None:
    sources = {"raft": "from raft.log import Log", "raft.log": "from raft import Raft"}

    assert cycle(dependencies(sources)) == ["raft", "raft.log"]


# --- sizes


def size_faults(source: str) -> list[str]:
    """Return what is too long: the file, or a function without its docstring."""
    faults = []
    if (lines := source.count("\n")) > FILE_LINES_MAX:
        faults.append(f"{lines} lines")
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        assert node.end_lineno is not None
        length = node.end_lineno - node.lineno + 1
        if ast.get_docstring(node) is not None and node.body[0].end_lineno is not None:
            length -= node.body[0].end_lineno - node.body[0].lineno + 1
        if length > FUNCTION_LINES_MAX:
            faults.append(f"{node.lineno}: {node.name}() has {length} lines")
    return faults


@pytest.mark.parametrize("package", PACKAGES)
def test_files_and_functions_fit_their_limits(package: str) -> None:
    faults = {name: size_faults(source) for name, source in modules(package)}

    assert {name: found for name, found in faults.items() if found} == {}


def test_a_file_that_is_too_long_is_found() -> None:
    assert size_faults("x = 1\n" * FILE_LINES_MAX) == []
    assert size_faults("x = 1\n" * (FILE_LINES_MAX + 1)) != []


def test_a_function_that_is_too_long_without_its_docstring_is_found() -> None:
    docstring = '    """One.\n\n    Two.\n    """\n'
    fits = "    x = 1\n" * (FUNCTION_LINES_MAX - 1)

    assert size_faults("def f():\n" + docstring + fits) == []
    assert size_faults("def f():\n" + docstring + fits + "    x = 1\n") != []


# --- exports


def export_faults(module: str, names: Iterable[str]) -> list[str]:
    """Return how `__all__` of a module differs from the names pinned for it."""
    if module not in EXPORTS:
        return [f"no line for {module} in EXPORTS"]
    actual, pinned = set(names), set(EXPORTS[module])
    gone = [f"{name} is gone" for name in sorted(pinned - actual)]
    return gone + [f"{name} is new" for name in sorted(actual - pinned)]


def offering(packages: Iterable[str]) -> list[str]:
    """Return the modules that offer names: each package, and its simulator if it has one."""
    return [
        name
        for package in packages
        for name in (package, f"{package}.testing")
        if name in dict(modules(package))
    ]


@pytest.mark.parametrize("name", offering(PACKAGES))
def test_a_package_offers_exactly_what_is_pinned(name: str) -> None:
    module = importlib.import_module(name)

    assert export_faults(name, module.__all__) == []
    assert [each for each in module.__all__ if not hasattr(module, each)] == []


def test_a_changed_export_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPORTS, "raft", ("Config", "Raft"))

    assert export_faults("raft", ["Raft", "Config"]) == []
    assert export_faults("raft", ["Raft", "Log"]) == ["Config is gone", "Log is new"]
    assert export_faults("nobody", []) == ["no line for nobody in EXPORTS"]


# --- files


def test_the_root_holds_nothing_else() -> None:
    names = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    names -= {name for name in names if name.endswith(".egg-info")} | BUILD_LEFTOVERS

    assert names - ROOT_CONTENTS == set()
    assert {"pyproject.toml", "README.md", "LICENSE", "tests"} - names == set()


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("file", ["__init__.py", "py.typed", "errors.py"])
def test_a_package_is_whole(package: str, file: str) -> None:
    assert (ROOT / package / file).is_file()


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}

    assert [str(each) for each in folders if not (each / "__init__.py").is_file()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_built_typed_covered_and_tested(package: str) -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]

    assert package in tool["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert package in tool["mypy"]["files"]
    assert package in tool["coverage"]["run"]["source"]
    assert package in tool["pytest"]["ini_options"]["testpaths"]


# --- the network kernel


def kernel(source: str) -> str | None:
    """Return the text between the marks of the network kernel, None if there are none."""
    begin, end = source.count(f"\n{KERNEL_BEGIN}"), source.count(f"\n{KERNEL_END}")
    if begin == end == 0:
        return None
    if not begin == end == 1:
        raise ValueError(f"{begin} beginnings and {end} ends of the network kernel")
    _, _, rest = source.partition(f"\n{KERNEL_BEGIN}")
    return rest.partition(f"\n{KERNEL_END}")[0]


def test_the_copies_of_the_network_kernel_are_the_same() -> None:
    copies = {
        name: text
        for package in PACKAGES
        for name, source in modules(package)
        if (text := kernel(source)) is not None
    }

    assert len(set(copies.values())) <= 1, sorted(copies)


def test_the_kernel_is_what_stands_between_the_marks() -> None:
    source = f"a = 1\n{KERNEL_BEGIN}\nb = 2\nc = 3\n{KERNEL_END}\nd = 4\n"

    assert kernel(source) == "\nb = 2\nc = 3"
    assert kernel(source.replace("d = 4", "d = 5")) == kernel(source)
    assert kernel(source.replace("c = 3", "c = 4")) != kernel(source)
    assert kernel("a = 1\n") is None


@pytest.mark.parametrize(
    "source",
    [
        f"a = 1\n{KERNEL_BEGIN}\nb = 2\n",
        f"a = 1\nb = 2\n{KERNEL_END}\n",
        f"a = 1\n{KERNEL_BEGIN}\n{KERNEL_BEGIN}\n{KERNEL_END}\n",
    ],
)
def test_a_kernel_without_both_its_marks_is_found(source: str) -> None:
    with pytest.raises(ValueError, match="of the network kernel"):
        kernel(source)
