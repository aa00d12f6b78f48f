"""Statistics that several stages share: limits, and the counts in each report of `score_tweets`.

`sentiment.parquet` has counts by label for the page *Sentiment*. A row counts the tweets
of one day that are in one dump, or that have one hashtag.

| column | type | content |
|---|---|---|
| `kind` | string | DUMP or HASHTAG |
| `part` | string | SHA-256 of the dump, or the hashtag without # |
| `day` | date | date of the tweets (UTC); null: unknown |
| `text_id` | long | hash of the text if several scored tweets have it; null: the tweets have distinct texts |
| COUNTS | int | tweets by their own label, and tweets without a label by the predicted label |
| `dated_by` | string | TWEET; or DELIVERY if no tweet has a date: `day` is that of the delivery of the dump |
| `confusion` | string | JSON: counts on the eval side of the champion; rows are true labels |

Thus the counts of each text are known for any days of any part. The intervals of the shares resample texts
(reporting/shares.py).
"""

from contracts.labels import CLASS_NAMES

# Smallest sample whose label shares are measured. In smaller samples, random differences exceed the limits.
MIN_ROWS_FOR_STATISTICS = 200

SENTIMENT_FILE = "sentiment.parquet"
DUMP, HASHTAG = "dump", "hashtag"
TWEET, DELIVERY = "tweet", "delivery"
# Number of tweets by their own label, and of tweets without a label by the predicted label.
COUNTS = tuple(f"{kind}_{name}" for kind in ("labelled", "predicted") for name in CLASS_NAMES)
