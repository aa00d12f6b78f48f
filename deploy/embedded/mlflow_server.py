"""Run MLflow's tracking server in this process: `python -m deploy.embedded.mlflow_server HOST PORT ARTIFACTS`.

The command `mlflow server` imports MLflow, makes the tables, then starts a second interpreter that imports MLflow again and serves. Here one
does both, which halves the start and saves the memory of the first. MLFLOW_BACKEND_STORE_URI names the database.
"""

import os
import sys

import uvicorn
from mlflow.server import constants


def main(host: str, port: str, artifacts: str) -> None:
    """Make or upgrade the tables, then serve until a signal ends it."""
    database = os.environ["MLFLOW_BACKEND_STORE_URI"]
    artifact_root = (
        "mlflow-artifacts:/"  # runs store through the server, never in a folder of its machine by themselves
    )
    # As `mlflow server` hands them to its second interpreter; read when the application is imported.
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: database,
        constants.REGISTRY_STORE_URI_ENV_VAR: database,
        constants.ARTIFACT_ROOT_ENV_VAR: artifact_root,
        constants.ARTIFACTS_DESTINATION_ENV_VAR: artifacts,
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
    }
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(database, database, artifact_root)
    uvicorn.run(app, host=host, port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
