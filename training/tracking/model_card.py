"""Model card of a registered version (Mitchell et al. 2019, Model Cards for Model Reporting), in Markdown."""

from collections.abc import Mapping

from contracts.labels import LABEL_NAMES
from training.models.presets import LICENCES, PRESETS

CARD = """\
**{preset}**: {reason}

**Use.** Classifies a tweet about vaccines as negative (-1), neutral (0) or positive (+1) towards \
vaccination, with a probability for each. For shares over many tweets, not for decisions about a person.

**Data.** Version {table_version} of `tweets_clean`, column `{text_column}`: {train_rows} tweets for \
training, {validation_rows} for validation, {eval_rows} held out. All copies of a text are in one part. \
Labels of the training tweets: {label_shares}.

**Recipe.** {recipe}

**Figures** on the held-out tweets, with 95 % bootstrap intervals:

| metric | value | from | to |
|---|---|---|---|
{figures}

**Limits.** Measured on tweets like those of the training data. On other languages, topics or years it may \
be worse. Drift is measured on texts, predicted labels and probabilities only. Labels are votes of a few \
annotators, who do not always agree.

**Licence** of the initial weights: {licence}.
"""
SHOWN = ("accuracy", "macro_f1", "rmse", "loss", "ece", "f1_negative", "f1_neutral", "f1_positive")
RECIPE = (
    *("checkpoint", "epochs", "learning_rate", "batch_size", "r_drop", "pooling", "freeze_embeddings"),
    *("targets", "class_weight_power", "teacher", "hash_bits", "inverse_regularisation", "seed"),
)


def model_card(
    params: Mapping[str, str], metrics: Mapping[str, float], preset: str, text_column: str, reason: str
) -> str:
    """Return the card of a version from the parameters of its MLflow run and its metrics on the eval side.

    The metrics have intervals, `<metric>_low` and `<metric>_high`.
    """
    data = {
        name: f"{int(params[f'dataset.{name}']):,}" for name in ("train_rows", "validation_rows", "eval_rows")
    }
    shares = (
        f"{float(params[f'dataset.label_shares.{label}']):.1%} {name}" for label, name in LABEL_NAMES.items()
    )
    recipe = ", ".join(
        f"{name.replace('_', ' ')} {params[f'config.{name}']}"
        for name in RECIPE
        if params.get(f"config.{name}", "None") != "None"
    )
    figures = "\n".join(
        f"| {name.replace('_', ' ')} | "
        + " | ".join(f"{metrics[f'{name}{end}']:.3f}" for end in ("", "_low", "_high"))
        + " |"
        for name in SHOWN
        if f"{name}_low" in metrics
    )
    return CARD.format(
        **data,
        preset=preset,
        text_column=text_column,
        reason=reason,
        table_version=params["dataset.table_version"],
        label_shares=", ".join(shares),
        recipe=recipe,
        figures=figures,
        licence=licence_of(preset, params.get("config.checkpoint")),
    )


def licence_of(preset: str, checkpoint: str | None) -> str:
    """Return the licence of the weights of a training. A preset can start from other weights than its own."""
    is_own = preset in PRESETS and checkpoint == getattr(PRESETS[preset], "checkpoint", None)
    return LICENCES[preset] if is_own else "see the source of the weights"
