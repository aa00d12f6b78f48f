import os
from pathlib import Path

import pytest

from contracts.exit_status import InputError
from training.command import TransientError
from training.fine_tuning.training_state import MAX_AGE_SECONDS, state_folder, training_state


def test_state_is_kept_when_a_training_fails_and_removed_when_it_succeeds(tmp_path) -> None:
    def ends_early() -> None:
        with training_state(tmp_path, "a", True) as state:
            (state / "checkpoint").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ends_early()
    with training_state(tmp_path, "a", True) as state:
        assert (state / "checkpoint").exists()
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_file_of_the_lock_is_not_replaced(tmp_path) -> None:
    with training_state(tmp_path, "a", True):
        before = (tmp_path / "a.lock").stat().st_ino
    # A process that has opened the file meanwhile and one that opens it now must lock the same file.
    assert (tmp_path / "a.lock").stat().st_ino == before


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


def test_default_folder_is_not_shared_with_other_users(monkeypatch) -> None:
    monkeypatch.delenv("VAXPULSE_STATE")
    assert state_folder().is_relative_to(Path.home())


def test_new_folder_is_private(tmp_path) -> None:
    with training_state(tmp_path / "new", "a"):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def planted_link(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder.parent / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(folder.parent / "elsewhere")


def dangling_link(folder: Path, _: pytest.MonkeyPatch) -> None:
    folder.symlink_to(folder.parent / "missing")


def wide_mode(folder: Path, _: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    folder.chmod(0o770)


def foreign_owner(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)


@pytest.mark.parametrize(
    ("plant", "problem"),
    [
        (planted_link, "is not a folder"),
        (dangling_link, "is not a folder"),
        (wide_mode, r"is accessible for other users \(mode 770\)"),
        (foreign_owner, r"belongs to the user with the number \d+"),
    ],
)
def test_folder_that_others_can_write_is_not_used(tmp_path, monkeypatch, plant, problem) -> None:
    plant(tmp_path / "state", monkeypatch)
    with (
        pytest.raises(InputError, match=f"{problem}: .* set VAXPULSE_STATE"),
        training_state(tmp_path / "state", "a"),
    ):
        pytest.fail("the folder was used")
