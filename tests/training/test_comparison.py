from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from training.comparison import Rule, best_candidate, decide, metrics_on_rows_of
from training.comparison_page import comparison_chart, comparison_page, csv_table
from training.errors import TrainingError
from training.registry import Registry

RULE = Rule("accuracy", margin=0.0, confidence=0.95)


def predictions(right: float, rows: int = 1000, seed: int = 1) -> pd.DataFrame:
    """A model that is right about a share of the tweets."""
    draw = np.random.default_rng(seed)
    labels = np.random.default_rng(0).integers(-1, 2, rows)
    guessed = np.where(draw.random(rows) < right, labels + 1, (labels + 2) % 3)
    probabilities = np.full((rows, 3), 0.1) + 0.7 * np.eye(3)[guessed]
    ids = [f"T{number}" for number in range(rows)]
    return pd.DataFrame({"tweet_id": ids, "label": labels, "text_group": ids}).assign(
        p_negative=probabilities[:, 0], p_neutral=probabilities[:, 1], p_positive=probabilities[:, 2]
    )


def test_the_first_model_becomes_the_champion() -> None:
    assert decide(predictions(0.5), None, RULE).promote


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "rmse", "loss"])
def test_a_model_that_is_much_better_replaces_the_champion_by_any_metric_and_never_the_other_way_round(
    metric,
) -> None:
    good, bad, rule = predictions(0.9), predictions(0.6, seed=2), Rule(metric, 0.0, 0.95)
    assert decide(good, bad, rule).promote
    assert not decide(bad, good, rule).promote


def test_a_model_that_is_better_by_luck_does_not_replace_the_champion_and_the_reason_says_how_far_it_fell_short() -> (
    None
):
    decision = decide(predictions(0.81), predictions(0.80, seed=2), RULE)
    assert not decision.promote
    assert "on the same 1,000 eval rows" in decision.reason
    assert "95% are asked for" in decision.reason


def test_the_champion_itself_is_never_better_than_itself() -> None:
    decision = decide(predictions(0.8), predictions(0.8), RULE)
    assert not decision.promote
    assert "0.0% of 1,000 resamples" in decision.reason


def test_resamples_are_paired() -> None:
    # Right on ten tweets more, of a thousand, and wrong on none more: as pairs that is certain, as two samples it would be luck.
    champion = predictions(0.8)
    candidate = champion.copy()
    columns = ["p_negative", "p_neutral", "p_positive"]
    wrong = np.flatnonzero(champion[columns].to_numpy().argmax(axis=1) - 1 != champion["label"])[:10]
    candidate.loc[wrong, columns] = np.eye(3)[champion.loc[wrong, "label"] + 1]
    assert decide(candidate, champion, RULE).promote
    assert not decide(candidate, champion, Rule("accuracy", margin=0.02, confidence=0.95)).promote


def test_copies_of_one_text_are_one_piece_of_evidence() -> None:
    champion = predictions(0.8)
    candidate = champion.copy()
    columns = ["p_negative", "p_neutral", "p_positive"]
    wrong = np.flatnonzero(champion[columns].to_numpy().argmax(axis=1) - 1 != champion["label"])[:10]
    candidate.loc[wrong, columns] = np.eye(3)[champion.loc[wrong, "label"] + 1]
    candidate.loc[wrong, "text_group"] = "the same text"
    # Ten tweets make it certain, one text is missing in every third resample.
    assert not decide(candidate, champion, RULE).promote


def test_in_the_predictions_of_an_older_run_each_tweet_is_a_group_of_its_own(tmp_path) -> None:
    predictions(0.8, rows=3).drop(columns="text_group").to_parquet(tmp_path / "old.parquet")
    registry = Registry.__new__(Registry)  # a whole one wants MLflow
    registry._client = SimpleNamespace(download_artifacts=lambda *_: tmp_path / "old.parquet")
    assert registry.predictions("a run")["text_group"].tolist() == ["T0", "T1", "T2"]


def test_a_smaller_model_may_be_worse_by_less_than_a_margin_below_0() -> None:
    small, champion = predictions(0.89), predictions(0.9)
    assert not decide(small, champion, RULE).promote
    decision = decide(small, champion, Rule("accuracy", margin=-0.05, confidence=0.95))
    assert decision.promote
    assert "not worse by 0.05 or more in 100.0% of" in decision.reason
    assert not decide(predictions(0.8), champion, Rule("accuracy", margin=-0.05, confidence=0.95)).promote


def test_rows_that_only_one_has_seen_do_not_count() -> None:
    champion = predictions(0.9).head(500)
    decision = decide(predictions(0.9), champion, RULE)
    assert "on the same 500 eval rows" in decision.reason
    with pytest.raises(TrainingError, match="no eval row in common"):
        decide(predictions(0.9), champion.assign(tweet_id="another"), RULE)


def test_the_candidate_is_chosen_by_its_validation_metric() -> None:
    assert best_candidate({"bert": 0.7, "minilm": 0.6}, "macro_f1") == "bert"
    assert best_candidate({"bert": 0.7, "minilm": 0.6}, "rmse") == "minilm"


def test_the_page_holds_every_model_with_its_intervals_and_no_markup_of_others() -> None:
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
    assert "data:image/png;base64," in page
    assert csv_table(models).decode().splitlines()[1].startswith("minilm <b>,0.78,0.76,0.8,")


def test_the_champion_s_figures_are_those_on_the_candidate_s_rows_and_labels() -> None:
    champion = predictions(1.0, rows=200)
    champion.loc[100:, "label"] = -champion.loc[100:, "label"]  # what was corrected since
    candidate = predictions(0.5, rows=100)
    assert metrics_on_rows_of(candidate, champion)["eval_accuracy"] == 1.0
    wrong = champion.assign(p_negative=champion["p_positive"], p_positive=champion["p_negative"])
    metrics = metrics_on_rows_of(candidate, wrong)
    assert metrics["eval_accuracy"] == (candidate["label"] == 0).mean()
    assert metrics["eval_accuracy_low"] < metrics["eval_accuracy"] < metrics["eval_accuracy_high"]
