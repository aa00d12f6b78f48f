"""A whole search on a tiny model, its study in SQLite instead of PostgreSQL; and one that goes on."""

import json

import optuna
import pytest

from training import tune
from training.options import read_preset_file
from training.presets import OVERRIDABLE


@pytest.fixture
def options(tweets_table, tiny_bert, tmp_path, monkeypatch) -> list[str]:
    monkeypatch.setenv("VAXPULSE_STUDIES", f"sqlite:///{tmp_path}/studies.db")
    return ["--preset", "bert", "--tweets", tweets_table, "--checkpoint", str(tiny_bert), "--max-train-rows", "24"]


def only_study(storage: str) -> optuna.Study:
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage)


def test_a_search_ends_with_a_preset_file_and_a_second_one_makes_the_missing_trials(options, capsys, tmp_path) -> None:
    assert tune.main([*options, "--trials", "2"]) == 0
    best = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(best) <= set(OVERRIDABLE)
    (tmp_path / "preset.json").write_text(json.dumps(best))
    assert read_preset_file(tmp_path / "preset.json") == best

    assert tune.main([*options, "--trials", "3"]) == 0
    study = only_study(f"sqlite:///{tmp_path}/studies.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
    # judged by the smallest of the losses that were reported on the way
    assert [trial.value for trial in study.trials] == [min(trial.intermediate_values.values()) for trial in study.trials]


def test_a_trial_that_is_worse_than_the_others_is_pruned(tmp_path) -> None:
    study = tune.open_study(f"sqlite:///{tmp_path}/studies.db", "s", seed=1)

    def objective(trial: optuna.Trial) -> float:
        for step in range(4):
            trial.report(1.0 if trial.number < 5 else 2.0, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return 1.0

    study.optimize(objective, n_trials=6)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 5 + ["PRUNED"]
    assert tune.remaining_trials(study, 8) == 2
    assert tune.remaining_trials(study, 6) == 0


def test_without_a_database_it_says_what_to_set(options, monkeypatch, capsys) -> None:
    monkeypatch.setenv("VAXPULSE_STUDIES", "")
    assert tune.main(options) == 1
    assert capsys.readouterr().err == "error: nothing keeps the study: set VAXPULSE_STUDIES to the SQLAlchemy URI of a database\n"


def test_a_database_that_cannot_be_used_is_one_line_without_its_password(options, monkeypatch, capsys) -> None:
    monkeypatch.setenv("VAXPULSE_STUDIES", "no-such-database://ann:s3cret@host/studies")
    assert tune.main(options) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: the database of VAXPULSE_STUDIES cannot be used")
    assert "s3cret" not in error
    assert error.count("\n") == 1
