"""Protection of CSV files against formula injection (OWASP, *CSV Injection*)."""

# A spreadsheet evaluates a cell that begins with one of these. The last four are full-width = + - @.
FORMULA_START = r"^[=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]"
# Written in front of such a cell, it makes the cell text.
TEXT_PREFIX = "'"
