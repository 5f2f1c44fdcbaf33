"""What network coordinates are: run an internet in memory, print a table, draw a map.

Every node starts in the same spot, knowing nothing. In each round it pings one other node,
learns the round trip time and that node's coordinate, and moves its own a little. After some
hundred rounds the distance between any two coordinates predicts their round trip time, also
for the pairs that never spoke: 120 nodes have 7,140 pairs, and each node pinged some hundred.

    python examples/coordinates.py                      # an internet-like model
    python examples/coordinates.py --matrix rtts.txt    # measured round trips, milliseconds

The table compares the default profile with Serf's. The picture, an SVG file for any browser,
shows where the nodes came to lie and how fast their estimates became right.
"""

from __future__ import annotations

import argparse
import gzip
from math import log10, sqrt
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape

from vivaldi import Client, Config, Coordinate
from vivaldi.testing import (
    Jittered,
    LatencyModel,
    Matrix,
    Simulation,
    internet,
    parse_matrix,
    quantile,
    ranking,
    relative_errors,
)

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#a463f2")
PROFILES = {"default": Config(), "serf": Config.serf()}
PROFILE_COLOURS = {"default": "#3ca951", "serf": "#ff725c"}

Point = tuple[float, float]


def read_matrix(path: Path) -> Matrix:
    """Return the matrix in a text file, gzipped or not; milliseconds, a row per line."""
    data = path.read_bytes()
    return parse_matrix((gzip.decompress(data) if path.suffix == ".gz" else data).decode())


