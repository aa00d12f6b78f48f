"""Repair of damaged encodings. Every text is invented."""

import time

import pyarrow as pa
import pytest

from spark_jobs.cleaning.text_repair import repair_text, repair_texts

DAMAGED = [
    # UTF-8 read as Windows-1252, as Latin-1, twice, as Windows-1251
    ("itâ€™s time ðŸ’‰", "it’s time 💉"),
    ("itâ\x80\x99s", "it’s"),
    ("Ã©tÃ© vaccinÃ©", "été vacciné"),
    ("vacunaciÃƒÂ³n", "vacunación"),
    ("РџСЂРёРІРµС‚ РјРёСЂ", "Привет мир"),
    # one damaged part
    ("vacunación — itâ€™s", "vacunación — it’s"),
    # Windows-1252 read as Latin-1
    ("it\x92s \x93safe\x94", "it’s “safe”"),
    # literal escapes, of JSON and of Python
    (r"first\nsecond\n\n#third", "first\nsecond\n\n#third"),
    (r"a \t b\r\n", "a \t b\r\n"),
    (r"vacunaci\u00f3n \ud83d\udc89 \U0001f489", "vacunación 💉 💉"),
    (r"b'caf\xc3\xa9 \xf0\x9f\x92\x89'", "b'café 💉'"),
    # white space is not decoded where backslashes are meant, characters are
    (r"C:\new \u00e9", r"C:\new é"),
    # mojibake in escapes
    (r"it\u00e2\u0080\u0099s", "it’s"),
]
SOUND = [
    "",
    "Vaccines work",
    "“It’s safe” — ﬁne… ½ price, 10³ ＦＬＵ ①",
    "\x1b[31mred\x1b[0m a\r\nb e\u0301",
    "Früh geimpft: Ä Ö Ü, naïve façade, MÜNCHEN",
    "São Paulo: vacinação já!",
    "疫苗接種しました",
    "Прививка от гриппа",
    "لقاح الحصبة",
    "💉👩‍⚕️",
    "&amp; &eacute;",
    # backslashes that are meant
    r"C:\new\table",
    r"\\server\news\n",
    r"[^\n]+ or \d+\n",
    r"\textbf{flu}\n",
    r"a\\n b",
    r"measles\rubella, flu\tetanus, \m/ \o/ ¯\_(ツ)_/¯",
    # no text: half a pair, a control character, a backslash, broken UTF-8
    r"\ud83d \u0000 \u005cn \xc3\x28 \xe9",
]


@pytest.mark.parametrize(("damaged", "text"), DAMAGED)
def test_damaged_text_is_repaired(damaged: str, text: str) -> None:
    assert repair_text(damaged) == text


@pytest.mark.parametrize("text", SOUND)
def test_sound_text_stays_as_it_is(text: str) -> None:
    assert repair_text(text) == text


def test_a_batch_is_repaired_like_its_texts() -> None:
    # The search that selects texts misses none; also in a slice.
    texts = [*SOUND, *(damaged for damaged, _ in DAMAGED)]
    assert repair_texts(pa.array(["Ã©", *texts], pa.string())[1:]).to_pylist() == list(
        map(repair_text, texts)
    )
    assert repair_texts(pa.array([], pa.string())).to_pylist() == []


@pytest.mark.parametrize(
    "piece", ["Ã¢â‚¬â„¢", "ÃƒÆ’Ã†â€™", r"\u00e2\u0080\u0099", r"\xc3\xa9", r"é\n", "\\", "â€"]
)
def test_repair_takes_linear_time(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    started = time.process_time()
    repair_text(text)
    assert time.process_time() - started < 10
