import os

import pytest

from training.command import TransientError
from training.fine_tuning.training_state import MAX_AGE_SECONDS, training_state


def test_state_is_kept_when_a_training_fails_and_removed_when_it_succeeds(tmp_path) -> None:
    def ends_early() -> None:
        with training_state(tmp_path, "a", True) as state:
            (state / "checkpoint").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ends_early()
    with training_state(tmp_path, "a", True) as state:
        assert (state / "checkpoint").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_locked_against_other_trainings(tmp_path) -> None:
    with (
        training_state(tmp_path, "a", True),
        pytest.raises(TransientError, match="another process is training"),
        training_state(tmp_path, "a", True),
    ):
        pass


def test_the_processes_of_one_training_share_its_folder(tmp_path) -> None:
    with training_state(tmp_path, "a", True) as first, training_state(tmp_path, "a", False) as second:
        assert first == second


def test_state_that_is_older_than_a_week_is_removed(tmp_path) -> None:
    for name, age in (("old", MAX_AGE_SECONDS + 60), ("new", MAX_AGE_SECONDS - 60)):
        (tmp_path / name).mkdir()
        moment = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (moment, moment))
    with training_state(tmp_path, "a", True):
        assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"new", "a"}
