"""A search on a tiny model with its study in SQLite instead of PostgreSQL, and its continuation."""

import json
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest

from contracts.exit_status import BAD_INPUT
from training import tune
from training.fine_tuning.loop import Evaluation
from training.fine_tuning.pruning import PruneByObjective
from training.models.presets import OVERRIDABLE
from training.options import parse_settings
from training.parallel import run_in_parallel


@pytest.fixture
def options(tweets_table, tiny_bert, tmp_path, monkeypatch) -> list[str]:
    monkeypatch.setenv("VAXPULSE_STUDIES", f"sqlite:///{tmp_path}/studies.db")
    return [
        "--preset",
        "bert",
        "--tweets",
        tweets_table,
        "--checkpoint",
        str(tiny_bert),
        "--max-train-rows",
        "24",
    ]


def only_study(storage: str) -> optuna.Study:
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage)


def test_a_search_prints_settings_and_a_second_search_runs_the_missing_trials(
    options, capsys, tmp_path
) -> None:
    assert tune.main([*options, "--trials", "2"]) == 0
    best = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(best) <= set(OVERRIDABLE)
    assert parse_settings(json.dumps(best)) == best

    assert tune.main([*options, "--trials", "3"]) == 0
    study = only_study(f"sqlite:///{tmp_path}/studies.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    # The value of a trial is its smallest loss, which may lie between two quarters.
    assert all(trial.value <= min(trial.intermediate_values.values()) for trial in study.trials)
    assert all(set(trial.intermediate_values) <= {1, 2, 3, 4} for trial in study.trials)


def test_parallel_processes_run_the_trials_of_one_study(options, monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    started = []

    def run(module, commands, processes) -> list[str]:
        started.extend(commands)
        return run_in_parallel(module, commands, processes)

    monkeypatch.setattr(tune, "run_in_parallel", run)
    assert tune.main([*options, "--trials", "3", "--parallel", "2"]) == 0
    # Another version would give another study.
    assert [command[-5:-2] for command in started] == [["--tweets-version", "0", "--worker"]] * 2
    study = only_study(f"sqlite:///{tmp_path}/studies.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    assert len({trial.params["learning_rate"] for trial in study.trials}) == 3
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == study.best_params


def test_a_worse_trial_is_pruned_and_a_longer_one_is_not(tmp_path) -> None:
    study = tune.open_study(f"sqlite:///{tmp_path}/studies.db", "s", seed=1)

    def objective(trial: optuna.Trial) -> float:
        """Let the loss fall to 1 over 2 epochs in five trials and over 6 in others; to 1.5 in the last."""
        callback, evaluations = PruneByObjective(trial), 4 if trial.number < 5 else 12
        for evaluation in range(1, evaluations + 1):
            loss = 2 - (0.5 if trial.number == 6 else 1.0) * evaluation / evaluations
            callback(Evaluation(10 * evaluation, 10 * evaluations, loss, stops=False))
        return 1.0

    study.optimize(objective, n_trials=7)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6 + ["PRUNED"]
    assert list(study.trials[-1].intermediate_values) == [1, 2]  # nothing is pruned in the first quarter
    assert tune.count_missing_trials(study, 9) == 2
    assert tune.count_missing_trials(study, 7) == 0


def test_the_smallest_loss_so_far_is_reported_and_a_stopped_trial_is_not_pruned() -> None:
    reported = {}
    trial = SimpleNamespace(
        report=lambda loss, quarter: reported.update({quarter: loss}), should_prune=lambda: True
    )
    callback = PruneByObjective(trial)
    for step, loss in ((2, 0.60), (3, 0.57), (4, 0.58)):  # of 8 steps; step 3 is between two quarters
        callback(Evaluation(step, 8, loss, stops=True))
    assert reported == {1: 0.60, 2: 0.57}
    with pytest.raises(optuna.TrialPruned):
        callback(Evaluation(6, 8, 0.59, stops=False))


def test_a_missing_database_names_its_setting(options, monkeypatch, capsys) -> None:
    monkeypatch.setenv("VAXPULSE_STUDIES", "")
    assert tune.main(options) == BAD_INPUT
    assert (
        capsys.readouterr().err
        == "error: the study would be lost: set VAXPULSE_STUDIES to the SQLAlchemy URI of a database\n"
    )


def test_an_unusable_database_is_a_transient_error_without_its_password(options, monkeypatch, capsys) -> None:
    monkeypatch.setenv("VAXPULSE_STUDIES", "no-such-database://ann:s3cret@host/studies")
    assert tune.main(options) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the database of VAXPULSE_STUDIES cannot be used")
    assert "s3cret" not in error
    assert error.count("\n") == 1
