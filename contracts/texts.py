"""Length of a tweet's text, and protection of CSV files against formula injection."""

# Twitter's longest posts have 25,000 characters, nearly all tweets 280. Loading quarantines longer texts by
# default, and models read no more of a text: tokenising 15 million characters takes a minute and 8 GB.
MAX_TEXT_CHARACTERS = 10_000
# A spreadsheet evaluates a cell that begins with one of these (OWASP, *CSV Injection*). The last four are
# full-width = + - @.
FORMULA_START = r"^[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]"
# Written in front of such a cell, it makes the cell text.
TEXT_PREFIX = "'"