def run(
    model: LatencyModel, config: Config, rounds: int, seed: int
) -> tuple[Simulation, list[tuple[int, float]]]:
    """Run one profile; return the simulation and the median error after chosen rounds."""
    simulation = Simulation(
        model, lambda node: Client(config, rng=Random(f"{seed} {node}")), rng=Random(seed)
    )
    curve = []
    for done in range(1, rounds + 1):
        simulation.run(1)
        if done <= 20 or done % max(1, rounds // 60) == 0:
            errors = relative_errors(simulation.coordinates, model)
            curve.append((done, quantile(errors, 0.5)))
    return simulation, curve


def report(name: str, simulation: Simulation, rounds: int) -> str:
    """Return one row of the table."""
    model = simulation.model
    errors = relative_errors(simulation.coordinates, model)
    nearest = ranking(simulation.coordinates, model)
    simulation.run(max(1, rounds // 5))
    moved = simulation.moved / max(1, simulation.updates)
    return (
        f"{name:9} {quantile(errors, 0.5):9.1%} {quantile(errors, 0.9):9.1%} "
        f"{nearest.first:12.0%} {nearest.ten:11.0%} {nearest.penalty * 1e3:9.1f} ms "
        f"{moved * 1e3:9.2f} ms"
    )


def flattened(coordinates: list[Coordinate]) -> list[Point]:
    """Return the two directions in which the vectors differ most (principal components)."""
    size, dimensions = len(coordinates), coordinates[0].dimensions
    middle = [sum(c.vector[k] for c in coordinates) / size for k in range(dimensions)]
    rows = [[c.vector[k] - middle[k] for k in range(dimensions)] for c in coordinates]
    columns = []
    for _ in range(2):
        axis = [1.0 + k for k in range(dimensions)]
        for _ in range(100):
            shares = [sum(x * a for x, a in zip(row, axis, strict=True)) for row in rows]
            axis = [
                sum(s * row[k] for s, row in zip(shares, rows, strict=True))
                for k in range(dimensions)
            ]
            norm = sqrt(sum(a * a for a in axis)) or 1.0
            axis = [a / norm for a in axis]
        column = [sum(x * a for x, a in zip(row, axis, strict=True)) for row in rows]
        rows = [
            [x - c * a for x, a in zip(row, axis, strict=True)]
            for row, c in zip(rows, column, strict=True)
        ]
        columns.append(column)
    return list(zip(columns[0], columns[1], strict=True))


def text(x: float, y: float, words: str, size: int = 13, extra: str = "") -> str:
    """Return an SVG text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" {extra}>{escape(words)}</text>'


def draw_map(coordinates: list[Coordinate], labels: tuple[str, ...]) -> list[str]:
    """Return the embedding as SVG, 480 x 420 at the origin; circles grow with the height."""
    points = flattened(coordinates)
    reach = max(max(abs(x), abs(y)) for x, y in points) or 1.0
    groups = list(dict.fromkeys(labels))
    parts = [text(240, 20, "Where the nodes came to lie", 16, 'text-anchor="middle"')]
    for i, (x, y) in enumerate(points):
        colour = COLOURS[groups.index(labels[i]) % len(COLOURS)] if labels else COLOURS[0]
        height = coordinates[i].height
        parts.append(
            f'<circle cx="{240 + 180 * x / reach:.1f}" cy="{225 - 180 * y / reach:.1f}" '
            f'r="{3 + 150 * min(height, 0.06):.1f}" fill="{colour}" fill-opacity="0.6">'
            f"<title>node {i}: height {height * 1e3:.1f} ms</title></circle>"
        )
    for k, group in enumerate(groups):
        colour = COLOURS[k % len(COLOURS)]
        parts.append(text(10, 360 + 15 * k, group, 12, f'fill="{colour}" font-weight="bold"'))
    bar = 10 ** int(log10(reach * 1e3))
    width = 180 * bar / 1e3 / reach
    parts.append(
        f'<path d="M {440 - width:.1f} 410 h {width:.1f}" stroke="#333" stroke-width="2"/>'
    )
    parts.append(text(440, 403, f"{bar} ms", 12, 'text-anchor="end"'))
    return parts


def draw_errors(curves: dict[str, list[tuple[int, float]]]) -> list[str]:
    """Return median error over rounds as SVG, 400 x 420 at the origin; errors on a log scale."""
    last = max(done for curve in curves.values() for done, _ in curve)
    low, high = log10(0.02), log10(1.5)

    def place(done: int, error: float) -> str:
        share = (log10(min(max(error, 0.02), 1.5)) - low) / (high - low)
        return f"{50 + 340 * done / last:.1f},{380 - 330 * share:.1f}"

    parts = [text(210, 20, "How wrong they are", 16, 'text-anchor="middle"')]
    for error in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0):
        y = float(place(0, error).partition(",")[2])
        parts.append(f'<path d="M 50 {y:.1f} h 340" stroke="#ddd"/>')
        parts.append(text(45, y + 4, f"{error:.0%}", 12, 'text-anchor="end"'))
    for k, (name, curve) in enumerate(curves.items()):
        colour = PROFILE_COLOURS[name]
        line = " ".join(place(done, error) for done, error in curve)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(text(300, 60 + 18 * k, name, 14, f'fill="{colour}" font-weight="bold"'))
    label = f"median relative error over {last} rounds, one ping per node and round"
    return [*parts, text(210, 405, label, 12, 'text-anchor="middle"')]


def picture(
    coordinates: list[Coordinate],
    labels: tuple[str, ...],
    curves: dict[str, list[tuple[int, float]]],
) -> str:
    """Return the whole picture as an SVG document."""
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" width="920" height="440" fill="#333">',
            '<g font-family="sans-serif"><rect width="920" height="440" fill="white"/>',
            *draw_map(coordinates, labels),
            '<g transform="translate(500 0)">',
            *draw_errors(curves),
            "</g></g></svg>\n",
        ]
    )


def main() -> None:
    """Parse the arguments, run both profiles, print the table, write the picture."""
    parser = argparse.ArgumentParser(description="Network coordinates on a latency model.")
    parser.add_argument("--matrix", type=Path, help="square matrix of round trips, milliseconds")
    parser.add_argument("--nodes", type=int, default=120, help="size of the model")
    parser.add_argument("--rounds", type=int, default=300, help="pings per node")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("coordinates.svg"))
    options = parser.parse_args()
    if options.nodes < 2 or options.rounds < 1:
        parser.error("two nodes and one round are the least")

    model: LatencyModel
    if options.matrix is not None:
        matrix = read_matrix(options.matrix)
        model = matrix
    else:
        matrix = internet(options.nodes, Random(options.seed))
        model = Jittered(matrix)
    pairs = matrix.size * (matrix.size - 1) // 2
    print(f"{matrix.size} nodes, {pairs} pairs, {options.rounds} pings per node")
    print("profile      median    9 in 10  nearest right  in ten best   extra RTT     moves by")
    curves, coordinates = {}, {}
    for name, config in PROFILES.items():
        simulation, curves[name] = run(model, config, options.rounds, options.seed)
        coordinates[name] = simulation.coordinates
        print(report(name, simulation, options.rounds))
    options.output.write_text(picture(coordinates["default"], matrix.labels, curves))
    one, other = coordinates["default"][:2]
    print(
        f"for one, nodes 0 and 1: estimated {one.distance_to(other) * 1e3:.1f} ms, "
        f"in truth {matrix.truth(0, 1) * 1e3:.1f} ms"
    )
    print(f"picture: {options.output}")


if __name__ == "__main__":
    main()
