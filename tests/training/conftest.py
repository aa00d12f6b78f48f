"""A table of invented tweets, and checkpoints with a few thousand random weights, which train in seconds."""

import functools
import hashlib
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import write_deltalake

# huggingface_hub reads it when it is imported. No test uses the hub.
os.environ["HF_HUB_OFFLINE"] = "1"

NEGATIVE = ["poison", "harm", "refuse", "never"]
NEUTRAL = ["clinic", "sunday", "news", "map"]
POSITIVE = ["thanks", "protects", "grateful", "works"]
# A user name in the delivered texts, which no artifact may contain.
CANARY = "canary_name_42"
FILLER = ["the", "vaccine", "my", "child", "today", "<user>", "<url>", "we", "shot", "it"]


@pytest.fixture(autouse=True)
def isolated_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Unset the variables of MLflow and Airflow, and restore the SIGTERM handler."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "AIRFLOW_CTX_", "VAXPULSE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VAXPULSE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr("training.models.checkpoints.INSTALLED_WEIGHTS", tmp_path / "installed")
    monkeypatch.setenv("VAXPULSE_STATE", str(tmp_path / "state"))
    for name in (
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT",
    ):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)  # so that values which the code sets are removed afterwards
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def invented_tweets(count: int = 240, seed: int = 7) -> pd.DataFrame:
    """Return rows of `tweets_clean` with one word that determines the label. Every tenth row has no label."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        label = draw.choice([-1, 0, 1])
        words = [
            *draw.choices(FILLER, k=draw.randint(3, 9)),
            draw.choice([NEGATIVE, NEUTRAL, POSITIVE][label + 1]),
        ]
        draw.shuffle(words)
        text = " ".join(words) + f" {number}"
        group = hashlib.sha256(text.encode()).hexdigest()
        rows.append(
            {
                "tweet_id": f"T{number:05d}",
                "safe_text": text.replace("<user>", f"@{CANARY}").replace("<url>", f"t.co/{CANARY}"),
                "text": text,
                "label": None if number % 10 == 9 else label,
                "agreement": None if number % 10 == 9 else 1.0,
                "clean_text": text.replace("<user>", "").replace("<url>", ""),
                "stemmed_text": " ".join(word for word in words if word not in ("the", "it")),
                "text_group": group,
                "dump_sha256": f"dump{number % 2}",
                "split": "unlabelled"
                if number % 10 == 9
                else "eval"
                if int(group[:8], 16) % 5 == 0
                else "train",
            }
        )
    return pd.DataFrame(rows).astype({"label": "Int32"})


@pytest.fixture
def tweets() -> pd.DataFrame:
    return invented_tweets()


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[[pd.DataFrame], str]:
    """Writes rows as the next version of a Delta table and returns its folder."""

    def write(rows: pd.DataFrame) -> str:
        folder = str(tmp_path / "tweets_clean")
        write_deltalake(
            folder,
            pa.Table.from_pandas(rows, preserve_index=False),
            mode="overwrite",
            schema_mode="overwrite",
        )
        return folder

    return write


@pytest.fixture(scope="session")
def tweets_table(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("tables") / "tweets_clean")
    write_deltalake(folder, pa.Table.from_pandas(invented_tweets(), preserve_index=False))
    return folder


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Use one thread: for a tiny model synchronisation takes ten times as long as the computation."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint_of(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the folder with a tiny checkpoint of an architecture."""
    from tests.training.tiny_models import MAKERS

    @functools.cache
    def make(architecture: str) -> Path:
        return MAKERS[architecture](tmp_path_factory.mktemp(architecture), invented_tweets()["text"].tolist())

    return make


@pytest.fixture(scope="session")
def tiny_bert(checkpoint_of: Callable[[str], Path]) -> Path:
    return checkpoint_of("bert")


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URI of an MLflow database with empty experiments."""
    import mlflow

    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    for experiment in ("whole", "raises", "ended", "unreadable", "absent", "compared", "baseline"):
        mlflow.create_experiment(experiment, artifact_location=(folder / "artifacts" / experiment).as_uri())
    return uri
