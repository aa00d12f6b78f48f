"""The one order of the labels: class id 0, 1, 2 inside a model is label -1, 0, 1 everywhere else."""

LABELS = (-1, 0, 1)
CLASS_NAMES = ("negative", "neutral", "positive")
PROBABILITIES = [f"p_{name}" for name in CLASS_NAMES]

# What a saved model carries in its config.json. Transformers wants strings; `int(id2label[class_id])` is the label.
ID2LABEL = {class_id: str(label) for class_id, label in enumerate(LABELS)}
LABEL2ID = {name: class_id for class_id, name in ID2LABEL.items()}

# Labels are consecutive integers: label + LABEL_TO_CLASS_OFFSET is the class id.
LABEL_TO_CLASS_OFFSET = -LABELS[0]
