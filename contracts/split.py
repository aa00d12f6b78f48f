"""The train/eval split. A tweet's side is a function of its `text_group` alone."""

# `eval` for text groups below this, one fifth of the range of eight hexadecimal digits, else `train`.
EVAL_BELOW = "33333333"


def is_eval(text_group: str) -> bool:
    """Return whether labelled tweets of a text group are on the eval side.

    >>> is_eval("3" * 7 + "2"), is_eval("3" * 8)
    (True, False)
    """
    return text_group[:8] < EVAL_BELOW
