"""Generate a dump of invented tweets with the defects of real dumps, for first runs, tests and benchmarks.

    python -m deploy.common.sample_dump --tweets 2000 --seed 7 --output dump.csv

Each label has its own sentences, so that a classifier can learn them. One tweet in twelve has a sentence of
another label, so that no classifier reaches 100 % accuracy. About 48 % of the labels are neutral, 41 %
positive and 11 % negative. An agreement of 1/3 always has the label -1, as in the real data. Output is
deterministic for a seed and a number of tweets, and memory does not grow with the number of tweets.
"""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

from deploy.common.sample_texts import (
    DISEASES,
    EMOJI,
    ENDINGS,
    HASHTAGS,
    OPENINGS,
    OUTLETS,
    PEOPLE,
    PLACES,
    TEMPLATES,
    TIMES,
    VACCINES,
)

HEADER = "tweet_id,safe_text,label,agreement"
ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
ID_LENGTH = 8
# Coprime to 36**8: its multiples modulo 36**8 are all different.
ID_STRIDE = 1_234_567_890_121
# A dump that is large enough contains each defect at least once, at this record. Others are drawn at random.
FIRST_DEFECTS = {21: "broken", 34: "duplicate", 55: "conflict", 89: "unlabelled", 120: "bad"}
# Upper end of each defect's interval in [0, 1).
DEFECT_CHANCES = {"bad": 0.004, "broken": 0.0045, "duplicate": 0.009, "conflict": 0.013, "unlabelled": 0.018}


def read_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description="Generate a dump of invented tweets.")
    parser.add_argument("--tweets", type=int, required=True, help="number of records, including invalid ones")
    parser.add_argument("--seed", type=int, default=7, help="seed of the random numbers (default: 7)")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    arguments = parser.parse_args()
    if arguments.tweets < 1:
        parser.error("--tweets must be at least 1")
    return arguments


def tweet_id(seed: int, number: int) -> str:
    """Return eight capital letters and digits, different for each number below 36**8."""
    rest = ((number + 1) * ID_STRIDE + seed * 7_919_000_003) % len(ID_LETTERS) ** ID_LENGTH
    letters = []
    for _ in range(ID_LENGTH):
        rest, letter = divmod(rest, len(ID_LETTERS))
        letters.append(ID_LETTERS[letter])
    return "".join(letters)


def invent_text(draw: random.Random, label: int) -> str:
    """Return a text with a label. Some texts contain line breaks, commas, quotes, entities and emoji."""
    random_number = draw.random
    pick = lambda choices: choices[int(random_number() * len(choices))]  # noqa: E731 - three times as fast as Random.choice
    text = pick(TEMPLATES[label]).format(
        people=pick(PEOPLE),
        vaccine=pick(VACCINES),
        vaccine2=pick(VACCINES),
        disease=pick(DISEASES),
        place=pick(PLACES),
        time=pick(TIMES),
        outlet=pick(OUTLETS),
    )
    text = pick(OPENINGS) + text
    if random_number() < 0.35:
        text += " " + pick(HASHTAGS[label])
    if random_number() < 0.2:
        text += " " + pick(EMOJI[label])
    return text + pick(ENDINGS)


def draw_votes(draw: random.Random) -> tuple[int, str, str]:
    """Return the label of the text's sentence (-1, 0, 1), and the fields label and agreement."""
    share = draw.random()
    label = 0 if share < 0.48 else 1 if share < 0.89 else -1
    certainty = draw.random()
    if label == -1:
        # Three different votes: the label is -1 for any text.
        if certainty < 0.23:
            return draw.choice((-1, 0, 1)), "-1.0", "0.3333333333333333"
        agreement = "1.0" if certainty < 0.6 else "0.6666666666666666"
    else:
        agreement = "1.0" if certainty < 0.61 else "0.6666666666666666"
    text_label = label if draw.random() > 0.12 else draw.choice((-1, 0, 1))
    return text_label, f"{label}.0", agreement


def csv_field(text: str) -> str:
    """Return a text as a CSV field, quoted if necessary."""
    if '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return f'"{text}"' if "," in text or "\n" in text else text


def bad_record(kind: int, ident: str, text: str) -> str:
    """Return an invalid record. There are eight kinds."""
    plain = csv_field(text)
    kinds = (
        f",{plain},0.0,1.0",  # no id
        f"{ident},,1.0,1.0",  # no text
        f"{ident},{plain},2.0,1.0",  # label out of range
        f"{ident},{plain},0.0,1.5",  # agreement out of range
        f"{ident},{plain},positive,0.6666666666666666",  # label is not a number
        f"{ident},{plain},0.0",  # a missing field
        f"{ident},{plain},0.0,1.0,extra",  # an extra field
        f"not an id,{plain},0.0,1.0",  # an id with white space
    )
    return kinds[kind % len(kinds)]


def records(tweets: int, seed: int) -> Iterator[str]:
    """Yield CSV records without line ends. Both parts of a broken record count."""
    draw = random.Random(seed)  # noqa: S311 - invented tweets, not secrets
    earlier: list[tuple[str, str, str, str]] = []
    number = bad = 0
    while number < tweets:
        ident = tweet_id(seed, number)
        text_label, label, agreement = draw_votes(draw)
        text = invent_text(draw, text_label)
        chance = draw.random()
        defect = FIRST_DEFECTS.get(number)
        if defect is None and earlier:
            defect = next((name for name, end in DEFECT_CHANCES.items() if chance < end), None)
        if defect == "broken" and number + 1 < tweets:
            # As in real dumps: an earlier program split the record at a line break and padded both parts.
            words = text.replace("\n", " ").replace(",", "").replace('"', "").split()
            middle = len(words) // 2
            yield f"{ident},{' '.join(words[:middle])},,"
            yield f"{' '.join(words[middle:])},{label},{agreement},"
            number += 2
            continue
        if defect == "duplicate":
            ident, text, label, agreement = draw.choice(earlier)
        elif defect == "conflict":
            text = draw.choice(earlier)[1]  # the same text with another label
        elif defect == "unlabelled":
            label = agreement = ""
        number += 1
        if defect == "bad":
            yield bad_record(bad, ident, text)
            bad += 1
            continue
        if number % 20 == 1:
            earlier.append((ident, text, label, agreement))
            if len(earlier) > 500:
                del earlier[: len(earlier) // 2]
        yield f"{ident},{csv_field(text)},{label},{agreement}"


def write_dump(tweets: int, seed: int, output: Path) -> None:
    """Write a dump to a file."""
    with output.open("w", encoding="utf-8", newline="") as dump:
        dump.write(HEADER + "\n")
        dump.writelines(record + "\n" for record in records(tweets, seed))


if __name__ == "__main__":
    arguments = read_arguments()
    write_dump(arguments.tweets, arguments.seed, arguments.output)
