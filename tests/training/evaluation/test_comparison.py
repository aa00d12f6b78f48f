import numpy as np
import pandas as pd
import pytest

from contracts.exit_status import InputError
from training.evaluation.comparison import (
    PromotionPolicy,
    best_candidate,
    constant_predictions,
    decide,
    opponent_metrics,
    row_keys,
)
from training.evaluation.comparison_page import (
    ComparedModel,
    comparison_page,
    csv_table,
    loss_table,
    study_table,
)

RULE = PromotionPolicy("accuracy", margin=0.0, confidence=0.95)


def predictions(right: float, rows: int = 1000, seed: int = 1) -> pd.DataFrame:
    """Return the predictions of a model that is right about a share of the tweets."""
    draw = np.random.default_rng(seed)
    labels = np.random.default_rng(0).integers(-1, 2, rows)
    guessed = np.where(draw.random(rows) < right, labels + 1, (labels + 2) % 3)
    probabilities = np.full((rows, 3), 0.1) + 0.7 * np.eye(3)[guessed]
    ids = [f"T{number}" for number in range(rows)]
    return pd.DataFrame({"tweet_id": ids, "label": labels, "agreement": 1.0, "text_group": ids}).assign(
        p_negative=probabilities[:, 0], p_neutral=probabilities[:, 1], p_positive=probabilities[:, 2]
    )


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "rmse", "loss"])
def test_a_much_better_model_replaces_the_champion_by_any_metric_and_not_vice_versa(
    metric,
) -> None:
    good, bad, rule = predictions(0.9), predictions(0.6, seed=2), PromotionPolicy(metric, 0.0, 0.95)
    assert decide(good, bad, rule).promote
    assert not decide(bad, good, rule).promote


def test_a_model_that_is_better_by_chance_does_not_replace_the_champion() -> None:
    decision = decide(predictions(0.81), predictions(0.80, seed=2), RULE)
    assert not decision.promote
    assert "on the same 1,000 eval rows" in decision.reason
    assert "95% are required" in decision.reason


def test_the_champion_is_not_better_than_itself() -> None:
    decision = decide(predictions(0.8), predictions(0.8), RULE)
    assert not decision.promote
    assert "0.0% of 1,000 resamples" in decision.reason


def test_resamples_are_paired() -> None:
    # Right on ten more of 1,000 tweets: significant for paired resamples, not for independent ones.
    champion = predictions(0.8)
    candidate = champion.copy()
    columns = ["p_negative", "p_neutral", "p_positive"]
    wrong = np.flatnonzero(champion[columns].to_numpy().argmax(axis=1) - 1 != champion["label"])[:10]
    candidate.loc[wrong, columns] = np.eye(3)[champion.loc[wrong, "label"] + 1]
    assert decide(candidate, champion, RULE).promote
    assert not decide(candidate, champion, PromotionPolicy("accuracy", margin=0.02, confidence=0.95)).promote


def test_copies_of_a_text_are_resampled_together() -> None:
    champion = predictions(0.8)
    candidate = champion.copy()
    columns = ["p_negative", "p_neutral", "p_positive"]
    wrong = np.flatnonzero(champion[columns].to_numpy().argmax(axis=1) - 1 != champion["label"])[:10]
    candidate.loc[wrong, columns] = np.eye(3)[champion.loc[wrong, "label"] + 1]
    for model in (candidate, champion):
        model.loc[wrong, "text_group"] = "the same text"
    # Ten distinct texts would be significant. One text is missing in every third resample.
    assert not decide(candidate, champion, RULE).promote


def test_a_negative_margin_accepts_a_slightly_worse_model() -> None:
    small, champion = predictions(0.89), predictions(0.9)
    assert not decide(small, champion, RULE).promote
    decision = decide(small, champion, PromotionPolicy("accuracy", margin=-0.05, confidence=0.95))
    assert decision.promote
    assert "better, or worse by less than 0.05, in 100.0% of" in decision.reason
    assert not decide(
        predictions(0.8), champion, PromotionPolicy("accuracy", margin=-0.05, confidence=0.95)
    ).promote


def test_only_common_rows_are_compared() -> None:
    champion = predictions(0.9).head(500)
    decision = decide(predictions(0.9), champion, RULE)
    assert "on the same 500 eval rows" in decision.reason
    with pytest.raises(InputError, match="no common eval row"):
        decide(predictions(0.9), champion.assign(tweet_id="another"), RULE)


def test_a_tweet_whose_text_has_changed_is_not_compared() -> None:
    candidate, champion = predictions(0.9), predictions(0.9)
    champion.loc[:99, "text_group"] = "the text at that time"
    assert "on the same 900 eval rows" in decide(candidate, champion, RULE).reason
    assert len(row_keys(candidate) - row_keys(champion)) == 100


