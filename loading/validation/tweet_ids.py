"""Valid ids of tweets, and exact ids in the notation of a program."""

import re

MAX_ID_CHARACTERS = 64
TWEET_ID = re.compile(rf"[0-9A-Za-z_-]{{1,{MAX_ID_CHARACTERS}}}\Z")
# Notations of programs: ="123" (Excel's text), ['123'] (Python's list), '123, 123.0, and long ones as rtweet
# (x123) and Python 2 (123L) write them.
CURABLE = re.compile(
    r"""\s*(?:="(?P<a>[\w-]+)"|\[+\s*['"]?(?P<b>[\w-]+)['"]?\s*\]+|['"](?P<c>[\w-]+)['"]?|(?P<d>\d+)\.0+|x(?P<f>\d{15,20})|(?P<g>\d{15,20})L|(?P<e>[\w-]+))\s*""",
    re.ASCII,
)
# From here a floating-point number skips integers.
EXACT_FLOAT_LIMIT = 2**53


def cure(value: str) -> str:
    """Return the id in a value if it is exact, else the value.

    >>> cure('="123"'), cure("['123']"), cure("123.0"), cure("1.34E+18"), cure("1366300887539908608.0")
    ('123', '123', '123', '1.34E+18', '1366300887539908608.0')
    """
    match = CURABLE.fullmatch(value)
    if match is None or (match["d"] and int(match["d"]) >= EXACT_FLOAT_LIMIT):
        return value
    return next(group for group in match.groups() if group is not None)
