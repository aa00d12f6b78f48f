"""Replace the handles and links of a token by `<user>` and `<url>`, the placeholders of the training data.

The functions are stricter than the rules that remove both from `normalised` (token_rules.py). They leave no
`@` before a letter, digit or `_`, and no URL with a scheme. They also find:

- e-mail addresses, accounts of other networks (`@name@example.social`), `@name` after a letter or sign;
- links after a letter, `/`, `-` or `_`, links of the scheme ftp, `www.` before any domain.

A link without a scheme needs a top-level domain: `Got it today.MMR/flu both` contains none.
"""

from spark_jobs.cleaning.twitter_patterns import (
    HANDLE,
    HANDLE_PLACEHOLDER,
    HOST,
    LABEL,
    LATIN,
    URL_PLACEHOLDER,
    URL_TAIL,
    URL_WITH_SCHEME,
    compiled,
    either_case,
)

# Country codes of IANA. Those that are words (`it`, `me`) are used by link shorteners.
COUNTRY_CODES = (
    "ac|ad|ae|af|ag|ai|al|am|ao|aq|ar|as|at|au|aw|ax|az|ba|bb|bd|be|bf|bg|bh|bi|bj|bm|bn|bo|br|bs"
    "|bt|bv|bw|by|bz|ca|cc|cd|cf|cg|ch|ci|ck|cl|cm|cn|co|cr|cu|cv|cw|cx|cy|cz|de|dj|dk|dm|do|dz|ec"
    "|ee|eg|er|es|et|eu|fi|fj|fk|fm|fo|fr|ga|gb|gd|ge|gf|gg|gh|gi|gl|gm|gn|gp|gq|gr|gs|gt|gu|gw|gy"
    "|hk|hm|hn|hr|ht|hu|id|ie|il|im|in|io|iq|ir|is|it|je|jm|jo|jp|ke|kg|kh|ki|km|kn|kp|kr|kw|ky|kz"
    "|la|lb|lc|li|lk|lr|ls|lt|lu|lv|ly|ma|mc|md|me|mg|mh|mk|ml|mm|mn|mo|mp|mq|mr|ms|mt|mu|mv|mw|mx"
    "|my|mz|na|nc|ne|nf|ng|ni|nl|no|np|nr|nu|nz|om|pa|pe|pf|pg|ph|pk|pl|pm|pn|pr|ps|pt|pw|py|qa|re"
    "|ro|rs|ru|rw|sa|sb|sc|sd|se|sg|sh|si|sj|sk|sl|sm|sn|so|sr|ss|st|su|sv|sx|sy|sz|tc|td|tf|tg|th"
    "|tj|tk|tl|tm|tn|to|tr|tt|tv|tw|tz|ua|ug|uk|us|uy|uz|va|vc|ve|vg|vi|vn|vu|wf|ws|ye|yt|za|zm|zw"
)
DOMAINS = f"com|net|org|edu|gov|mil|info|biz|int|{COUNTRY_CODES}"

SCHEME = r"(?:[hH][tT]|[fF])[tT][pP][sS]?://"
ANY_URL_WITH_SCHEME = rf"{SCHEME}(?:[A-Za-z0-9._%:+\-]*+@)?(?:{HOST}{URL_TAIL})?…?"
# The path after any other domain in lower case contains a digit or `=`: `good.news/bad` is no link.
URL_WITHOUT_SCHEME = (
    rf"(?<![{LATIN}@#$_\-]|(?<!\.)\.)[_\-]*+\K(?:[wW]{{3}}\.(?:{LABEL}){{1,20}}[A-Za-z]{{2,}}+"
    rf"|(?:{LABEL}){{1,20}}(?:(?:{either_case('ac|co|com|edu|gov|net|org')})\.[A-Za-z]{{2}}(?![A-Za-z0-9@+\-])"
    rf"|(?:{either_case('com|net|org|edu|gov|mil|info|biz|co|tv')})(?![A-Za-z0-9@+\-])"
    rf"|(?:{DOMAINS}|{DOMAINS.upper()})(?=/[{LATIN}])|[a-z]{{2,}}+(?=/[{LATIN}_/\-]*?[0-9=]))){URL_TAIL}"
)
# Also `@name@example.social`.
EMAIL = r"(?<![A-Za-z0-9._%+\-])@?[A-Za-z0-9._%+\-]++@[A-Za-z0-9\-]++(?:\.[A-Za-z0-9\-]++)++"
# `@` before characters that are not drawn and a name.
ANY_HANDLE = r"@\p{Default_Ignorable_Code_Point}*+[A-Za-z0-9_]++"


def replace_links(token: str) -> str:
    """Replace each link by `<url>`."""
    if "://" in token:
        # A link that follows another one without a blank is not a part of it.
        links = compiled(f"(?={SCHEME})").split(token)
        token = "".join(compiled(ANY_URL_WITH_SCHEME).sub(URL_PLACEHOLDER, link) for link in links)
    if "ttp" in token.lower():
        token = compiled(URL_WITH_SCHEME).sub(URL_PLACEHOLDER, token)
    return compiled(URL_WITHOUT_SCHEME).sub(URL_PLACEHOLDER, token) if "." in token else token


def replace_handles(token: str) -> str:
    """Replace each handle and e-mail address by `<user>`."""
    if "@" in token:
        for pattern in (EMAIL, HANDLE, ANY_HANDLE):
            token = compiled(pattern).sub(HANDLE_PLACEHOLDER, token)
    return token
