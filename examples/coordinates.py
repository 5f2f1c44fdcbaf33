"""What network coordinates are: run an internet in memory, print a table, draw a map.

Every node starts in the same spot, knowing nothing. In each round it pings one other node,
learns the round trip time and that node's coordinate, and moves its own a little. After some
hundred rounds the distance between any two coordinates predicts their round trip time, also
for the pairs that never spoke: 120 nodes have 7,140 pairs, and each node pinged some hundred.

    python examples/coordinates.py                      # an internet-like model
    python examples/coordinates.py --matrix rtts.txt    # measured round trips, milliseconds

The table compares the default profile with Serf's. The picture shows where the nodes came to
lie and how fast their estimates became right; it needs the extra `examples`.
"""

from __future__ import annotations

import argparse
import gzip
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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

COLOURS = ("#4269d0", "#efb118", "#e2553d", "#54b399", "#a463f2", "#97bbf5")
PROFILES = {"default": Config(), "serf": Config.serf()}
PROFILE_COLOURS = {"default": "#2a7f3f", "serf": "#d9602b"}

Curve = list[tuple[int, float]]


def read_matrix(path: Path) -> Matrix:
    """Return the matrix in a text file, gzipped or not; milliseconds, a row per line."""
    data = path.read_bytes()
    return parse_matrix((gzip.decompress(data) if path.suffix == ".gz" else data).decode())


def run(model: LatencyModel, config: Config, rounds: int, seed: int) -> tuple[Simulation, Curve]:
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


def flattened(coordinates: list[Coordinate]) -> list[list[float]]:
    """Return x and y of each node, in ms: the two directions in which vectors differ most."""
    import numpy as np  # noqa: PLC0415 - comes with matplotlib

    vectors = np.array([coordinate.vector for coordinate in coordinates]) * 1e3
    vectors -= vectors.mean(axis=0)
    _, _, directions = np.linalg.svd(vectors)
    # Principal components have no sign: let node 0 lie at the upper right in every picture.
    points = vectors @ directions[:2].T
    flat: list[list[float]] = (points * np.where(points[0] < 0.0, -1.0, 1.0)).tolist()
    return flat


def typical(simulation: Simulation) -> int:
    """Return the one of the far half of the nodes whose distance to node 0 is as wrong as most."""
    coordinates, model = simulation.coordinates, simulation.model
    others = sorted(range(1, model.size), key=lambda i: model.truth(0, i))
    far = others[len(others) // 2 :]
    errors = {i: relative_errors(coordinates, model, among=(0, i)) for i in far}
    return sorted(far, key=errors.__getitem__)[len(far) // 2]


def draw_map(axes: Axes, simulation: Simulation, labels: tuple[str, ...]) -> None:
    """Draw the nodes, a disc each that grows with the height, and one distance to read."""
    coordinates, points = simulation.coordinates, flattened(simulation.coordinates)
    for k, group in enumerate(dict.fromkeys(labels or ("nodes",))):
        chosen = [i for i in range(len(points)) if not labels or labels[i] == group]
        axes.scatter(
            [points[i][0] for i in chosen],
            [points[i][1] for i in chosen],
            s=[20.0 + 40e3 * min(coordinates[i].height, 0.02) for i in chosen],
            color=COLOURS[k % len(COLOURS)],
            alpha=0.7,
            edgecolor="white",
            linewidth=0.7,
            label=group,
        )
    other = typical(simulation)
    estimate = coordinates[0].distance_to(coordinates[other]) * 1e3
    truth = simulation.model.truth(0, other) * 1e3
    axes.plot(*zip(points[0], points[other], strict=True), color="#222222", marker="o")
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(
        "milliseconds\n"
        f"a typical pair, joined by a line: estimated {estimate:.0f} ms, in truth {truth:.0f} ms"
    )


def draw_errors(axes: Axes, curves: dict[str, Curve]) -> None:
    """Draw the median error over the rounds, the profile's name at the end of its line."""
    for name, curve in curves.items():
        rounds, errors = zip(*curve, strict=True)
        axes.plot(rounds, errors, color=PROFILE_COLOURS[name], linewidth=2.4)
        axes.annotate(
            f"{name} {errors[-1]:.1%}",
            (rounds[-1], errors[-1]),
            xytext=(0, 20),
            textcoords="offset points",
            horizontalalignment="right",
            color=PROFILE_COLOURS[name],
            fontsize=13,
            weight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2.0},
        )
    ticks = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_yticks(ticks, [f"{tick:.0%}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(low, high)
    axes.set_xlabel("pings per node")
    axes.set_title("How wrong estimates are: median of all pairs")


def draw(
    picture: Path,
    simulations: dict[str, Simulation],
    labels: tuple[str, ...],
    curves: dict[str, Curve],
) -> None:
    """Write the picture: a map for each profile, and how their errors fell."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - the table does without it

    figure = Figure(figsize=(15, 5.8), dpi=120, layout="constrained")
    *maps, errors = figure.subplots(1, len(simulations) + 1)
    for axes, (name, simulation) in zip(maps, simulations.items(), strict=True):
        draw_map(axes, simulation, labels)
        axes.set_title(f"Where the nodes came to lie: {name} profile")
    draw_errors(errors, curves)
    for axes in (*maps, errors):
        axes.grid(color="#e6e6e6")
        axes.set_axisbelow(True)
        axes.spines[:].set_color("#cccccc")
    handles = maps[0].get_legend_handles_labels()
    figure.legend(
        *handles,
        loc="outside lower center",
        ncols=len(handles[1]),
        frameon=False,
        title="a larger disc has a slower access link",
    )
    figure.suptitle(
        "Network coordinates: distance on the map is round-trip time, also between nodes that "
        "never pinged each other",
        fontsize=14,
    )
    figure.savefig(picture)


def main() -> None:
    """Parse the arguments, run both profiles, print the table, write the picture."""
    parser = argparse.ArgumentParser(description="Network coordinates on a latency model.")
    parser.add_argument("--matrix", type=Path, help="square matrix of round trips, milliseconds")
    parser.add_argument("--nodes", type=int, default=120, help="size of the model")
    parser.add_argument("--rounds", type=int, default=300, help="pings per node")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picture", type=Path, default=Path("coordinates.png"))
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
    curves, simulations = {}, {}
    for name, config in PROFILES.items():
        simulations[name], curves[name] = run(model, config, options.rounds, options.seed)
        print(report(name, simulations[name], options.rounds))
    try:
        draw(options.picture, simulations, matrix.labels, curves)
    except ImportError:
        print("no picture: matplotlib is missing, install the extra: pip install '.[examples]'")
    except (OSError, ValueError) as error:
        sys.exit(f"no picture: {error}")
    else:
        print(f"picture: {options.picture}")


if __name__ == "__main__":
    main()
