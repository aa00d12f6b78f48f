import os

import pytest

from training.errors import TrainingError
from training.unfinished import KEPT_SECONDS, unfinished


def test_state_stays_when_a_training_ends_early_and_goes_when_it_ends_well(tmp_path) -> None:
    def ends_early() -> None:
        with unfinished(tmp_path, "a", True) as state:
            (state / "checkpoint").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ends_early()
    with unfinished(tmp_path, "a", True) as state:
        assert (state / "checkpoint").exists()
    assert list(tmp_path.iterdir()) == []


def test_two_trainings_of_the_same_thing_do_not_share_a_folder(tmp_path) -> None:
    with (
        unfinished(tmp_path, "a", True),
        pytest.raises(TrainingError, match="another process is training"),
        unfinished(tmp_path, "a", True),
    ):
        pass


def test_the_processes_of_one_training_share_its_folder(tmp_path) -> None:
    with unfinished(tmp_path, "a", True) as first, unfinished(tmp_path, "a", False) as second:
        assert first == second


def test_what_nobody_has_gone_on_with_for_a_week_is_removed(tmp_path) -> None:
    for name, age in (("old", KEPT_SECONDS + 60), ("new", KEPT_SECONDS - 60)):
        (tmp_path / name).mkdir()
        moment = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (moment, moment))
    with unfinished(tmp_path, "a", True):
        assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"new", "a"}
