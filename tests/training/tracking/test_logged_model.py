"""The logged model, loaded as its users load it, with a graph whose results are known."""

from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from contracts.labels import PROBABILITY_COLUMNS
from contracts.mlflow_names import CHAMPION_ALIAS, LOGGED_MODEL, REGISTERED_MODEL
from tests.onnx_model.test_classifier import expected, write_model
from training.tracking.model_logging import MODEL_CODE
from training.tracking.tracker import MlflowTracker

TEXTS = ["bad", "fine fine", ""]
COLUMNS = [*PROBABILITY_COLUMNS, "label", "score"]


@pytest.fixture(scope="module")
def champion(tmp_path_factory) -> mlflow.pyfunc.PyFuncModel:
    folder = tmp_path_factory.mktemp("logged_model")
    uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment("logged", artifact_location=(folder / "artifacts").as_uri())
    (folder / "onnx").mkdir()
    tracker = MlflowTracker(uri, "logged")
    with tracker.run("sum", {}) as run_id:
        tracker.log_model(write_model(folder / "onnx"), [f"mlflow=={version('mlflow')}"], {})
    mlflow.register_model(f"runs:/{run_id}/{LOGGED_MODEL}", REGISTERED_MODEL)
    mlflow.MlflowClient().set_registered_model_alias(REGISTERED_MODEL, CHAMPION_ALIAS, "1")
    return mlflow.pyfunc.load_model(f"models:/{REGISTERED_MODEL}@{CHAMPION_ALIAS}")


def check(scored: pd.DataFrame, texts: list[str]) -> None:
    assert list(scored.columns) == COLUMNS
    probabilities = [expected(text, "right") for text in texts]
    np.testing.assert_allclose(scored[list(PROBABILITY_COLUMNS)], probabilities, atol=1e-6)
    np.testing.assert_allclose(scored["score"], scored["p_positive"] - scored["p_negative"])
    assert scored["label"].tolist() == [row.index(max(row)) - 1 for row in probabilities]


def test_the_signature_names_the_column_and_the_predictions(champion) -> None:
    signature = champion.metadata.signature
    assert signature.inputs.input_names() == ["text"]
    assert signature.outputs.input_names() == COLUMNS


@pytest.mark.parametrize(
    "model_input",
    [
        pd.DataFrame({"tweet_id": ["7", "8", "9"], "text": TEXTS}),
        pd.Series(TEXTS),
        pd.Series(TEXTS, name="tweet"),
        TEXTS,
        np.array(TEXTS),
        [{"text": text} for text in TEXTS],
        {"text": TEXTS},
    ],
    ids=["frame", "series", "named series", "list", "array", "records", "columns"],
)
def test_texts_are_scored_in_any_form(champion, model_input) -> None:
    check(champion.predict(model_input), TEXTS)


@pytest.mark.parametrize("model_input", ["bad", {"text": "bad"}])
def test_one_text_is_scored(champion, model_input) -> None:
    check(champion.predict(model_input), ["bad"])


def test_predictions_have_the_index_of_the_input(champion) -> None:
    assert champion.predict(pd.DataFrame({"text": TEXTS}, index=[7, 8, 9])).index.tolist() == [7, 8, 9]


def test_no_text_gives_no_row(champion) -> None:
    scored = champion.predict(pd.DataFrame({"text": []}))
    assert (list(scored.columns), len(scored)) == (COLUMNS, 0)


@pytest.mark.parametrize(
    ("model_input", "message"),
    [
        (pd.DataFrame({"tweet_id": ["7"], "tweet": ["bad"]}), "no column 'text'; .* 'tweet_id', 'tweet'"),
        ({"tweet": "bad"}, "no column 'text'"),
        (pd.DataFrame({"text": ["bad", None]}), "text 1 is not a string but has the type NoneType"),
        ([1.5], "text 0 is not a string but has the type float"),
    ],
)
def test_other_input_is_an_error(champion, model_input, message) -> None:
    with pytest.raises(MlflowException, match=message):
        champion.predict(model_input)


@pytest.mark.parametrize("inputs", [TEXTS, [{"text": text} for text in TEXTS], {"text": TEXTS}])
def test_the_scoring_server_answers_json(champion, inputs) -> None:
    answer = TestClient(scoring_server.init(champion)).post("/invocations", json={"inputs": inputs})
    assert answer.status_code == 200
    check(pd.DataFrame(answer.json()["predictions"]), TEXTS)


def test_the_scoring_server_rejects_a_request_without_texts(champion) -> None:
    client = TestClient(scoring_server.init(champion))
    answer = client.post("/invocations", json={"inputs": [{"tweet": "bad"}]})
    assert answer.status_code == 400
    assert "no column 'text'" in answer.json()["message"]


def test_the_model_contains_only_the_code_that_it_runs(champion) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{REGISTERED_MODEL}/1"))
    code = {file.relative_to(folder / "code").as_posix() for file in (folder / "code").rglob("*.py")}
    assert code == set(MODEL_CODE)
