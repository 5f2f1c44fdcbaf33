from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import attrs

from kvstore.testing import (
    Operation,
    Read,
    Registers,
    Report,
    Verdict,
    Write,
    check,
    picture,
)
from tests.kvstore.testing.histories import register_history
from tests.kvstore.testing.test_linearizability import hard_history

ROOT = Path(__file__).resolve().parents[3]

VOID = {"meta", "input"}


class Page(HTMLParser):
    """What a page holds; it refuses tags that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str, kind: str = "") -> list[dict[str, Any]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and kind in ["", *(attributes.get("class") or "").split(" ")]
        ]

    def bars(self) -> list[dict[str, Any]]:
        return self.of("rect", "bar")


def page_of(report: Report, title: str = "Linearizability") -> Page:
    return Page(picture(report, Registers(), title=title))


STALE = [
    Operation("alice", Write(1), 0, 1),
    Operation("bob", Write(2), 2, 9),
    Operation("alice", Read(), 3, 4, 2),
    Operation("carol", Write(5), 5),
    Operation("alice", Read(), 6, 7, 1),
    Operation("alice", Read(), 20, 21, 1),
]


def test_an_illegal_history_shows_the_window_and_what_is_stuck_in_it() -> None:
    page = page_of(check(Registers(), STALE))

    assert "illegal after" in page.text
    assert "5 of 6 operations are drawn." in page.text
    assert "No order was found that includes client alice, read → 1." in page.text
    assert (
        "The shortest illegal window (shaded) has 3 operations; "
        "when it begins, the state can only be 2 or 5." in page.text
    )
    (window,) = page.of("rect", "window")
    (stuck,) = page.of("rect", "stuck")
    assert int(stuck["x"]) == int(window["x"])
    assert int(stuck["width"]) == int(window["width"])


def test_every_operation_up_to_the_end_has_its_bar_and_what_never_returned_has_no_end() -> None:
    page = page_of(check(Registers(), STALE))
    (svg,) = page.of("svg")

    assert len(page.bars()) == 5
    (never_returned,) = page.of("rect", "open")
    assert int(never_returned["x"]) + int(never_returned["width"]) == int(svg["width"])
    for label in ("write(1)", "write(2)", "read → 2", "write(5) → ?", "read → 1"):
        assert label in page.text


def test_the_longest_orders_can_be_chosen_and_tell_the_state_after_each_step() -> None:
    history = [Operation(name, Write(name), 0, 5) for name in ("alice", "bob")]
    report = check(Registers(), [*history, Operation("carol", Read(), 6, 7, "never written")])
    page = page_of(report)

    choices = page.of("input")
    assert len(choices) == len(report.parts[0].linearizations) > 1
    assert ["checked" in each for each in choices].count(True) == 1
    assert len(page.of("path")) == len(choices)
    steps = sum(map(len, report.parts[0].linearizations))
    assert len(page.of("li")) == steps + len(page.of("li", "stuck"))
    assert "client bob: write('bob') → ? — then 'bob'" in page.text
    for each in choices:
        assert f"#{each['id']}:checked" in page.text
        assert page.of("g", each["id"])
        assert page.of("div", each["id"])


def test_every_order_ends_with_what_has_no_place_in_it() -> None:
    report = check(Registers(), STALE)
    page = page_of(report)

    assert len(page.of("li", "stuck")) == len(report.parts[0].linearizations)
    assert "client alice: read → 1 — has no place" in page.text


def test_labels_are_drawn_over_the_lines_of_orders() -> None:
    report = check(Registers(), STALE)
    source = picture(report, Registers())

    assert source.rindex("<path") < source.index('<text class="label')


def test_bars_of_one_row_do_not_overlap_and_labels_fit(seed: int) -> None:
    history = register_history(Random(seed), 60, clients=4, lost=0.1)
    page = page_of(check(Registers(), history))
    (svg,) = page.of("svg")
    rows: dict[str, list[tuple[int, int]]] = {}
    for bar in page.bars():
        rows.setdefault(bar["y"], []).append((int(bar["x"]), int(bar["x"]) + int(bar["width"])))

    assert sum(map(len, rows.values())) == 60
    for spans in rows.values():
        spans.sort()
        assert all(end < begin for (_, end), (begin, _) in pairwise(spans))
        assert all(end - begin >= 7 * len("read → 1") for begin, end in spans)
        assert spans[-1][1] <= int(svg["width"])


def test_a_client_that_overlaps_itself_gets_another_row() -> None:
    history = [Operation("alice", Write(n), n, n + 10) for n in range(3)]

    page = page_of(check(Registers(), history))

    assert len({bar["y"] for bar in page.bars()}) == 3


def test_a_legal_history_is_drawn_with_an_order_of_it() -> None:
    page = page_of(check(Registers(), STALE[:3]))

    assert "legal after 4 steps: 3 operations in 1 part (1 legal)." in page.text
    assert page.of("rect", "window") == []
    assert page.of("rect", "stuck") == []
    assert len(page.of("circle")) == 3


def test_legal_parts_are_only_counted_beside_others() -> None:
    good = [Operation("alice", Write(1, "good"), 0, 1)]
    bad = [Operation("alice", Read("bad"), 2, 3, 1)]

    page = page_of(check(Registers(), good + bad))

    assert "2 operations in 2 parts (1 legal, 1 illegal)" in page.text
    assert "'bad': illegal" in page.text
    assert "'good'" not in page.text


def test_an_undecided_part_is_drawn_after_the_illegal_ones() -> None:
    bad = [Operation("alice", Read("bad"), 20, 21, 1)]

    page = page_of(check(Registers(), [*hard_history("hard"), *bad], steps=5_000))

    assert page.text.index("'bad': illegal") < page.text.index("'hard': undecided")
    assert len(page.of("rect", "window")) == 1


def test_no_history_is_a_page_too() -> None:
    assert "legal after 0 steps: 0 operations in 0 parts." in page_of(check(Registers(), [])).text


def test_a_page_is_bounded(seed: int) -> None:
    long = register_history(Random(seed), 2_000, clients=3)
    long.append(Operation("late", Read(0), 1e9, 2e9, "never"))
    parts = [Operation("a", Read(f"key{n}"), 0, 1, "x" * 1000) for n in range(30)]

    page = page_of(check(Registers(), long))
    assert "200 of 2001 operations are drawn." in page.text
    assert len(page.bars()) == 200
    assert len(page.of("li")) <= 5 * 30

    page = page_of(check(Registers(), parts))
    assert "Only 20 of 30 parts are drawn." in page.text
    assert len(page.of("svg")) == 20
    assert max(map(len, re.findall(r"\S+", page.text))) < 500


def test_a_window_that_begins_before_what_is_drawn_is_shaded_as_far_as_it_goes() -> None:
    history = [Operation("a", Write(0), 0, 1)]
    history += [Operation(f"c{n}", Write(n), 2, 1000) for n in range(5)]
    history += [Operation("b", Read(), 2 + n, 2.5 + n, n % 2) for n in range(300)]
    report = check(Registers(), history)
    window = report.parts[0].window
    assert window is not None
    early = attrs.evolve(window, begin=0)

    drawn = page_of(attrs.evolve(report, parts=(attrs.evolve(report.parts[0], window=early),)))

    assert len(drawn.of("rect", "window")) == 1


def test_many_possible_states_are_not_all_told() -> None:
    writes = [Operation(n, Write(n), 0, 100) for n in range(10)]

    page = page_of(check(Registers(), [*writes, Operation("r", Read(), 1, 2, "never")]))

    assert "or others." in page.text
    assert page.text.count(" or ") == 8


def test_what_clients_wrote_is_only_text() -> None:
    evil = "</title><script>alert('x')</script>&\"'"
    history = [
        Operation(evil, Write(evil, evil), 0, 1),
        Operation(evil, Read(evil), 2, 3, evil * 2),
    ]

    page = page_of(check(Registers(), history), title=evil)

    assert page.of("script") == []
    assert evil in page.text


def test_nothing_is_loaded_and_nothing_runs() -> None:
    text = picture(check(Registers(), STALE), Registers())

    assert not re.search(r"<script|<link|<img|<iframe|src=|href=|url\(|@import|on\w+=", text)


def test_the_same_report_gives_the_same_page() -> None:
    report = check(Registers(), STALE)

    assert picture(report, Registers()) == picture(report, Registers())
    assert report.verdict is Verdict.ILLEGAL


PROGRAM = """
from kvstore.testing import Add, Members, Operation, Sets, check, picture

history = [Operation(f"c{n}", Add(f"e{n}"), n, 20) for n in range(6)]
history += [Operation("lost", Add("lost"), 3), Operation("r", Members(), 21, 22, frozenset("e1"))]
print(picture(check(Sets(), history), Sets()))
"""


def test_the_page_is_the_same_under_any_hash_seed() -> None:
    pages = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }

    assert len(pages) == 1
    assert b"illegal" in pages.pop()
