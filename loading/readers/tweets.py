"""Columns of a tweet in the JSON of Twitter's API (v1.1 and v2), snscrape, twarc and archives."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loading.column_names import is_text_name

Object = Mapping[str, Any]

# Members that hold the tweets of a document with many.
PAGE_MEMBERS = ("data", "tweets", "statuses", "results", "records", "rows")
# Members that wrap one tweet: of archives (`tweets.js`), of streams, of tweepy, of Elasticsearch.
WRAPPERS = ("tweet", "status", "data", "_json", "_source")
# Members whose objects are not the tweets of a page, although they may have texts.
OTHER_MEMBERS = ("includes", "error", "errors")
MAX_PAGE_DEPTH = 3
TEXT_MEMBERS = ("full_text", "text", "rawContent", "content")


def expand_pages(document: Object) -> Iterator[Object]:
    """Yield the tweets of a document: itself, the one that it wraps, or those on its page."""
    included = _included_tweets(document)
    for tweet in _find_page(document, MAX_PAGE_DEPTH) or [document]:
        yield _with_whole_text(unwrap(tweet), included)


def _find_page(document: Object, depth: int) -> Sequence[Object] | None:
    """Return the tweets of a document that contains many: on a page, below other members, or in columns."""
    for name in PAGE_MEMBERS:
        if _are_objects(document.get(name)):
            return document[name]  # type: ignore[no-any-return]
    if _has_text(unwrap(document)):
        return None
    members = {name: value for name, value in document.items() if name not in OTHER_MEMBERS}
    for value in members.values():
        if _are_objects(value) and value and _has_text(unwrap(value[0])):
            return value  # type: ignore[no-any-return]
    if table := _rows_of_table(document):
        return table
    inner = (value for value in members.values() if isinstance(value, dict) and depth)
    return next(filter(None, (_find_page(value, depth - 1) for value in inner)), None)


def _rows_of_table(document: Object) -> Sequence[Object]:
    """Return the rows of a table in the JSON of pandas: `split`, `columns`, `list` or `index`; or none."""
    names, rows = document.get("columns"), document.get("data")
    if isinstance(names, list) and isinstance(rows, list) and all(isinstance(row, list) for row in rows):
        return [dict(zip(names, row, strict=False)) for row in rows]
    values = list(document.values())
    if any(map(is_text_name, document)):
        if all(isinstance(value, dict) and value.keys() == values[0].keys() for value in values):
            return [{name: document[name][key] for name in document} for key in values[0]]
        if all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
            return [dict(zip(document, row, strict=True)) for row in zip(*values, strict=True)]
    if len(values) > 1 and _are_objects(values) and all(map(_has_text, values)):
        return [{"id": key, **value} for key, value in document.items()]
    return []


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _has_text(tweet: Object) -> bool:
    return any(isinstance(value, str) and is_text_name(name) for name, value in tweet.items())


def unwrap(tweet: Object) -> Object:
    """Return the tweet within an object that has no text of its own."""
    for name in WRAPPERS:
        inner = tweet.get(name)
        if isinstance(inner, dict) and not any(isinstance(tweet.get(text), str) for text in TEXT_MEMBERS):
            return inner
    return tweet


def _included_tweets(document: Object) -> Mapping[str, Object]:
    included = document.get("includes")
    tweets = included.get("tweets") if isinstance(included, dict) else None
    return {str(t.get("id")): t for t in tweets if isinstance(t, dict)} if isinstance(tweets, list) else {}


def _with_whole_text(tweet: Object, included: Mapping[str, Object]) -> Object:
    """Return a tweet with its whole text: a retweet and a long tweet are abbreviated in `text`."""
    name = next((name for name in TEXT_MEMBERS if isinstance(tweet.get(name), str)), None)
    if name is None:
        return tweet
    text = _whole_text(_retweeted(tweet, included) or tweet)
    return tweet if text is None or text == tweet[name] else {**tweet, name: text}


def _retweeted(tweet: Object, included: Mapping[str, Object]) -> Object | None:
    for name in ("retweeted_status", "retweetedTweet"):
        if isinstance(tweet.get(name), dict):
            return tweet[name]  # type: ignore[no-any-return]
    references = tweet.get("referenced_tweets")
    for reference in references if isinstance(references, list) else []:
        if isinstance(reference, dict) and reference.get("type") == "retweeted":
            # twarc's `flatten` has put the retweeted tweet into the reference.
            found = reference if _whole_text(reference) else included.get(str(reference.get("id")))
            if found is not None:
                return found
    return None


def _whole_text(tweet: Object) -> str | None:
    extended, note = tweet.get("extended_tweet"), tweet.get("note_tweet")
    for holder, name in ((note, "text"), (extended, "full_text"), *((tweet, text) for text in TEXT_MEMBERS)):
        if isinstance(holder, dict) and isinstance(holder.get(name), str):
            return str(holder[name])
    return None


def tweet_columns(tweet: Object) -> Mapping[str, str | None]:
    """Return the members of a tweet that are values, as text."""
    values = {name: _plain_value(value) for name, value in tweet.items()}
    return {name: as_text(value) for name, value in values.items() if not isinstance(value, dict | list)}


def _plain_value(value: object) -> object:
    """Return the only value in a list, or in an object of MongoDB's export like `{"$oid": "5f"}`."""
    while isinstance(value, dict | list) and len(value) == 1:
        [name] = value
        if isinstance(value, dict) and not str(name).startswith("$"):
            break
        value = value[name] if isinstance(value, dict) else name
    return value


def as_text(value: object) -> str | None:
    """Return a value as it would be written in a CSV file."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
