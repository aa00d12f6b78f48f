"""Log an exported model as a pyfunc, with the code that it needs."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from contracts.labels import PROBABILITY_COLUMNS
from contracts.mlflow_names import LOGGED_MODEL

# Code of the logged model: the package onnx_model and the modules of contracts that it imports.
MODEL_CODE = (
    *(f"onnx_model/{module}.py" for module in ("__init__", "classifier", "exports", "ngrams")),
    "contracts/__init__.py",
    *(f"contracts/{module}.py" for module in ("exit_status", "exported_model", "labels", "texts")),
)
# Invented tweets, which MLflow shows with the model.
EXAMPLE_TEXTS = [
    "My daughter got her measles shot today and was so brave",
    "Is the clinic open on Sunday?",
    "Never trusting those jabs",
]


def log_exported_model(
    mlflow: Any, onnx_folder: Path, requirements: list[str], metadata: dict[str, Any]
) -> str:
    """Log an exported model to the open run of the module `mlflow`, and return the id of the logged model.

    `requirements` are the pinned packages that it needs. MLflow shows `metadata` with it.
    """
    with tempfile.TemporaryDirectory() as folder:
        for file in MODEL_CODE:
            (Path(folder) / file).parent.mkdir(exist_ok=True)
            shutil.copy(Path(__file__).parents[2] / file, Path(folder) / file)
        model_id: str = mlflow.pyfunc.log_model(
            name=LOGGED_MODEL,
            python_model=str(Path(__file__).with_name("logged_model.py")),
            code_paths=[str(package) for package in Path(folder).iterdir()],
            artifacts={"onnx": str(onnx_folder)},
            signature=model_signature(),
            input_example=[{"text": text} for text in EXAMPLE_TEXTS],
            pip_requirements=requirements,  # inferred requirements would name every installed package
            metadata=metadata,
        ).model_id
    return model_id


def model_signature() -> Any:
    """Return the signature of the logged model: the column `text`, and the columns of its predictions."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    figures = [ColSpec("double", name) for name in PROBABILITY_COLUMNS]
    signature = ModelSignature(
        inputs=Schema([ColSpec("string", "text")]),
        outputs=Schema([*figures, ColSpec("long", "label"), ColSpec("double", "score")]),
    )
    # MLflow rejects a list of texts for a signature with a column name. This flag leaves the validation to
    # the model, as with a type hint.
    signature._is_signature_from_type_hint = True
    return signature
