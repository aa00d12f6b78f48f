"""Columns of a tweet in the JSON of Twitter's API (v1.1 and v2), snscrape, twarc and archives."""

from collections.abc import Iterator, Mapping
from typing import Any

Object = Mapping[str, Any]

# Members that hold the tweets of a document with many.
PAGE_MEMBERS = ("data", "tweets", "statuses", "results", "records", "rows")
# Members that wrap one tweet: of archives (`tweets.js`), of streams.
WRAPPERS = ("tweet", "status", "data")
TEXT_MEMBERS = ("full_text", "text", "rawContent", "content")


def expand_pages(document: Object) -> Iterator[Object]:
    """Yield the tweets of a document: itself, the one that it wraps, or those on its page."""
    for name in PAGE_MEMBERS:
        page = document.get(name)
        if isinstance(page, list) and all(isinstance(tweet, dict) for tweet in page):
            included = _included_tweets(document)
            for tweet in page:
                yield _with_whole_text(unwrap(tweet), included)
            return
    yield _with_whole_text(unwrap(document), _included_tweets(document))


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
    return {name: as_text(value) for name, value in tweet.items() if not isinstance(value, dict | list)}


def as_text(value: object) -> str | None:
    """Return a value as it would be written in a CSV file."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
