"""Which tweets train a model and which judge it: a function of the text alone.

All copies of a text share one `text_group`, and the side is read off the group's hash: no copy of a training text is ever in eval, and a
tweet never changes sides when new dumps come.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

# Never change it: tweets would change sides. It is the first of vaxpulse-0, vaxpulse-1, ... with which, on the 8,010 labelled real tweets, eval
# holds a fifth of each label and each label's share in eval is its share in all, both within a percentage point (0.36 points at most; 46 of
# the first 200 salts hold to a point, a hash alone strays further).
SALT = "vaxpulse-0"
# One fifth of the range of eight hexadecimal digits.
EVAL_BELOW = "33333333"


def text_group(normalised_text: Column) -> Column:
    """MD5 (an identity, no security), in hexadecimal, of the salted text: lower case, handles and URLs out, only letters and digits."""
    return F.md5(F.concat(F.lit(SALT), normalised_text))


def split(group: Column, label: Column) -> Column:
    """`eval` for the fifth of the groups with the lowest hashes, else `train`; `unlabelled` where `label` is null."""
    side = F.when(F.substring(group, 1, 8) < EVAL_BELOW, "eval").otherwise("train")
    return F.when(label.isNull(), "unlabelled").otherwise(side)
