"""From the columns of a dump to tweets: aliases, vocabularies, questions, conversion of the values."""