def test_rows_without_agreement_are_left_out_unless_there_are_no_others() -> None:
    rule = PromotionPolicy("rmse", margin=0.0, confidence=0.95, min_agreement=0.34)
    champion = predictions(0.7, seed=2)
    # The candidate is as good as the champion, except for the rows on which the annotators disagree.
    candidate = champion.copy()
    columns = ["p_negative", "p_neutral", "p_positive"]
    candidate.loc[:99, columns] = np.eye(3)[candidate.loc[:99, "label"] + 1]
    disputed = candidate.assign(agreement=[1 / 3] * 100 + [2 / 3] * 900)
    decision = decide(disputed, champion, rule)
    assert not decision.promote
    assert "900 eval rows with an agreement of 0.34 or more" in decision.reason
    decision = decide(disputed.assign(agreement=1 / 3), champion, rule)
    assert decision.promote
    assert "on the same 1,000 eval rows; better" in decision.reason


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "rmse", "loss"])
def test_a_model_that_ignores_the_texts_is_not_better_than_the_majority_class(metric) -> None:
    rule = PromotionPolicy(metric, margin=0.0, confidence=0.95)
    candidate = predictions(0.9)
    candidate = candidate[(candidate["label"] == 0) | (candidate.index % 4 == 0)]
    shares = {str(label): float((candidate["label"] == label).mean()) for label in (-1, 0, 1)}
    constant = constant_predictions(candidate, shares)
    assert (constant[["p_negative", "p_neutral", "p_positive"]].to_numpy() == list(shares.values())).all()
    assert not decide(constant, constant, rule, "the majority class").promote
    # It always predicts the majority class, but is too sure.
    ignorant = constant_predictions(candidate, {"-1": 0.02, "0": 0.96, "1": 0.02})
    assert not decide(ignorant, constant, rule).promote
    decision = decide(candidate, constant, rule, "the majority class")
    assert decision.promote
    assert "that of the majority class is" in decision.reason


def test_the_candidate_is_chosen_by_its_validation_metric() -> None:
    assert best_candidate({"bert": 0.7, "minilm": 0.6}, "macro_f1") == "bert"
    assert best_candidate({"bert": 0.7, "minilm": 0.6}, "rmse") == "minilm"


CURVES = {
    "train": [(1, 1.1), (10, 1.0), (20, 0.8), (30, 0.7)],
    "validation": [(20, 0.9), (30, 0.8)],
}


def test_the_page_has_every_model_with_intervals_and_escapes_names() -> None:
    metrics = {"accuracy": 0.78, "accuracy_low": 0.76, "accuracy_high": 0.8}
    models = [
        ComparedModel("minilm <b>", metrics, {"speed/train_seconds": 100.0}, CURVES),
        ComparedModel("champion (version 1)", {"accuracy": 0.75}),
    ]
    page = comparison_page(models, "minilm: not promoted", "because").decode()
    assert "minilm &lt;b&gt;" in page
    assert "0.760 to 0.800" in page
    assert page.count("data:image/svg+xml;base64,") == 4  # two figures, for light and dark pages
    assert csv_table(models).decode().splitlines()[1].startswith("minilm <b>,0.78,0.76,0.8,")


def test_the_tables_of_the_study_have_a_row_per_model_and_those_of_the_study() -> None:
    recorded = {"train/mean_loss": 0.91, "validation/loss": 0.8, "speed/train_steps_per_second": 2.5}
    table = study_table([ComparedModel("minilm", {"accuracy": 0.78, "loss": 0.6}, recorded, CURVES)])
    rows = [dict(zip(table.header, row, strict=True)) for row in table.rows]
    assert [row["model"] for row in rows] == ["minilm", "BERT in the study", "RoBERTa in the study"]
    assert [row["accuracy"] for row in rows] == ["0.780", "0.743", "0.753"]
    shown = ("steps", "training loss", "validation loss", "evaluation loss", "steps/s", "F1")
    assert [rows[0][name] for name in shown] == ["30", "0.910", "0.800", "0.600", "2.5", ""]


def test_losses_are_shown_at_each_evaluation_and_at_most_twenty_times() -> None:
    table = loss_table(ComparedModel("minilm", {}, {}, CURVES))
    assert table.rows == [["20", "0.967", "0.900"], ["30", "0.700", "0.800"]]
    many = {"train": [], "validation": [(step, 1 / step) for step in range(1, 48)]}
    rows = loss_table(ComparedModel("minilm", {}, {}, many)).rows
    assert (len(rows), rows[-1][0]) == (16, "47")


def test_metrics_of_the_champion_use_the_candidates_rows_and_labels() -> None:
    champion = predictions(1.0, rows=200)
    champion.loc[100:, "label"] = -champion.loc[100:, "label"]  # corrected since then
    candidate = predictions(0.5, rows=100)
    assert opponent_metrics(candidate, champion)["accuracy"] == 1.0
    wrong = champion.assign(p_negative=champion["p_positive"], p_positive=champion["p_negative"])
    metrics = opponent_metrics(candidate, wrong)
    assert metrics["accuracy"] == (candidate["label"] == 0).mean()
    assert metrics["accuracy_low"] < metrics["accuracy"] < metrics["accuracy_high"]
