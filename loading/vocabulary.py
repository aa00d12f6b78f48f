"""Names of columns, words for labels and formats of dates that are understood without a question. Data only.

Names are compared in lower case without blanks and punctuation; words in lower case without blanks around
them.
"""

# Columns by role. Earlier names win, because they are more specific: `id_str` is exact where `id` may be
# rounded.
ID_COLUMNS = ("tweetid", "tweetidstr", "idstr", "statusid", "statusidstr", "id", "idtweet")
# Columns with texts, in tiers. A column of an earlier tier wins; two of one tier with different texts are
# asked about.
TEXT_TIERS = (
    ("safetext", "safetweet"),
    ("fulltext", "rawcontent"),
    ("text", "tweet", "content", "originaltweet", "message", "tweettext", "tweetcontent", "statustext",
     "body", "tweetbody", "contents", "hitsentence", "tweets", "tweetfulltext", "fulltweet", "rawtext",
     "rawtweet", "originaltext", "posttext", "caption", "texto", "texte", "testo", "metin", "tuit",
     "mensaje", "nachricht"),
    ("renderedcontent",),
    ("cleantext", "cleanedtext", "cleantweet", "cleanedtweet", "processedtext", "processedtweet",
    "preprocessedtext"),
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "sentiment", "stance", "annotation", "polarity", "sentimentlabel", "labelsentiment",
    "class", "stars", "rating", "sentiments", "sentimenttype", "overallsentiment", "sentimiento",
    "sentimento", "stimmung", "duygu", "etiqueta", "sentimentclass", "target", "airlinesentiment",
    "tweetsentiment", "opinion", "attitude", "goldlabel", "category",
)  # fmt: skip
LABEL_SUFFIX = "_label"
AGREEMENT_COLUMNS = ("agreement",)
TIME_COLUMNS = (
    "createdat", "tweetcreatedat", "tweetcreated", "timestamp", "datetime", "tweetat", "tweetdate",
    "tweettime", "date", "postedat", "posteddate", "publishedat", "postdate", "created", "createdtime",
    "createddate", "createdutc", "publicationdate", "dateposted", "fecha", "fechahora", "datum", "tarih",
    "timestampms", "time",
)  # fmt: skip
LANG_COLUMNS = ("lang", "language", "tweetlang", "tweetlanguage", "idioma", "langue", "sprache", "dil")

# Values that mean "no value", in any column.
MISSING = ("", "na", "n/a", "nan", "none", "null", "nil", "<na>", "#n/a", "\\n")
# Words for labels. Numbers other than -1, 0, 1 are always asked about: they are coded in many ways.
LABEL_WORDS = {
    -1: ("negative", "extremely negative", "very negative", "neg", "negativo", "negativa", "negatif",
         "négatif", "negativ", "negatief", "olumsuz",
         "anti", "anti-vaccine", "antivaccine", "anti vaccine", "anti-vax", "antivax", "anti-vaxx",
         "against", "con", "-",
         "provaccine: no"),
    0: ("neutral", "neu", "neutro", "neutra", "neutre", "neutral/unclear", "nötr", "netral", "neutrale",
        "neutraal"),
    1: ("positive", "extremely positive", "very positive", "pos", "positivo", "positiva", "positif",
         "positiv", "positief", "olumlu", "pro",
        "pro-vaccine", "provaccine", "pro vaccine", "pro-vax", "provax", "pro-vaxx", "favor", "in favor",
        "favour",
        "in favour", "support", "+"),
}  # fmt: skip

# Offsets of abbreviated time zones that Twitter's tools write. Ambiguous ones (IST, CST of China, BST) are
# left out.
TIME_ZONES = {
    "UTC": "+0000", "GMT": "+0000", "EST": "-0500", "EDT": "-0400", "CST": "-0600", "CDT": "-0500",
    "MST": "-0700",
    "MDT": "-0600", "PST": "-0800", "PDT": "-0700", "CET": "+0100", "CEST": "+0200",
}  # fmt: skip
# Formats that can be read in one way, for dates whose separators were replaced by `-`.
DATE_FORMATS = (
    "%Y-%m-%d",
    "%a %b %d %H:%M:%S %z %Y",
    "%a %b %d %H:%M:%S %Y",
    "%a, %d %b %Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%A, %B %d, %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%I:%M %p - %d %b %Y",
    "%I:%M %p · %b %d, %Y",
    "%b %d, %Y · %I:%M %p %z",
    "%B %d, %Y at %I:%M%p",
    "%Y%m%d",
    "%Y%m%d%H%M%S",
    "%Y%m%d%H%M",
    "epoch seconds",
    "epoch milliseconds",
    "epoch microseconds",
    "epoch nanoseconds",
    "Excel days",
)
# Only one format of a group is right for a dump; the values decide, or a user.
AMBIGUOUS_DATE_FORMATS = (("%d-%m-%Y", "%m-%d-%Y"), ("%d-%m-%y", "%m-%d-%y", "%y-%m-%d"))
# A date may be followed by a time.
TIME_SUFFIXES = (
    "", " %H:%M:%S", " %H:%M", " %H:%M:%S %z", " %I:%M:%S %p", " %I:%M %p", " %H:%M %z", " %I:%M %p %z",
    " %I:%M:%S %p %z",
)  # fmt: skip
