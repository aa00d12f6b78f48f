"""Quality and cost of text repair (spark_jobs/cleaning/text_repair.py).

    python -m benchmarks.repair quality
    python -m benchmarks.repair cost --tweets 200000

`quality` damages sentences of Airflow's user interface in many languages, and counts exact and false repairs.
`cost` cleans generated tweets in one process, without stems, and prints rows/s. Both print Markdown for
docs/experiments/cleaning.md.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from importlib.resources import files

import ftfy.bad_codecs  # noqa: F401  (registers sloppy-windows-1252, which has all 256 bytes, as browsers read them)
import pyarrow as pa

from benchmarks.varied_tweets import tweets
from spark_jobs.cleaning import rows
from spark_jobs.cleaning.text_repair import repair_text

MIN_SENTENCE = 25


def arg_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure text repair.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("quality", help="share of exact and of false repairs")
    cost = commands.add_parser("cost", help="rows/s of cleaning")
    cost.add_argument("--tweets", type=int, default=200_000)
    return parser


def strings(tree: object) -> Iterator[str]:
    """Yield the texts of a JSON tree."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from strings(value)


def sentences() -> dict[str, list[str]]:
    """Return the translations of at least MIN_SENTENCE characters by language."""
    by_language: dict[str, list[str]] = {}
    for folder in files("airflow").joinpath("ui/dist/i18n/locales").iterdir():
        trees = [
            json.loads(file.read_text("utf-8")) for file in folder.iterdir() if file.name.endswith(".json")
        ]
        texts = (text for tree in trees for text in strings(tree))
        by_language[folder.name] = sorted({text for text in texts if len(text) >= MIN_SENTENCE})
    return by_language


def read_as(encoding: str) -> Callable[[str], str]:
    """Return the damage of a program that reads UTF-8 as `encoding`."""
    return lambda text: text.encode().decode(encoding)


def escaped(text: str) -> str:
    """Return the text as JSON without quotes."""
    return json.dumps(text)[1:-1].replace('\\"', '"')


CP1252, LATIN1 = read_as("sloppy-windows-1252"), read_as("latin-1")
DAMAGES: dict[str, Callable[[str], str]] = {
    "UTF-8 as Windows-1252": CP1252,
    "the same twice": lambda text: CP1252(CP1252(text)),
    "UTF-8 as Latin-1": LATIN1,
    "Latin-1 twice": lambda text: LATIN1(LATIN1(text)),
    "Latin-1, then Windows-1252": lambda text: CP1252(LATIN1(text)),
    "JSON escapes": escaped,
    "JSON escapes of Latin-1": lambda text: escaped(LATIN1(text)),
}


def measure_quality() -> None:
    by_language = sentences()
    clean = [text for texts in by_language.values() for text in texts]
    false = [text for text in clean if repair_text(text) != text]
    print(
        f"{len(clean):,} sentences of {len(by_language)} languages, {len(false)} false repairs: {false[:5]}\n"
    )
    print("| damage | as they are | with a curly quote and an emoji |\n|---|---|---|")
    for name, damage in DAMAGES.items():
        shares = []
        for end in ("", " it’s 💉"):
            texts = [text + end for text in clean if not (text + end).isascii()]
            shares.append(sum(repair_text(damage(text)) == text for text in texts) / len(texts))
        print(f"| {name} | {shares[0]:.1%} | {shares[1]:.1%} |")


def measure_cost(count: int) -> None:
    batches = [batch.select(["safe_text"]) for batch in tweets(count, seed=7)]
    damaged = [
        pa.record_batch([pa.array([CP1252(text) for text in batch["safe_text"].to_pylist()])], ["safe_text"])
        for batch in batches
    ]
    print("| tweets | rows/s |\n|---|---|")
    for name, texts in (("as generated", batches), ("all as mojibake", damaged)):
        started = time.process_time()
        chunks = rows.find_tokens("safe_text")(texts)
        stemmed = (chunk.append_column("stems", chunk.column("words")) for chunk in chunks)
        for _ in rows.join_tokens(stemmed):
            pass
        print(f"| {name} | {count / (time.process_time() - started):,.0f} |")


def main() -> None:
    options = arg_parser().parse_args()
    if options.command == "quality":
        measure_quality()
    else:
        measure_cost(options.tweets)


if __name__ == "__main__":
    main()
