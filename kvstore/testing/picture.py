"""A report as one page of HTML: what happened, where it stopped making sense, and why.

Owns `picture`. The page is self-contained (no scripts, no fonts, nothing loaded) and the same
for the same report. For each part that is not legal it draws a timeline with a row for each
client and a column for each call or return, so that order is kept and idle time costs no room:

- the operations up to where the search got stuck, the shortest illegal window shaded, the
  operation that nothing explains in red;
- the longest partial linearizations, one at a time: a line leads through the operations in the
  order in which they may have taken effect, and a list gives the state after each.

Legal parts are only counted, unless there are no others: then the first is drawn.

Source: Porcupine visualization.go, which draws the same with scripts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Final

from kvstore.testing.histories import Operation
from kvstore.testing.linearizability import Part, Report, Verdict
from kvstore.testing.models import Model

__all__ = ["picture"]

# Operations drawn of one part, and steps listed of one linearization: beyond them no one reads.
OPERATIONS_MAX: Final = 200
STEPS_LISTED_MAX: Final = 30
PARTS_MAX: Final = 20
LABEL_LENGTH_MAX: Final = 60
TITLE_LENGTH_MAX: Final = 400
STATES_TOLD_MAX: Final = 8

# Pixels.
_ROW_HEIGHT: Final = 34
_BAR_HEIGHT: Final = 20
_CHARACTER_WIDTH: Final = 7
_GAP: Final = 8
_NAMES_WIDTH: Final = 110

_STYLE: Final = """
body { font: 14px sans-serif; margin: 2em; color: #222; background: #fff; }
h1, h2 { font-weight: normal; }
b.legal { color: #17702c; } b.illegal { color: #b3001b; } b.undecided { color: #8a5a00; }
.chart { overflow-x: auto; border: 1px solid #ccc; margin: .5em 0; }
svg text, li { font: 12px monospace; }
.bar { fill: #cfe3f7; stroke: #5b8db8; } .bar.open { stroke-dasharray: 4 3; fill: #eef4fa; }
.bar.stuck { fill: #f9c9cf; stroke: #b3001b; } .window { fill: #fff3c4; }
.order { display: none; } .order path { fill: none; stroke: #888; stroke-width: 1.2; }
.order circle { fill: #222; } .order text { font-size: 10px; }
.label, .order { pointer-events: none; }
.label { paint-order: stroke; stroke-width: 4px; stroke: #cfe3f7; }
.label.open { stroke: #eef4fa; } .label.stuck { stroke: #f9c9cf; }
.order text { paint-order: stroke; stroke: #fff; stroke-width: 3px; }
.legend { color: #666; font-size: 12px; } li.stuck { color: #b3001b; list-style: none; }
""".strip()

_LEGEND: Final = (
    '<p class="legend">A bar is an operation from its call to its return, dashed if it never '
    "returned; time goes to the right, not to scale. Dots and numbers are one order in which "
    "operations may have taken effect.</p>"
)

_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}
)


def picture(report: Report, model: Model[Any, Any, Any], *, title: str = "Linearizability") -> str:
    """Return a page of HTML that shows a report.

    Args:
        report: What `check` returned.
        model: The model it was checked with; its descriptions are the labels.
        title: Of the page.

    Returns:
        The page. At most twenty parts of at most 200 operations each are drawn; the text says
        what was left out.
    """
    parts = [part for part in report.parts if part.verdict is not Verdict.LEGAL]
    parts.sort(key=lambda part: part.verdict is Verdict.UNDECIDED)
    parts = parts or list(report.parts[:1])
    style, body = [_STYLE], [_summary(report, len(parts))]
    for number, part in enumerate(parts[:PARTS_MAX]):
        chart = _Chart(f"p{number}", part, model)
        style.extend(chart.rules)
        body.append(chart.section())
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{_escape(title)}</title>\n<style>\n" + "\n".join(style) + "\n</style></head>\n"
        f"<body><h1>{_escape(title)}</h1>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _escape(text: str) -> str:
    """Return a text that is only text in HTML, in and out of attributes."""
    return text.translate(_ESCAPES)


def _short(text: str, length: int = LABEL_LENGTH_MAX) -> str:
    """Return a text of bounded length."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _counted(count: int, noun: str) -> str:
    """Return such as `1 step`, `2 steps`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _summary(report: Report, shown: int) -> str:
    """Return the verdict in a sentence."""
    count = sum(len(part.operations) for part in report.parts)
    verdicts = ", ".join(
        f"{number} {verdict.value}"
        for verdict in Verdict
        if (number := sum(part.verdict is verdict for part in report.parts))
    )
    text = (
        f"<p><b class={report.verdict.value}>{report.verdict.value}</b> after "
        f"{_counted(report.steps, 'step')}: {_counted(count, 'operation')} in "
        f"{_counted(len(report.parts), 'part')}{f' ({verdicts})' if verdicts else ''}."
    )
    if shown > PARTS_MAX:
        text += f" Only {PARTS_MAX} of {shown} parts are drawn."
    return text + "</p>"


class _Chart:
    """The drawing of one part: rows, columns, and what goes there.

    Attributes:
        part: What is drawn.
        rules: The rules of style that show what is chosen.
    """

    def __init__(self, name: str, part: Part, model: Model[Any, Any, Any]) -> None:
        self.part = part
        self._model = model
        self._orders = [f"{name}-{number}" for number in range(len(part.linearizations))]
        self.rules = [
            f"#{each}:checked ~ .{each}, #{each}:checked ~ .chart .{each} {{ display: inline; }}"
            for each in self._orders
        ]
        self._name = name
        self._places = self._choose()
        self._shown = [part.operations[place] for place in self._places]
        self._labels = [_short(self._label(each)) for each in self._shown]
        self._left: dict[int, int] = {}
        self._right: dict[int, int] = {}
        self._width = self._lay_out()
        self._names: list[str] = []
        self._rows = self._assign_rows()
        self._height = len(self._names) * _ROW_HEIGHT + _GAP

    def section(self) -> str:
        """Return the part: heading, explanation, choice of an order, chart, steps."""
        part, choices, steps = self.part, [], []
        for number, (name, order) in enumerate(zip(self._orders, part.linearizations, strict=True)):
            text = f"order {number + 1}: {_counted(len(order), 'operation')}"
            checked = "" if number else " checked"
            choices.append(f"<input type=radio name={self._name} id={name}{checked}>")
            choices.append(f"<label for={name}>{text}</label>")
            steps.append(f'<div class="order {name}">{self._steps(order)}</div>')
        key = "" if part.key is None else f"{_escape(_short(repr(part.key)))}: "
        heading = f"<h2>{key}<b class={part.verdict.value}>{part.verdict.value}</b></h2>"
        chart = f'<div class="chart">{self._svg()}</div>'
        lines = [heading, self._explanation(), "<div>", *choices, chart, _LEGEND, *steps, "</div>"]
        return "\n".join(lines)

    # --- what is told

    def _label(self, operation: Operation) -> str:
        return self._model.describe_operation(operation.input, operation.output)

    def _explanation(self) -> str:
        """Return what is wrong, in words."""
        part = self.part
        lines = []
        if len(self._shown) < len(part.operations):
            lines.append(f"{len(self._shown)} of {len(part.operations)} operations are drawn.")
        if part.stuck is not None:
            label = f"client {part.stuck.client}, {self._label(part.stuck)}"
            lines.append(f"No order was found that includes <code>{_escape(_short(label))}</code>.")
        if part.window is not None:
            states = [_short(self._model.describe_state(each)) for each in part.window.states]
            told = " or ".join(
                f"<code>{_escape(state)}</code>" for state in states[:STATES_TOLD_MAX]
            )
            more = " or others" if len(states) > STATES_TOLD_MAX else ""
            lines.append(
                f"The shortest illegal window (shaded) has "
                f"{_counted(len(part.window.operations), 'operation')}; "
                f"when it begins, the state can only be {told}{more}."
            )
        return f"<p>{' '.join(lines)}</p>"

    def _steps(self, order: Sequence[int]) -> str:
        """Return the last steps of a linearization, each with the state after it."""
        state = self._model.initial()
        lines = []
        for place in order:
            each = self.part.operations[place]
            _, state = self._model.step(state, each.input, each.output)
            label = f"client {each.client}: {self._label(each)}"
            after = _short(self._model.describe_state(state))
            lines.append(f"<li>{_escape(_short(label))} — then {_escape(after)}</li>")
        first = max(0, len(lines) - STEPS_LISTED_MAX)
        if (stuck := self.part.stuck) is not None:
            label = _short(f"client {stuck.client}: {self._label(stuck)}")
            lines.append(f'<li class="stuck">{_escape(label)} — has no place</li>')
        return f"<ol start={first + 1}>\n" + "\n".join(lines[first:]) + "\n</ol>"

    # --- where it goes

    def _choose(self) -> range:
        """Return the places of what is drawn: the last ones that began before the search stuck."""
        part = self.part
        if part.stuck is None or part.stuck.returned is None:
            return range(min(OPERATIONS_MAX, len(part.operations)))
        end = bisect_right(part.operations, part.stuck.returned, key=lambda each: each.called)
        return range(max(0, end - OPERATIONS_MAX), end)

    def _lay_out(self) -> int:
        """Give each call and return its place, far enough apart for labels; return the width."""
        events: list[tuple[float, int, int]] = []
        for number, each in enumerate(self._shown):
            events.append((each.called, 0, number))
            if each.returned is not None:
                events.append((each.returned, 1, number))
        x = _NAMES_WIDTH
        for _, is_return, number in sorted(events):
            x += _GAP
            if is_return:
                x = max(x, self._left[number] + self._label_width(number))
                self._right[number] = x
            else:
                self._left[number] = x
        return max([x, *(self._left[n] + self._label_width(n) for n in self._left)]) + _GAP

    def _label_width(self, number: int) -> int:
        return len(self._labels[number]) * _CHARACTER_WIDTH + 2 * _GAP

    def _assign_rows(self) -> list[int]:
        """Return the row of each operation, and name the rows.

        A client has one row, or several if its operations overlap.
        """
        lanes: dict[Any, list[int]] = {}
        ends: list[int] = []
        rows = []
        for number, each in enumerate(self._shown):
            lane = lanes.setdefault(each.client, [])
            row = next((row for row in lane if ends[row] < self._left[number]), None)
            if row is None:
                row = len(self._names)
                lane.append(row)
                ends.append(0)
                self._names.append(_short(str(each.client)))
            ends[row] = self._right.get(number, self._width)
            rows.append(row)
        return rows

    # --- how it is drawn

    def _svg(self) -> str:
        """Return the timeline."""
        lines = [f'<svg width="{self._width}" height="{self._height}">', *self._window()]
        for row, name in enumerate(self._names):
            lines.append(f'<text x="4" y="{_middle(row) + 4}">{_escape(name)}</text>')
        lines.extend(self._bar(number) for number in range(len(self._shown)))
        for name, order in zip(self._orders, self.part.linearizations, strict=True):
            lines.append(f'<g class="order {name}">{self._order(order)}</g>')
        # On top, so that no line strikes them out.
        lines.extend(self._text(number) for number in range(len(self._shown)))
        return "\n".join([*lines, "</svg>"])

    def _window(self) -> Iterator[str]:
        """Yield the shade of the illegal window, as far as it is drawn."""
        window = self.part.window
        if window is None:
            return
        inside = [n for n, each in enumerate(self._shown) if each.called >= window.begin]
        left = min(self._left[number] for number in inside)
        right = max(
            self._right[number]
            for number, each in enumerate(self._shown)
            if each.returned is not None and each.returned <= window.end
        )
        yield (
            f'<rect class="window" x="{left}" y="0" width="{right - left}" '
            f'height="{self._height}"/>'
        )

    def _bar(self, number: int) -> str:
        """Return the bar of one operation, which tells more when pointed at."""
        each, left = self._shown[number], self._left[number]
        right = self._right.get(number, self._width)
        middle = _middle(self._rows[number])
        label = _short(self._label(each), TITLE_LENGTH_MAX)
        title = f"{label}\nfrom {each.called} to {each.returned}"
        return (
            f'<g><title>{_escape(title)}</title><rect class="bar{self._kind(each)}" '
            f'x="{left}" y="{middle - _BAR_HEIGHT // 2}" width="{right - left}" '
            f'height="{_BAR_HEIGHT}"/></g>'
        )

    def _text(self, number: int) -> str:
        """Return the label of one operation."""
        kind, x = self._kind(self._shown[number]), self._left[number] + _GAP
        y = _middle(self._rows[number]) + 4
        return f'<text class="label{kind}" x="{x}" y="{y}">{_escape(self._labels[number])}</text>'

    def _kind(self, operation: Operation) -> str:
        """Return what is special about how an operation is drawn."""
        if operation is self.part.stuck:
            return " stuck"
        return " open" if operation.returned is None else ""

    def _order(self, order: Sequence[int]) -> str:
        """Return a line through the operations in the order in which they took effect."""
        points = []
        x = 0
        for step, place in enumerate(order, 1):
            if place in self._places:
                number = place - self._places.start
                x = max(x, self._left[number])
                points.append((x, _middle(self._rows[number]) - _BAR_HEIGHT // 2, step))
        path = " ".join(f"L{x} {y}" for x, y, _ in points).replace("L", "M", 1)
        marks = [
            f'<circle cx="{x}" cy="{y}" r="3"/><text x="{x + 4}" y="{y - 2}">{step}</text>'
            for x, y, step in points
        ]
        return f'<path d="{path}"/>' + "".join(marks)


def _middle(row: int) -> int:
    """Return the height of the middle of a row."""
    return row * _ROW_HEIGHT + _ROW_HEIGHT // 2 + _GAP // 2
