"""Length of a tweet's text."""

# Twitter's longest posts have 25,000 characters, nearly all tweets 280. Loading quarantines longer texts by
# default, and models read no more of a text: tokenising 15 million characters takes a minute and 8 GB.
MAX_TEXT_CHARACTERS = 10_000
