import numpy as np
import pandas as pd
import pytest

from contracts.exit_status import InputError
from training.evaluation.comparison import PromotionPolicy, best_candidate, champion_metrics, decide
from training.evaluation.comparison_page import comparison_chart, comparison_page, csv_table

RULE = PromotionPolicy("accuracy", margin=0.0, confidence=0.95)


def predictions(right: float, rows: int = 1000, seed: int = 1) -> pd.DataFrame:
    """Return the predictions of a model that is right about a share of the tweets."""
    draw = np.random.default_rng(seed)
    labels = np.random.default_rng(0).integers(-1, 2, rows)
    guessed = np.where(draw.random(rows) < right, labels + 1, (labels + 2) % 3)
    probabilities = np.full((rows, 3), 0.1) + 0.7 * np.eye(3)[guessed]
    ids = [f"T{number}" for number in range(rows)]
    return pd.DataFrame({"tweet_id": ids, "label": labels, "text_group": ids}).assign(
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
    candidate.loc[wrong, "text_group"] = "the same text"
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


def test_the_candidate_is_chosen_by_its_validation_metric() -> None:
    assert best_candidate({"bert": 0.7, "minilm": 0.6}, "macro_f1") == "bert"
    assert best_candidate({"bert": 0.7, "minilm": 0.6}, "rmse") == "minilm"


def test_the_page_has_every_model_with_intervals_and_escapes_names() -> None:
    metrics = {
        "eval_accuracy": 0.78,
        "eval_accuracy_low": 0.76,
        "eval_accuracy_high": 0.8,
        "train_runtime_seconds": 100.0,
    }
    models = {"minilm <b>": metrics, "champion (version 1)": {"eval_accuracy": 0.75}}
    chart = comparison_chart(models)
    page = comparison_page(models, "minilm: not promoted", "because", chart).decode()
    assert "minilm &lt;b&gt;" in page
    assert "0.760 to 0.800" in page
    assert "data:image/svg+xml;base64," in page
    assert csv_table(models).decode().splitlines()[1].startswith("minilm <b>,0.78,0.76,0.8,")


def test_metrics_of_the_champion_use_the_candidates_rows_and_labels() -> None:
    champion = predictions(1.0, rows=200)
    champion.loc[100:, "label"] = -champion.loc[100:, "label"]  # corrected since then
    candidate = predictions(0.5, rows=100)
    assert champion_metrics(candidate, champion)["eval_accuracy"] == 1.0
    wrong = champion.assign(p_negative=champion["p_positive"], p_positive=champion["p_negative"])
    metrics = champion_metrics(candidate, wrong)
    assert metrics["eval_accuracy"] == (candidate["label"] == 0).mean()
    assert metrics["eval_accuracy_low"] < metrics["eval_accuracy"] < metrics["eval_accuracy_high"]
