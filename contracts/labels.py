"""Labels of a tweet: -1 negative, 0 neutral, 1 positive. Models use the class ids 0, 1, 2, in this order."""

LABEL_NAMES = {-1: "negative", 0: "neutral", 1: "positive"}
LABELS = tuple(LABEL_NAMES)
CLASS_NAMES = tuple(LABEL_NAMES.values())
PROBABILITY_COLUMNS = tuple(f"p_{name}" for name in CLASS_NAMES)

# In a proposed mapping: a label value whose meaning a user must give.
UNANSWERED = "?"

# Entries of a model's config.json. transformers requires strings; `int(ID2LABEL[class_id])` is the label.
ID2LABEL = {class_id: str(label) for class_id, label in enumerate(LABELS)}
LABEL2ID = {name: class_id for class_id, name in ID2LABEL.items()}

# Labels are consecutive integers: label + LABEL_TO_CLASS_OFFSET is the class id.
LABEL_TO_CLASS_OFFSET = -LABELS[0]
