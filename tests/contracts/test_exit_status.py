import pytest

from contracts.exit_status import BAD_INPUT, DONE, NOTHING_TO_DO, InputError, NothingToDo, run_command


def raise_error(error: Exception) -> None:
    raise error


def test_finished_command_returns_done(capsys):
    assert run_command(lambda: "any result") == DONE == 0
    assert capsys.readouterr() == ("", "")


def test_bad_input_is_reported_on_stderr(capsys):
    assert run_command(lambda: raise_error(InputError("no column tweet_id"))) == BAD_INPUT == 65
    assert capsys.readouterr() == ("", "error: no column tweet_id\n")


def test_missing_work_is_reported_on_stderr(capsys):
    assert run_command(lambda: raise_error(NothingToDo("the table is current"))) == NOTHING_TO_DO == 99
    assert capsys.readouterr() == ("", "skipped: the table is current\n")


@pytest.mark.parametrize("error", [InputError, NothingToDo])
def test_credentials_can_be_removed_from_messages(error, capsys):
    def hide_password(message: str) -> str:
        return message.replace("secret", "***")

    run_command(lambda: raise_error(error("https://user:secret@host is unreachable")), hide_password)
    assert capsys.readouterr().err.endswith(": https://user:***@host is unreachable\n")


def test_other_exceptions_are_not_caught():
    with pytest.raises(ConnectionError):
        run_command(lambda: raise_error(ConnectionError("MLflow is unreachable")))
