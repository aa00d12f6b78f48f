"""Hypothesis strategies for dumps: valid CSV, damaged CSV and arbitrary bytes."""

from hypothesis import strategies as st

WORDS = [
    "vaccine",
    "measles",
    "my kids",
    "“flu”",
    "&amp;",
    "<url>",
    "<user>",
    "💉",
    "مصل",
    "疫苗",
    "it's",
    "#hpv",
    "a,b",
    '"quoted"',
    '""',
    "\n",
    "\r\n",
    "\r",
    " ",
]
LABELS = [
    "0.0",
    "1.0",
    "-1.0",
    "1",
    "0",
    "-1",
    "",
    " 1 ",
    "-0.0",
    "2.0",
    "0.5",
    "Positive",
    "anti",
    "1e0",
    "NA",
    "nan",
]
AGREEMENTS = ["0.3333333333333333", "0.6666666666666666", "1.0", "1", "", "0", "1.5", "-0.1", "high", "None"]
LINE_ENDS = ["\n", "\n", "\n", "\r\n", "\r"]

texts = st.lists(st.sampled_from(WORDS), min_size=0, max_size=5).map(" ".join)
# There are few ids, so that they repeat within a dump and between dumps.
idents = st.one_of(
    st.integers(0, 60).map(lambda n: f"TWEET{n:03d}"),
    st.integers(0, 10**9).map(str),
    st.sampled_from(["", " ", "not an id", "<user>", "x" * 65, "é", "_-_"]),
)


def quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


def written(field: str, *, always: bool) -> str:
    return quoted(field) if always or any(c in field for c in ',"\n\r') else field


@st.composite
def proper_records(draw: st.DrawFn, columns: int) -> str:
    fields = [draw(idents), draw(texts), draw(st.sampled_from(LABELS)), draw(st.sampled_from(AGREEMENTS))][
        :columns
    ]
    always = draw(st.booleans())
    return ",".join(written(field, always=always) for field in fields)


@st.composite
def broken_records(draw: st.DrawFn, columns: int) -> str:
    """Return a tweet that unquoted line breaks have split. Its pieces may be padded with empty fields."""
    pieces = draw(
        st.lists(st.sampled_from(["so long", "vaccine", "1", "what a day", "<url>"]), min_size=2, max_size=3)
    )
    fill = draw(st.booleans())
    lines = [[f"TWEET{draw(st.integers(0, 60)):03d}", pieces[0]], *([piece] for piece in pieces[1:])]
    lines[-1] += [draw(st.sampled_from(LABELS)), draw(st.sampled_from(AGREEMENTS))][: columns - 2]
    return "\n".join(",".join(line + [""] * (columns - len(line) if fill else 0)) for line in lines)


# Dumps that are loaded and share tweets. Drawing dominates the time of a test, so each record is one draw.
SHARED_TWEETS = [
    f"TWEET{n:03d},{text},{label},1.0"
    for n in range(6)
    for text in ("first", "second")
    for label in ("1.0", "-1.0", "")
]
overlapping_dumps = st.lists(
    st.sampled_from([*SHARED_TWEETS, "no id at all,x,,", "TWEET001,,1.0,1.0"]), min_size=1, max_size=5
).map(lambda records: "\n".join(["tweet_id,safe_text,label,agreement", *records, ""]).encode())

wild_records = st.text(alphabet='",\n\rab 1é', max_size=20)
stray_quotes = st.sampled_from(
    [
        'TWEET001,he said "no" to it,0.0,1.0',
        'TWEET002,"begun",and more,0.0',
        'TWEET003,"done" or not,1.0,1.0',
        'TWEET004,"never closed,1.0,1.0',
        ',"',
        '"',
        "TWEET005",
        "",
    ]
)


@st.composite
def dumps(draw: st.DrawFn, columns: int | None = None, *, wild: bool = True) -> bytes:
    """Return a dump with the header tweet_id,safe_text[,label,agreement]. `wild` adds malformed records."""
    columns = columns or draw(st.sampled_from([2, 4]))
    header = ["tweet_id", "safe_text", "label", "agreement"][:columns]
    kinds = [proper_records(columns)] * 6 + [broken_records(columns)]
    if wild:
        kinds += [wild_records, stray_quotes]
    records = draw(st.lists(st.one_of(kinds), max_size=9))
    line_ends = draw(st.lists(st.sampled_from(LINE_ENDS), min_size=1, max_size=3))
    content = (
        ",".join(header)
        + line_ends[0]
        + "".join(record + line_ends[i % len(line_ends)] for i, record in enumerate(records))
    )
    dump = content.encode()
    if wild and draw(st.integers(0, 9)) == 0:
        # A byte that is invalid in UTF-8.
        place = draw(st.integers(len(",".join(header)) + 2, max(len(dump), len(",".join(header)) + 2)))
        dump = dump[:place] + b"\xff" + dump[place:]
    if draw(st.booleans()):
        dump = dump.rstrip(b"\r\n") or dump
    return (b"\xef\xbb\xbf" if draw(st.integers(0, 4)) == 0 else b"") + dump
