"""Draw docs/pipeline.svg: the DAGs, the Assets between them, and what starts each DAG.

Nodes and edges come from the DAG files. PLACES decides only where a node stands. `make docs` writes the file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cron_descriptor import Options, get_description
from jinja2 import Template

COLUMN_WIDTH, ROW_HEIGHT, HEIGHT = 184, 74, 48  # pixels
MARGIN_LEFT, MARGIN_TOP = 85, 38


@dataclass(frozen=True)
class Place:
    """Centre of a node in columns and rows. `note` explains an Asset; the note of a DAG is its timetable."""

    column: float
    row: float
    note: str = ""
    width: int = 140


PLACES = {
    "landed_dumps": Place(0, 1, "HDFS folder"),
    "ingest_tweets": Place(0, 2),
    "review_dump": Place(0, 3),
    "reopen_dump": Place(0, 4),
    "retract_dump": Place(0, 5),
    "withdraw_mapping": Place(0, 6),
    "erase_tweets": Place(0, 7),
    "tweets_raw": Place(1, 2, "Delta table"),
    "clean_tweets": Place(2, 2),
    "tweets_clean": Place(3, 2, "Delta table"),
    "explore_tweets": Place(4, 0),
    "train_classifiers": Place(4, 1),
    "models": Place(4 - 36 / COLUMN_WIDTH, 2, "champion", width=68),
    "drift": Place(4 + 36 / COLUMN_WIDTH, 2, "event", width=68),
    "score_tweets": Place(4, 3),
    "cross_validate": Place(4, 4),
    "tune_classifier": Place(4, 5),
    "tweets_scored": Place(5, 3, "Delta table"),
    "maintain_tables": Place(2, 4),
    "watch_platform": Place(2, 5),
    "apply_retention": Place(2, 6),
}

PICTURE = Template(Path(__file__).with_name("pipeline.svg.j2").read_text(), trim_blocks=True)


def draw(dags: Mapping[str, Any]) -> str:
    """Return the picture of the DAGs as SVG. Raises KeyError if a DAG or an Asset is not in PLACES."""
    edges = sorted({edge for dag in dags.values() for edge in find_edges(dag)})
    started = {target for _, target, verb in edges if verb == "starts"}
    nodes = [
        (name, "dag", find_timetable(dag) or ("" if name in started else "manual"))
        for name, dag in dags.items()
    ]
    assets = {name for edge in edges for name in edge[:2]} - set(dags)
    nodes += [(name, "asset", PLACES[name].note) for name in assets]
    return PICTURE.render(
        width=2 * MARGIN_LEFT + COLUMN_WIDTH * round(max(place.column for place in PLACES.values())),
        height=2 * MARGIN_TOP + ROW_HEIGHT * max(place.row for place in PLACES.values()) + 24,
        size=HEIGHT,
        edges=[
            {
                "text": f"{source} {verb} {target}",
                "path": route(PLACES[source], PLACES[target]),
                "dashed": verb == "is read by" or (source in dags and target in dags),
            }
            for source, target, verb in edges
        ],
        nodes=[
            {"name": name, "kind": kind, "note": note, "width": PLACES[name].width}
            | dict(zip("xy", centre(PLACES[name]), strict=True))
            for name, kind, note in sorted(nodes)
        ],
    )


def find_edges(dag: Any) -> Iterator[tuple[str, str, str]]:
    """Yield (source, target, verb) for each edge that a DAG declares."""
    condition = dag.timetable.asset_condition
    starting = {asset.name for asset in condition.objects} if condition else set()
    written = {asset.name for task in dag.tasks for asset in task.outlets}
    read = {asset.name for task in dag.tasks for asset in task.inlets}
    yield from ((name, dag.dag_id, "starts") for name in starting)
    yield from ((dag.dag_id, name, "changes") for name in written)
    yield from ((name, dag.dag_id, "is read by") for name in read - starting - written)
    for task in dag.tasks:
        settings = getattr(task, "partial_kwargs", None) or vars(task)
        if target := settings.get("trigger_dag_id"):
            yield dag.dag_id, target, "starts"


def find_timetable(dag: Any) -> str:
    """Return when a DAG starts by the clock, for example "03:00 Sunday", else an empty string."""
    timetable = getattr(dag.timetable, "timetable", dag.timetable)
    # The attribute is private in the timetables that Airflow's core exports.
    expression = getattr(timetable, "expression", None) or getattr(timetable, "_expression", None)
    if not expression:
        return ""
    description = get_description(expression, Options(use_24hour_time_format=True))
    return description.removeprefix("At ").replace(", only on", "")


def centre(place: Place) -> tuple[float, float]:
    """Return the centre of a node in pixels."""
    return MARGIN_LEFT + round(place.column * COLUMN_WIDTH), MARGIN_TOP + round(place.row * ROW_HEIGHT)


def route(source: Place, target: Place) -> str:
    """Return the SVG path between two nodes: vertical within a column, else a curve from side to side."""
    (x1, y1), (x2, y2) = centre(source), centre(target)
    if abs(source.column - target.column) < 0.5:
        x = x1 if source.width < target.width else x2
        side = HEIGHT // 2 if y2 > y1 else -HEIGHT // 2
        return f"M{x} {y1 + side}V{y2 - side}"
    start, end = x1 + source.width // 2, x2 - target.width // 2
    middle = (start + end) // 2
    return f"M{start} {y1}C{middle} {y1} {middle} {y2} {end} {y2}"
