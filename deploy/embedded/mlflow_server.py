"""Run MLflow's tracking server in one process: `python -m deploy.embedded.mlflow_server HOST PORT ARTIFACTS`.

`mlflow server` imports MLflow, creates the tables, and then starts a second interpreter that imports MLflow
again. One process for both halves the start time and saves the memory of the first. MLFLOW_BACKEND_STORE_URI
is the database.
"""

import os
import sys

import uvicorn
from mlflow.server import constants

# MLflow's assistant executes shell commands as the user of this server. MLflow has no login here, so every
# user of this machine could choose the language model that decides about the commands.
ASSISTANT = "/ajax-api/3.0/mlflow/assistant"


def main(host: str, port: str, artifacts: str) -> None:
    """Create or upgrade the tables, then serve until a signal arrives."""
    database = os.environ["MLFLOW_BACKEND_STORE_URI"]
    artifact_root = "mlflow-artifacts:/"  # clients store artifacts through the server
    # `mlflow server` passes these to its second interpreter. MLflow reads them when the application is
    # imported.
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: database,
        constants.REGISTRY_STORE_URI_ENV_VAR: database,
        constants.ARTIFACT_ROOT_ENV_VAR: artifact_root,
        constants.ARTIFACTS_DESTINATION_ENV_VAR: artifacts,
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
    }
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    app.router.routes[:] = [
        route for route in app.router.routes if not getattr(route, "path", "").startswith(ASSISTANT)
    ]
    initialize_backend_stores(database, database, artifact_root)
    uvicorn.run(app, host=host, port=int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
