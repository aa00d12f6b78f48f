"""A generated dump of tweets with the warts of real ones, for first runs, tests and benchmarks.

    python -m deploy.sample_dump --tweets 2000 --seed 7 --output dump.csv

Every text is invented. Labels follow the text: each label has its own phrases, so that a classifier can learn them, and one tweet in twelve says
what another label would say, so that no classifier learns them all. Shares of the labels are near 48 % neutral, 41 % positive, 11 % negative;
where agreement is 1/3 the label is always -1, as in the real data. The same seed and number of tweets give the same bytes. Written record by
record: memory does not grow with the number of tweets.
"""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

HEADER = "tweet_id,safe_text,label,agreement"
ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
ID_LENGTH = 8
# Odd and prime to 36**8: multiplying by it walks through all ids without meeting one twice.
ID_STRIDE = 1_234_567_890_121

DISEASES = [
    "measles",
    "flu",
    "polio",
    "mumps",
    "whooping cough",
    "rubella",
    "tetanus",
    "chickenpox",
    "HPV",
    "meningitis",
    "hepatitis B",
    "Ebola",
]
VACCINES = [
    "MMR",
    "flu shot",
    "booster",
    "polio vaccine",
    "HPV vaccine",
    "tetanus jab",
    "vaccine",
    "vaccination",
    "measles vaccine",
    "immunization",
]
PEOPLE = [
    "my kids",
    "my daughter",
    "our children",
    "my son",
    "grandma",
    "my students",
    "all the nurses here",
    "my neighbours",
    "the whole class",
]
PLACES = [
    "California",
    "Kenya",
    "Ohio",
    "Disneyland",
    "Texas",
    "Lagos",
    "our school",
    "the clinic",
    "Minnesota",
    "London",
    "São Paulo",
    "Nairobi",
]
TIMES = [
    "today",
    "this morning",
    "last week",
    "in 2015",
    "this winter",
    "at 3pm",
    "on Monday",
    "before school starts",
    "again",
    "this year",
]
OUTLETS = [
    "CNN",
    "the county",
    "WHO",
    "the health department",
    "NPR",
    "a new study",
    "the ministry",
    "Reuters",
    "local news",
    "the CDC",
]
HASHTAGS = {
    1: ["#VaccinesWork", "#vaccinate", "#GetVaccinated", "#publichealth", "#ThankYouNurses"],
    0: ["#measles", "#health", "#news", "#flu", "#vaccines", "#polio"],
    -1: ["#CDCwhistleblower", "#novaccines", "#MyChoice", "#vaccineinjury"],
}
EMOJI = {
    1: ["💉", "👍", "❤️", "😊", "👩‍⚕️", "🙌🏽", "💪"],
    0: ["📰", "🤔", "💉", "🇰🇪", "🏥"],
    -1: ["😡", "👎", "🙄", "😷", "💀"],
}
TEMPLATES = {
    1: [
        "So glad {people} got the {vaccine} {time}, it saves lives",
        "Please get {people} the {vaccine}. {disease} is no joke",
        "Proud of {place}: nearly everyone has had the {vaccine} now",
        "Science works &amp; so does the {vaccine}. Protect {people}!",
        "Thank you to the nurses in {place} who gave {people} the {vaccine} {time}",
        "Because of the {vaccine}, {disease} is nearly gone. Amazing",
        "Just got my {vaccine} {time}, didn’t hurt at all. Go get yours",
        "Vaccinate {people}. “Herd immunity” protects the babies who can’t get the {vaccine}",
        "Grateful that {people} are safe from {disease} thanks to the {vaccine}",
        "If you love {people}, vaccinate. It's that simple",
    ],
    0: [
        "{outlet}: new cases of {disease} in {place} {time}",
        "{outlet} reports on the {vaccine} supply in {place} <url>",
        "Free {vaccine} clinic in {place} {time}, bring your card",
        "Does anybody know where {people} can get the {vaccine} {time}?",
        "What is the difference between the {vaccine} and the {vaccine2}?",
        "{outlet} will discuss {disease} &amp; the {vaccine} {time} <url>",
        "Judge in {place} hears a case about the {vaccine} {time}",
        "Map: where {disease} was seen {time}, from {outlet}",
        "Watching a documentary on {disease} with {people} {time}",
        "{disease} trial enters phase 2 in {place}, says {outlet}",
    ],
    -1: [
        "I will never give {people} the {vaccine}, they hide the truth",
        "The {vaccine} made {people} sick {time}. Don’t trust {outlet}",
        "Big pharma only wants money from the {vaccine}. Wake up",
        "My body my choice, no forced {vaccine} in {place}!",
        "{outlet} lies about the {vaccine} &amp; autism, what about the toxins",
        "Poison for {people}, that's what the {vaccine} is",
        "More kids hurt by the {vaccine} than by {disease}, nobody tells you",
        "They want to force the {vaccine} on {people}. Refuse it",
    ],
}
OPENINGS = [
    "",
    "",
    "",
    "",
    "RT @user: ",
    "<user> ",
    "RT <user>: ",
    "@user_1 ",
    "Wow. ",
    "OK so, ",
    "Honestly? ",
    ".@user ",
]
ENDINGS = [
    "",
    "",
    "",
    "",
    " <url>",
    " https://t.co/abc123",
    " ...",
    " via <user>",
    "\n<url>",
    " (thread)",
    ", just saying",
    " &lt;3",
    " “really”",
    '\n"quote of the day"',
]
UNLABELLED = "", ""


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Write a generated dump of tweets, with the warts of real ones."
    )
    parser.add_argument(
        "--tweets", type=int, required=True, help="how many records, broken and bad ones included"
    )
    parser.add_argument("--seed", type=int, default=7, help="the same seed and number give the same bytes")
    parser.add_argument("--output", type=Path, required=True, help="the CSV file to write")
    arguments = parser.parse_args()
    if arguments.tweets < 1:
        parser.error("--tweets must be at least 1")
    return arguments


