"""The whole script with MLflow, on invented tweets and tiny models."""

import io
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import mlflow
import onnxruntime
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from contracts.exit_status import BAD_INPUT, NOTHING_TO_DO
from contracts.exported_model import ModelMetadata
from contracts.labels import LABELS
from contracts.mlflow_names import COMPARED_TAG, METRICS
from tests.training.conftest import CANARY
from training import train
from training.fine_tuning import fine_tune as fine_tuning
from training.tracking.tracker import MlflowTracker

TRANSIENT = 1  # Airflow retries


def run(*options: str) -> SimpleNamespace:
    """Return exit code, stdout and stderr of the script."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = train.main(list(options))
    return SimpleNamespace(code=code, out=out.getvalue(), err=err.getvalue())


@pytest.fixture(scope="module")
def bert_run(tweets_table, tiny_bert, mlflow_store, tmp_path_factory) -> SimpleNamespace:
    """One run of the preset bert, started as Airflow starts it. Many tests check its results."""
    output = tmp_path_factory.mktemp("output") / "bert"
    options = [
        *(
            "--preset",
            "bert",
            "--checkpoint",
            str(tiny_bert),
            "--tweets",
            tweets_table,
            "--experiment",
            "whole",
        ),
        *(
            "--epochs",
            "12",
            "--learning-rate",
            "0.003",
            "--batch-size",
            "16",
            "--log-every-steps",
            "20",
            "--patience",
            "24",
        ),
    ]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", mlflow_store)
        environment.setenv("VAXPULSE_STATE", str(state := tmp_path_factory.mktemp("state")))
        environment.setenv("AIRFLOW_CTX_DAG_ID", "train_classifiers")
        environment.setenv("AIRFLOW_CTX_DAG_RUN_ID", "manual__1")
        with pytest.MonkeyPatch.context() as recorder:
            lines: list[str] = []
            for logger in ("training.train.logger", "training.fine_tuning.progress.logger"):
                recorder.setattr(f"{logger}.info", lambda message, *values: lines.append(message % values))
            result = run(*options, "--output", str(output))
    assert result.code == 0, result.err
    mlflow.set_tracking_uri(mlflow_store)
    (found,) = mlflow.search_runs(experiment_names=["whole"], output_format="list")
    return SimpleNamespace(
        options=options, output=output, run=found, lines=lines, store=mlflow_store, state=state
    )


def artifacts(run_id: str) -> set[str]:
    return {item.path for item in mlflow.MlflowClient().list_artifacts(run_id)}


class TestWholeRun:
    def test_a_tiny_bert_learns_labels_that_one_word_determines(self, bert_run) -> None:
        # With mixed-up class ids, labels or columns the accuracy would be 1/3.
        metrics = bert_run.run.data.metrics
        assert metrics["eval/accuracy"] > 0.9
        assert metrics["eval/macro_f1"] > 0.9
        assert metrics["eval/rmse"] < 0.5

    def test_metrics_are_few_and_have_the_agreed_names(self, bert_run) -> None:
        assert set(bert_run.run.data.metrics) == set(METRICS)
        assert len(METRICS) <= 40  # MLflow draws a chart for each

    def test_tables_have_intervals_classes_agreement_and_graphs(self, bert_run) -> None:
        tables = {
            name: mlflow.load_table(f"tables/{name}.json", run_ids=[bert_run.run.info.run_id])
            for name in ("eval", "agreement", "graphs")
        }
        overall = tables["eval"].set_index("metric")
        accuracy = bert_run.run.data.metrics["eval/accuracy"]
        assert overall.loc["accuracy", "value"] == accuracy
        assert overall.loc["accuracy", "low"] <= accuracy <= overall.loc["accuracy", "high"]
        assert {
            f"{kind}_{name}"
            for kind in ("precision", "recall", "f1", "support")
            for name in ("negative", "neutral", "positive")
        } <= set(overall.index)
        agreement = tables["agreement"].set_index(["agreement", "metric"])["value"]
        assert agreement["all", "accuracy"] == accuracy  # every invented tweet has agreement 1
        assert agreement["one_third", "support"] == 0
        assert len(tables["graphs"]) == 2

    def test_experiment_and_run_are_described(self, bert_run) -> None:
        assert "held-out tweets: accuracy" in bert_run.run.data.tags["mlflow.note.content"]
        experiment = mlflow.get_experiment(bert_run.run.info.experiment_id)
        assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"

    def test_validation_losses_are_recorded(self, bert_run) -> None:
        history = mlflow.MlflowClient().get_metric_history(bert_run.run.info.run_id, "validation/objective")
        assert len(history) > 4
        assert min(point.value for point in history) < history[0].value

    def test_training_losses_are_recorded_every_n_steps(self, bert_run) -> None:
        steps = [
            point.step
            for point in mlflow.MlflowClient().get_metric_history(bert_run.run.info.run_id, "train/loss")
        ]
        assert steps[:3] == [1, 20, 40]
        assert len(steps) > 4

    def test_progress_is_logged(self, bert_run) -> None:
        lines = [line for line in bert_run.lines if line.startswith("step ") and "epoch" in line]
        assert len(lines) > 4
        assert all(
            re.fullmatch(r"step \d+/\d+  epoch [\d.]+/12  loss [\d.]+  \d+ samples/s  .+ left", line)
            for line in lines
        )

    def test_tags_have_preset_digests_and_dag_run(self, bert_run) -> None:
        tags = bert_run.run.data.tags
        assert {
            "preset": "bert",
            "text_column": "text",
            "airflow_dag_id": "train_classifiers",
            "airflow_run_id": "manual__1",
        }.items() <= tags.items()
        assert re.fullmatch(r"[0-9a-f]{64}", tags["config_digest"])
        assert re.fullmatch(r"[0-9a-f]{64}", tags["dataset_digest"])
        assert tags["git_commit"]

    def test_params_have_config_table_version_device_and_libraries(self, bert_run, tweets_table) -> None:
        params = bert_run.run.data.params
        assert params["config.learning_rate"] == "0.003"
        assert params["config.seed"] == "42"
        assert (params["dataset.uri"], params["dataset.table_version"]) == (tweets_table, "0")
        assert {
            "device.name",
            "device.precision",
            "device.threads",
            "libraries.torch",
            "libraries.python",
        } <= set(params)

    def test_all_parts_are_inputs_from_the_delta_table(self, bert_run, tweets_table) -> None:
        tags = [{tag.key: tag.value for tag in item.tags} for item in bert_run.run.inputs.dataset_inputs]
        assert [tag["delta_table_version"] for tag in tags] == ["0", "0", "0"]
        inputs = {
            tag["mlflow.data.context"]: item.dataset
            for tag, item in zip(tags, bert_run.run.inputs.dataset_inputs, strict=True)
        }
        assert set(inputs) == {"training", "validation", "evaluation"}
        assert {item.source_type for item in inputs.values()} == {"delta_table"}
        assert all(tweets_table in item.source for item in inputs.values())

    def test_the_logged_model_scores_any_text(self, bert_run) -> None:
        (model,) = mlflow.search_logged_models(
            experiment_ids=[bert_run.run.info.experiment_id], output_format="list"
        )
        texts = ["the vaccine works grateful", "never harm my child poison", "", "sunday " * 1000]
        answers = mlflow.pyfunc.load_model(model.model_uri).predict(texts)
        assert list(answers.columns) == ["p_negative", "p_neutral", "p_positive", "label", "score"]
        assert answers["label"].tolist()[:2] == [1, -1]
        assert answers[["p_negative", "p_neutral", "p_positive"]].sum(axis=1).tolist() == pytest.approx(
            [1] * 4
        )
        assert {metric.key for metric in model.metrics} >= {"eval/accuracy", "eval/macro_f1"}

    def test_no_artifact_contains_a_user_name_of_the_dumps(self, bert_run) -> None:
        (model,) = mlflow.search_logged_models(
            experiment_ids=[bert_run.run.info.experiment_id], output_format="list"
        )
        uris = (bert_run.run.info.artifact_uri, model.model_uri)
        folders = [bert_run.output, *(Path(mlflow.artifacts.download_artifacts(uri)) for uri in uris)]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        assert {"confident_errors.csv", "eval_predictions.parquet", "model.onnx"} <= {
            path.name for path in files
        }
        for path in files:
            is_table = path.suffix == ".parquet"  # compressed
            content = pd.read_parquet(path).to_csv().encode() if is_table else path.read_bytes()
            assert CANARY.encode() not in content, path

    def test_the_logged_model_contains_the_export_with_its_metadata(self, bert_run) -> None:
        (model,) = mlflow.search_logged_models(
            experiment_ids=[bert_run.run.info.experiment_id], output_format="list"
        )
        folder = Path(mlflow.artifacts.download_artifacts(model.model_uri)) / "artifacts" / "onnx"
        assert {file.name for file in folder.iterdir()} == {
            "model.onnx",
            "model.int8.onnx",
            "tokenizer.json",
            "metadata.json",
        }
        metadata = ModelMetadata.read(folder)
        assert metadata.labels == LABELS
        assert (metadata.architecture, metadata.padding_side, metadata.text_column) == (
            "bert",
            "right",
            "text",
        )
        assert metadata.max_length_tokens == 64  # the number of positions of the tiny model
        assert metadata.table_version == 0
        assert sum(map(sum, metadata.eval_confusion)) == metadata.eval_rows
        assert metadata.validation["float32"]["accuracy"] > 0.9
        graphs = mlflow.load_table("tables/graphs.json", run_ids=[bert_run.run.info.run_id])
        scored = graphs[graphs["scores"]]
        assert scored["graph"].tolist() == [metadata.precision]
        assert scored["rmse"].tolist() == pytest.approx([bert_run.run.data.metrics["validation/rmse"]])
        assert sum(metadata.train_label_shares.values()) == pytest.approx(1, abs=1e-3)

    def test_the_logged_model_can_be_loaded_where_the_trainer_is_not_installed(
        self, bert_run, tmp_path
    ) -> None:
        (model,) = mlflow.search_logged_models(
            experiment_ids=[bert_run.run.info.experiment_id], output_format="list"
        )
        folder = mlflow.artifacts.download_artifacts(model.model_uri, dst_path=str(tmp_path))
        code = (
            "import importlib.util, sys, mlflow; assert importlib.util.find_spec('training') is None; "
            "scored = mlflow.pyfunc.load_model(sys.argv[1]).predict(['the vaccine works grateful']); "
            "print(scored['label'].tolist())"
        )
        printed = subprocess.check_output(
            [sys.executable, "-c", code, folder],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            text=True,
        )
        assert printed.splitlines()[-1] == "[1]"

    def test_the_logged_model_does_not_require_pytorch(self, bert_run) -> None:
        (model,) = mlflow.search_logged_models(
            experiment_ids=[bert_run.run.info.experiment_id], output_format="list"
        )
        requirements = (
            (Path(mlflow.artifacts.download_artifacts(model.model_uri)) / "requirements.txt")
            .read_text()
            .split()
        )
        assert f"onnxruntime=={onnxruntime.__version__}" in requirements
        assert not [line for line in requirements if line.startswith(("torch", "transformers"))]

    def test_figures_predictions_errors_and_the_record_are_artifacts(self, bert_run) -> None:
        pictures = {"confusion_matrix.png", "reliability.png", "learning_curves.png", "metrics.png"}
        documents = {"training_run.json", "confident_errors.csv", "eval_predictions.parquet"}
        assert artifacts(bert_run.run.info.run_id) == pictures | documents | {"weights", "tables"}

    def test_predictions_have_every_eval_row(self, bert_run) -> None:
        predictions = pd.read_parquet(bert_run.output / "eval_predictions.parquet")
        assert list(predictions.columns) == [
            "tweet_id",
            "label",
            "agreement",
            "text_group",
            "p_negative",
            "p_neutral",
            "p_positive",
        ]
        accuracy = (
            predictions[["p_negative", "p_neutral", "p_positive"]].to_numpy().argmax(axis=1) - 1
            == predictions["label"]
        ).mean()
        assert accuracy == pytest.approx(bert_run.run.data.metrics["eval/accuracy"])

    def test_the_record_in_the_output_folder_equals_the_one_in_mlflow(self, bert_run) -> None:
        files = {file.name for file in bert_run.output.iterdir()}
        assert {
            "model.safetensors",
            "config.json",
            "tokenizer.json",
            "training_run.json",
            "confusion_matrix.png",
            "onnx",
        } <= files
        record = json.loads((bert_run.output / "training_run.json").read_text())
        assert record["metrics"]["eval/accuracy"] == bert_run.run.data.metrics["eval/accuracy"]
        dataset = record["dataset"]
        assert dataset["table_version"] == 0
        assert (
            dataset["train_rows"] + dataset["validation_rows"] + dataset["eval_rows"]
            == dataset["labelled_rows"]
            == 216
        )
        assert record["dumps"] == ["dump0", "dump1"]
        assert record["tags"]["git_commit"] == bert_run.run.data.tags["git_commit"]
        assert json.loads((bert_run.output / "config.json").read_text())["id2label"] == {
            "0": "-1",
            "1": "0",
            "2": "1",
        }

    def test_a_finished_training_leaves_no_state(self, bert_run) -> None:
        assert [path for path in bert_run.state.iterdir() if path.is_dir()] == []

    def test_training_is_skipped_if_the_table_has_not_grown_enough(
        self, bert_run, monkeypatch, tweets, write_table
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", bert_run.store)
        monkeypatch.setattr(fine_tuning, "fine_tune", lambda *_, **__: pytest.fail("trained again"))
        more = tweets.head(18).assign(
            tweet_id="NEW" + tweets["tweet_id"], text_group=tweets["text_group"] + "new", split="train"
        )
        table = write_table(pd.concat([tweets, more]))  # 17 of the 18 rows have a label, 7.9 % of 216
        assert run(*bert_run.options, "--tweets", table, "--min-growth", "0.08").code == NOTHING_TO_DO
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            run(*bert_run.options, "--tweets", table, "--min-growth", "0.07")
        with pytest.raises(pytest.fail.Exception, match="trained again"):  # other settings
            run(*bert_run.options, "--tweets", table, "--min-growth", "0.08", "--seed", "1")

    def test_an_identical_run_is_skipped(self, bert_run, monkeypatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", bert_run.store)
        monkeypatch.setattr(fine_tuning, "fine_tune", lambda *_, **__: pytest.fail("trained again"))
        assert run(*bert_run.options, "--skip-if-trained").code == NOTHING_TO_DO
        finished = mlflow.search_runs(
            experiment_names=["whole"], filter_string="attributes.status = 'FINISHED'", output_format="list"
        )
        assert len(finished) == 1

    def test_a_retry_of_a_finished_run_succeeds(self, bert_run, monkeypatch) -> None:
        # The worker died after the run had finished. Downstream tasks must run, so the retry is not a skip.
        monkeypatch.setenv("MLFLOW_TRACKING_URI", bert_run.store)
        monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", bert_run.run.data.tags["airflow_run_id"])
        monkeypatch.setattr(fine_tuning, "fine_tune", lambda *_, **__: pytest.fail("trained again"))
        assert run(*bert_run.options, "--skip-if-trained").code == 0

    def test_a_model_that_was_never_compared_is_handed_over_to_the_next_dag_run(
        self, bert_run, monkeypatch
    ) -> None:
        # MLflow was unavailable after the training, so that `compare` failed.
        run_id, client = bert_run.run.info.run_id, mlflow.MlflowClient(bert_run.store)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", bert_run.store)
        monkeypatch.setattr(fine_tuning, "fine_tune", lambda *_, **__: pytest.fail("trained again"))
        monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "train_classifiers")
        monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "scheduled__2")
        try:
            assert run(*bert_run.options, "--skip-if-trained").code == 0
            assert client.get_run(run_id).data.tags["airflow_run_id"] == "scheduled__2"
            client.set_tag(run_id, COMPARED_TAG, "1")
            assert run(*bert_run.options, "--skip-if-trained").code == 0  # a retry
            monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "scheduled__3")
            assert run(*bert_run.options, "--skip-if-trained").code == NOTHING_TO_DO
            assert run(*bert_run.options, "--min-growth", "0.5").code == NOTHING_TO_DO
        finally:
            client.set_tag(run_id, "airflow_run_id", bert_run.run.data.tags["airflow_run_id"])
            client.delete_tag(run_id, COMPARED_TAG)

    @pytest.mark.parametrize(
        "change",
        [("--seed", "1"), ("--text-column", "clean_text"), ("--max-train-rows", "50"), ("--epochs", "1")],
    )
    def test_a_different_config_is_not_skipped(self, change, bert_run, monkeypatch) -> None:
        class TrainedError(Exception): ...

        def trained(*_, **__) -> None:
            raise TrainedError

        monkeypatch.setenv("MLFLOW_TRACKING_URI", bert_run.store)
        monkeypatch.setattr(fine_tuning, "fine_tune", trained)
        with pytest.raises(TrainedError):
            run(*bert_run.options, *change, "--skip-if-trained", "--experiment", "whole")


def test_without_labelled_tweets_there_is_nothing_to_do(
    write_table, tweets, tiny_bert, mlflow_store, monkeypatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    table = write_table(tweets.assign(label=pd.NA, split="unlabelled").astype({"label": "Int32"}))
    result = run(
        "--preset", "bert", "--checkpoint", str(tiny_bert), "--tweets", table, "--experiment", "absent"
    )
    assert result.code == NOTHING_TO_DO
    assert result.err == f"skipped: {table} has no labelled tweet: ingest a dump with labels\n"
    mlflow.set_tracking_uri(mlflow_store)
    assert mlflow.search_runs(experiment_names=["absent"], output_format="list") == []


class TestFailure:
    @pytest.fixture
    def options(self, tweets_table, tiny_bert, mlflow_store, monkeypatch) -> tuple[str, ...]:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
        mlflow.set_tracking_uri(mlflow_store)
        return ("--preset", "bert", "--checkpoint", str(tiny_bert), "--tweets", tweets_table)

    def statuses(self, experiment: str) -> list[str]:
        return [
            found.info.status
            for found in mlflow.search_runs(experiment_names=[experiment], output_format="list")
        ]

    def test_a_run_that_raises_is_marked_as_failed_and_repeated_next_time(self, options, monkeypatch) -> None:
        def out_of_memory(*_, **__) -> None:
            raise RuntimeError("out of memory")

        monkeypatch.setattr(fine_tuning, "fine_tune", out_of_memory)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="out of memory"):
                run(*options, "--experiment", "raises", "--skip-if-trained")
        assert self.statuses("raises").count("FAILED") == 2

    def test_the_state_stays_for_a_retry_if_mlflow_has_lost_metrics(
        self, options, monkeypatch, tmp_path
    ) -> None:
        class Lost:
            def wait(self) -> None:
                raise MlflowException("no connection")

        monkeypatch.setenv("VAXPULSE_STATE", str(tmp_path))
        monkeypatch.setattr(MlflowTracker, "log_metrics", lambda self, *_: self._pending.append(Lost()))
        with pytest.raises(MlflowException, match="no connection"):
            run(*options, "--experiment", "lost", "--epochs", "1")
        assert self.statuses("lost") == ["FAILED"]
        assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1

    def test_all_processes_of_a_training_read_the_same_version(self, options, monkeypatch) -> None:
        restarted = []

        def restart(module, arguments, processes) -> None:
            restarted.append((module, arguments, processes))
            sys.exit(0)

        monkeypatch.setattr("training.command.restart_with_torchrun", restart)
        with pytest.raises(SystemExit):
            run(*options, "--devices", "2")
        assert restarted == [("training.train", [*options, "--devices", "2", "--tweets-version", "0"], 2)]

    def test_a_killed_run_is_marked_by_the_next_one(self, options, monkeypatch) -> None:
        mlflow.set_experiment("raises")
        with mlflow.start_run(
            tags={"host": platform.node(), "process": "1 0"}
        ) as left_open:  # process 1 started later than the kernel
            mlflow.MlflowClient().update_run(left_open.info.run_id, status="RUNNING")
        mlflow.MlflowClient().update_run(left_open.info.run_id, status="RUNNING")
        monkeypatch.setattr(fine_tuning, "fine_tune", lambda *_, **__: sys.exit(1))
        with pytest.raises(SystemExit):
            run(*options, "--experiment", "raises")
        assert mlflow.get_run(left_open.info.run_id).info.status == "KILLED"

    def test_a_run_that_airflow_terminates_is_marked_as_failed(self, options, monkeypatch) -> None:
        monkeypatch.setattr(fine_tuning, "fine_tune", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(SystemExit) as exit_:
            run(*options, "--experiment", "ended")
        assert exit_.value.code == 143
        assert self.statuses("ended") == ["FAILED"]

    def test_an_unreadable_checkpoint_is_bad_input_and_marks_the_run_as_failed(
        self, options, tmp_path
    ) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "no such model"}')
        (tmp_path / "model.safetensors").write_bytes(b"no weights")
        result = run(*options, "--checkpoint", str(tmp_path), "--experiment", "unreadable")
        assert result.code == BAD_INPUT
        assert "cannot be loaded as a text classifier" in result.err.splitlines()[-1]
        assert self.statuses("unreadable") == ["FAILED"]

    def test_a_missing_table_is_bad_input_and_creates_no_run(self, options, tmp_path) -> None:
        result = run(*options, "--tweets", str(tmp_path / "absent"), "--experiment", "absent")
        assert result.code == BAD_INPUT
        assert result.err.startswith("error: no Delta table at ")
        assert result.err.count("\n") == 1
        assert self.statuses("absent") == []

    def test_without_mlflow_and_output_folder_nothing_is_trained(self, options, monkeypatch) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        result = run(*options)
        assert (result.code, result.err) == (
            BAD_INPUT,
            "error: the trained model would be lost: set MLFLOW_TRACKING_URI or give --output FOLDER\n",
        )

    @pytest.mark.parametrize("preset", ["roberta", "bert", "bge-small"])
    def test_missing_weights_are_bad_input_so_that_airflow_does_not_retry(self, preset, options) -> None:
        result = run("--preset", preset, *options[4:], "--experiment", "absent")
        assert result.code == BAD_INPUT
        assert f"make weights PRESET={preset}" in result.err
        assert result.err.count("\n") == 1
        assert self.statuses("absent") == []

    def test_an_unreachable_mlflow_is_transient_so_that_airflow_retries(
        self, options, monkeypatch, socket_enabled
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:s3cret@127.0.0.1:{port}")
        result = run(*options)
        assert result.code == TRANSIENT
        assert result.err.startswith(f"error: no MLflow server answers at http://127.0.0.1:{port}")
        assert "s3cret" not in result.err
