"""An invented table of tweets, and checkpoints of a few thousand random weights: the real code paths in seconds."""

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

# Read when huggingface_hub is imported: no test asks the hub.
os.environ["HF_HUB_OFFLINE"] = "1"

NEGATIVE = ["poison", "harm", "refuse", "never"]
NEUTRAL = ["clinic", "sunday", "news", "map"]
POSITIVE = ["thanks", "protects", "grateful", "works"]
FILLER = ["the", "vaccine", "my", "child", "today", "<user>", "<url>", "we", "shot", "it"]


@pytest.fixture(autouse=True)
def environment_as_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No tracking server and no Airflow unless a test says so; the process's own SIGTERM handler comes back."""
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "AIRFLOW_CTX_", "VAXPULSE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VAXPULSE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("VAXPULSE_STATE", str(tmp_path / "state"))
    for name in (
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT",
    ):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)  # so that what the code sets is unset afterwards
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def invented_tweets(count: int = 240, seed: int = 7) -> pd.DataFrame:
    """Rows of `tweets_clean` whose label can be read off one word; every tenth row has no label."""
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
                "safe_text": text,
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
    """Writes rows as the next version of one Delta table; returns its folder."""

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
    """Threads that wait for each other cost a tiny model ten times its own work."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint_of(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The tiny checkpoint of an architecture, as a folder like the hub's."""
    from tests.training.tiny_models import MAKERS

    @functools.cache
    def make(architecture: str) -> Path:
        return MAKERS[architecture](
            tmp_path_factory.mktemp(architecture), invented_tweets()["safe_text"].tolist()
        )

    return make


@pytest.fixture(scope="session")
def tiny_bert(checkpoint_of: Callable[[str], Path]) -> Path:
    return checkpoint_of("bert")


@pytest.fixture(scope="session")
def mlflow_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """URI of an empty MLflow database; artifacts land beside it."""
    import mlflow

    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(uri)
    for experiment in ("whole", "raises", "ended", "unreadable", "absent", "compared"):
        mlflow.create_experiment(experiment, artifact_location=(folder / "artifacts" / experiment).as_uri())
    return uri
