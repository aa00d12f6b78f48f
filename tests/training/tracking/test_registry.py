"""The registered model, with a fake of MLflow's client."""

from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)

from training.tracking.registry import Registry


class Client:
    """A registry with two versions of one run. A lookup by alias raises `error`."""

    def __init__(self, error: int | None = None) -> None:
        self.error = error
        self.tagged: list[tuple[str, str]] = []
        self.described: dict[str, str] = {}
        self.aliases: dict[str, str] = {}

    def get_model_version_by_alias(self, name: str, alias: str) -> SimpleNamespace:
        if self.error is not None:
            raise MlflowException("", error_code=self.error)
        return SimpleNamespace(name=name, version=alias)

    def get_registered_model(self, _: str) -> SimpleNamespace:
        return SimpleNamespace(aliases=self.aliases)

    def list_artifacts(self, run_id: str) -> list[SimpleNamespace]:
        if self.error is not None:
            raise MlflowException("", error_code=self.error)
        return [SimpleNamespace(path="weights")]

    def search_registered_models(self, _: str) -> list[str]:
        return ["vaxpulse"]

    def search_model_versions(self, _: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(version=version, run_id="run") for version in (5, 4)]

    def update_model_version(self, _: str, version: str, description: str) -> None:
        self.described[version] = description

    def set_registered_model_alias(self, _: str, alias: str, version: str) -> None:
        self.aliases[alias] = version

    def set_model_version_tag(self, _: str, version: str, name: str, __: str) -> None:
        self.tagged.append((version, name))


def registry(client: Client) -> Registry:
    created = Registry.__new__(Registry)
    created._client = client
    return created


def test_the_champion_is_the_version_with_the_alias() -> None:
    assert registry(Client()).champion().version == "champion"


@pytest.mark.parametrize("error", [RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE])
def test_without_model_or_alias_there_is_no_champion(error) -> None:
    assert registry(Client(error)).champion() is None


@pytest.mark.parametrize("error", [INTERNAL_ERROR, TEMPORARILY_UNAVAILABLE])
def test_an_outage_is_not_a_missing_champion(error) -> None:
    # Otherwise compare would promote the candidate without a comparison.
    with pytest.raises(MlflowException):
        registry(Client(error)).champion()


def test_a_run_that_a_user_has_registered_too_is_not_an_error() -> None:
    client = Client()
    run = SimpleNamespace(info=SimpleNamespace(run_id="run"))
    tags = {"reason": "better", "preset": "minilm"}
    assert registry(client).register(run, tags, "its card") == "5"
    assert client.tagged == [("5", "reason"), ("5", "preset")]
    assert (client.described, client.aliases) == ({"5": "its card"}, {"minilm": "5"})


def test_the_alias_of_a_preset_stays_at_its_latest_version() -> None:
    client = Client()
    client.aliases["minilm"] = "6"
    run = SimpleNamespace(info=SimpleNamespace(run_id="run"))
    registry(client).register(run, {"preset": "minilm"}, "")
    assert client.aliases == {"minilm": "6"}


def test_without_its_record_the_recipe_of_the_champion_is_lost_but_an_outage_is_an_error(
    monkeypatch, caplog
) -> None:
    found = registry(Client())
    monkeypatch.setattr(found, "champion", lambda: SimpleNamespace(run_id="run", version="3"))
    assert found.champion_config() is None
    assert "MLflow has lost training_run.json of version 3" in caplog.text
    found._client.error = TEMPORARILY_UNAVAILABLE
    with pytest.raises(MlflowException):
        found.champion_config()
    found._client.error = RESOURCE_DOES_NOT_EXIST  # the run was deleted
    assert found.champion_config() is None