def tweet_id(seed: int, number: int) -> str:
    """The id of the tweet `number` of `seed`: eight capital letters and digits, different for different numbers below 36**8."""
    rest = ((number + 1) * ID_STRIDE + seed * 7_919_000_003) % len(ID_LETTERS) ** ID_LENGTH
    letters = []
    for _ in range(ID_LENGTH):
        rest, letter = divmod(rest, len(ID_LETTERS))
        letters.append(ID_LETTERS[letter])
    return "".join(letters)


def invent_text(draw: random.Random, label: int) -> str:
    """A tweet that says what `label` says; some texts contain line breaks, commas, quotes, entities and emoji."""
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
    """What the text says (-1, 0, 1), and label and agreement as they are written in the dump."""
    share = draw.random()
    label = 0 if share < 0.48 else 1 if share < 0.89 else -1
    certainty = draw.random()
    if label == -1:
        # Three different votes: the tie was broken towards -1, whatever the text says.
        if certainty < 0.23:
            return draw.choice((-1, 0, 1)), "-1.0", "0.3333333333333333"
        agreement = "1.0" if certainty < 0.6 else "0.6666666666666666"
    else:
        agreement = "1.0" if certainty < 0.61 else "0.6666666666666666"
    says = label if draw.random() > 0.12 else draw.choice((-1, 0, 1))
    return says, f"{label}.0", agreement


def csv_field(text: str) -> str:
    """`text` as one CSV field, quoted where it must be."""
    if '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return f'"{text}"' if "," in text or "\n" in text else text


def bad_record(kind: int, ident: str, text: str) -> str:
    """A record that a row rule refuses; eight kinds, one after the other."""
    plain = csv_field(text)
    kinds = (
        f",{plain},0.0,1.0",  # no id
        f"{ident},,1.0,1.0",  # no text
        f"{ident},{plain},2.0,1.0",  # no such label
        f"{ident},{plain},0.0,1.5",  # no such agreement
        f"{ident},{plain},positive,0.6666666666666666",  # a label in words
        f"{ident},{plain},0.0",  # a field is missing
        f"{ident},{plain},0.0,1.0,extra",  # a field too many
        f"not an id,{plain},0.0,1.0",  # an id with white space
    )
    return kinds[kind % len(kinds)]


def records(tweets: int, seed: int) -> Iterator[str]:
    """`tweets` CSV records without their last line end; where a record is broken by an unquoted line break, both pieces count."""
    draw = random.Random(seed)  # noqa: S311 - invented tweets, not secrets
    # A dump of any size has each wart at least once, when it has room for them: at these records, and later at random.
    sure = {21: "broken", 34: "duplicate", 55: "conflict", 89: "unlabelled", 120: "bad"}
    earlier: list[tuple[str, str, str, str]] = []
    number = bad = 0
    while number < tweets:
        ident = tweet_id(seed, number)
        says, label, agreement = draw_votes(draw)
        text = invent_text(draw, says)
        chance = draw.random()
        wart = sure.get(number)
        if wart is None and earlier:
            wart = (
                "bad"
                if chance < 0.004
                else "broken"
                if chance < 0.0045
                else "duplicate"
                if chance < 0.009
                else "conflict"
                if chance < 0.013
                else "unlabelled"
                if chance < 0.018
                else None
            )
        if wart == "broken" and number + 1 < tweets:
            # As seen in real dumps: a program before us took the line break for the end of the record and filled both up with empty fields.
            words = text.replace("\n", " ").replace(",", "").replace('"', "").split()
            middle = len(words) // 2
            yield f"{ident},{' '.join(words[:middle])},,"
            yield f"{' '.join(words[middle:])},{label},{agreement},"
            number += 2
            continue
        if wart == "duplicate":
            ident, text, label, agreement = draw.choice(earlier)
        elif wart == "conflict":
            # Another tweet with the same words, which its voters read differently.
            text = draw.choice(earlier)[1]
        elif wart == "unlabelled":
            label, agreement = UNLABELLED
        number += 1
        if wart == "bad":
            yield bad_record(bad, ident, text)
            bad += 1
            continue
        if number % 20 == 1:
            earlier.append((ident, text, label, agreement))
            if len(earlier) > 500:
                del earlier[: len(earlier) // 2]
        yield f"{ident},{csv_field(text)},{label},{agreement}"


def write_dump(tweets: int, seed: int, output: Path) -> None:
    with output.open("w", encoding="utf-8", newline="") as dump:
        dump.write(HEADER + "\n")
        dump.writelines(record + "\n" for record in records(tweets, seed))


if __name__ == "__main__":
    arguments = read_arguments()
    write_dump(arguments.tweets, arguments.seed, arguments.output)
