"""Page *Lineage*: from a scored tweet, a dump or a model to everything that it depends on.

The page is a list of steps with facts. A fact that is missing becomes a sentence; the other steps are shown.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse

from contracts.exit_status import InputError
from contracts.labels import CLASS_NAMES, LABEL_NAMES
from contracts.mlflow_names import REGISTERED_MODEL
from contracts.tables import ERASED
from vaxpulse_airflow.links import mlflow_url
from vaxpulse_airflow.pages.access import can_see, may_see
from vaxpulse_airflow.pages.data import insights, lineage
from vaxpulse_airflow.pages.data.airflow_client import ApiError
from vaxpulse_airflow.pages.data.delta_log import Commit
from vaxpulse_airflow.pages.data.mlflow_client import MlflowError
from vaxpulse_airflow.pages.data.runs import find_dag_of_run
from vaxpulse_airflow.pages.data.tables import Row, Tables
from vaxpulse_airflow.pages.dumps import find_dump
from vaxpulse_airflow.pages.rendering import format_moment, format_size, render, show_text

INGESTION, TRAINING, ERASURE = "ingest_tweets", "train_classifiers", "erase_tweets"
NO_COMMIT = (
    "No commit was found in the log of {table}: nothing was written yet, the rows were removed, or Delta has "
    "deleted old entries."
)

TweetId = Annotated[str, Query(pattern="^[0-9A-Za-z_-]{0,64}$")]
DumpHash = Annotated[str, Query(pattern="^([0-9a-f]{64})?$")]
Version = Annotated[str, Query(pattern="^[0-9]{0,9}$")]

router = APIRouter(prefix="/lineage", dependencies=[may_see(insights.DAG_ID)])


@dataclass
class Step:
    """A part of the page.

    Attributes:
        title: its heading.
        facts: name, value and link of each fact. A link is an address or None.
        notes: sentences, for example about facts that are missing.
    """

    title: str
    facts: list[tuple[str, str, str | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: object, link: str | None = None) -> None:
        """Add a fact, unless it has no value."""
        if value not in (None, ""):
            self.facts.append((name, str(value), link))


class Trail:
    """The steps of one page.

    Args:
        request: the request.
        user: the user. Steps about DAGs whose runs the user may not read are a sentence.
    """

    def __init__(self, request: Request, user: Any) -> None:
        self._state, self._request = request.app.state, request
        self._tables: Tables = request.app.state.tables
        self._base = request.scope.get("root_path", "")
        self._airflow = self._base.rpartition("/")[0]
        self._sees = {dag_id: can_see(user, dag_id) for dag_id in (INGESTION, TRAINING, ERASURE)}
        self.steps: list[Step] = []

    def follow_tweet(self, tweet_id: str, version: str) -> None:
        """Add the steps from a tweet to its dump and model. `version` is '' for the model of the report."""
        step = self._begin(f"Tweet {tweet_id}")
        erasure = lineage.find_erasure(self._tables, tweet_id) if self._sees[ERASURE] else None
        if erasure:
            run = self._run_link(ERASURE, erasure["run_id"])
            step.add("Erased", f"{format_moment(erasure['erased_at'])} UTC", run)
            step.notes.append("This tweet was erased on request. Rows that exist were delivered again.")
        tweet = lineage.find_tweet(self._tables, tweet_id)
        if tweet is None:
            step.notes.append(
                "tweets_clean has no tweet with this id. It was never delivered, was quarantined, was "
                "retracted or erased, or is not cleaned yet."
            )
            return
        own = "none" if tweet["label"] is None else LABEL_NAMES[tweet["label"]]
        step.add("Label in the dump", own)
        step.add("Part", tweet["split"])
        versions = lineage.list_scoring_models(self._tables)
        shown = version or self._choose_version(versions)
        score = lineage.find_score(self._tables, tweet_id, shown) if shown else None
        if score is None:
            step.notes.append(
                f"Version {shown} of the model has not scored this tweet."
                if shown
                else "No model has scored tweets yet."
            )
            commits = lineage.find_versions_of_dump(self._tables, tweet["dump_sha256"], shown or None)
        else:
            self._describe_score(step, score, shown)
            commits = lineage.find_versions_of_tweet(
                self._tables, tweet["dump_sha256"], shown, score["scored_at"]
            )
        for other in [each for each in versions if each != shown]:
            address = f"{self._base}/lineage?tweet={quote(tweet_id)}&version={quote(other)}"
            step.add("Score of another version", other, address)
        self._add_tables(commits)
        if score is not None:
            self.follow_model(shown)
        self._add_dump(tweet["dump_sha256"])

    def follow_dump(self, sha256: str, version: str) -> None:
        """Add the steps from a dump to the model that scored it."""
        self._add_dump(sha256)
        if not self._sees[INGESTION]:
            return
        step = self._begin("Scores")
        models = lineage.list_models_of_dump(self._tables, sha256)
        shown = version or next(iter(models), "")
        if not models:
            step.notes.append("No model has scored this dump yet.")
        for each in models:
            step.add("Scored by version", each, f"{self._base}/lineage?dump={sha256}&version={quote(each)}")
        self._add_tables(lineage.find_versions_of_dump(self._tables, sha256, shown or None))
        if shown:
            self.follow_model(shown)

    def follow_model(self, version: str) -> None:
        """Add the step of a version of the model: files in HDFS, and MLflow's records."""
        step = self._begin(f"Model {REGISTERED_MODEL}, version {version}")
        step.add(
            "Version in MLflow",
            version,
            mlflow_url(f"models/{REGISTERED_MODEL}/versions/{version}"),
        )
        if not self._sees[TRAINING]:
            step.notes.append(f"You may not see the runs of {TRAINING}, so its training is not shown.")
            return
        found, run_id, table_version = self._add_model_files(step, version)
        try:
            model_version = self._state.mlflow.read_version(version)
            run_id = model_version["run_id"]
            run = self._state.mlflow.read_run(run_id)
        except MlflowError as error:
            step.notes.append(f"MLflow was not read: {error}. The other facts are from HDFS.")
            run = None
        step.add("MLflow run", run_id, mlflow_url(f"runs/{run_id}"))
        if run:
            tags, params = run["tags"], run["params"]
            dag_id, airflow_run = tags.get("airflow_dag_id"), tags.get("airflow_run_id")
            if dag_id and airflow_run:
                step.add("Airflow run of the training", airflow_run, self._run_link(dag_id, airflow_run))
            if not found:
                step.add("Preset", tags.get("preset"))
                step.add("Git commit of the training", tags.get("git_commit"))
                table_version = int(params.get("dataset.table_version", -1))
            step.add("Training tweets", params.get("dataset.train_rows"))
            step.add("Teacher", params.get("config.teacher", "None").removeprefix("None"))
        if table_version >= 0:
            commit = lineage.find_training_commit(self._tables, table_version)
            source = f", from version {commit.source_version} of tweets_raw" if commit else ""
            step.add("Trained on", f"version {table_version} of tweets_clean{source}")

    def _begin(self, title: str) -> Step:
        self.steps.append(Step(title))
        return self.steps[-1]

    def _choose_version(self, versions: list[str]) -> str:
        """Return the version of the newest report if it has scores, else the latest version, else ''."""
        found = insights.read_insights(self._state.reports)
        if found and found.model_version in versions:
            return found.model_version
        return next(iter(versions), "")

    def _describe_score(self, step: Step, score: Row, version: str) -> None:
        step.add("Predicted label", LABEL_NAMES[score["label"]])
        step.add("Score (-1 to 1)", f"{score['score']:+.3f}")
        shares = ", ".join(f"{name} {score[f'p_{name}']:.3f}" for name in CLASS_NAMES)
        step.add("Probabilities", shares)
        step.add("Scored", f"{format_moment(score['scored_at'])} UTC by version {version}")

    def _add_tables(self, versions: lineage.Versions) -> None:
        step = self._begin("Delta tables")
        parts = (
            ("tweets_scored", versions.scored, "tweets_clean", lineage.SCORING),
            ("tweets_clean", versions.clean, "tweets_raw", lineage.CLEANING),
            ("tweets_raw", versions.raw, "", ""),
        )
        for table, commit, source, dag_id in parts:
            if commit is None:
                step.notes.append(NO_COMMIT.format(table=table))
                continue
            step.add(table, describe_commit(commit, source))
            if dag_id:
                self._add_run(step, dag_id, commit)

    def _add_run(self, step: Step, dag_id: str, commit: Commit) -> None:
        run_id = lineage.find_run(self._tables, dag_id, commit.time)
        if run_id:
            step.add(f"Run of {dag_id}", run_id, self._run_link(dag_id, run_id))
        else:
            step.notes.append(
                f"pipeline_metrics has no run of {dag_id} at that time. watch_platform adds a run within "
                "five minutes after its end. It has only the latest try of a task."
            )

    def _add_model_files(self, step: Step, version: str) -> tuple[bool, str, int]:
        """Add facts of the files in HDFS. Return whether they exist, MLflow run, and table version."""
        try:
            files = lineage.read_model_files(self._state.connect_hdfs(), version)
        except InputError as error:
            step.notes.append(f"The files of the model in HDFS are not readable: {show_text(error)}.")
            return False, "", -1
        if files is None:
            step.notes.append(
                "HDFS has no files of this version: it has scored nothing, or apply_retention has "
                "deleted them."
            )
            return False, "", -1
        step.add("Preset", files.metadata.preset)
        step.add("Git commit of the training", files.metadata.git_commit)
        step.add("Input column", files.metadata.text_column)
        step.add("Precision", files.metadata.precision)
        return True, files.run_id, files.metadata.table_version

    def _add_dump(self, sha256: str) -> None:
        step = self._begin("Dump")
        if not self._sees[INGESTION]:
            step.notes.append(f"You may not see the runs of {INGESTION}, so the dump is not shown.")
            return
        try:
            dump = find_dump(self._tables, sha256)
        except HTTPException:
            step.notes.append("The table dumps has no dump with this SHA-256.")
            return
        step.add("Source file", dump["source"], f"{self._base}/dumps/{sha256}")
        step.add("State", dump["state"])
        step.add("Delivered", f"{format_moment(dump['delivered_at'])} UTC")
        step.add("Size", format_size(dump["bytes"]))
        step.add("SHA-256", sha256)
        if dump["state"] == ERASED:
            step.notes.append("The file and all rows of this dump were erased.")
        self._add_dump_run(step, dump["run_id"])

    def _add_dump_run(self, step: Step, run_id: str) -> None:
        # `dumps` has the run without its DAG, which may be that of a decision.
        try:
            dag_id = find_dag_of_run(self._state.open_api(self._request), run_id)
        except ApiError as error:
            step.notes.append(f"The run was not looked up: {error.detail}")
            dag_id = None
        step.add("Airflow run", run_id, self._run_link(dag_id, run_id) if dag_id else None)
        if not dag_id:
            step.notes.append("Airflow does not show this run to you, or has deleted it from its history.")

    def _run_link(self, dag_id: str, run_id: str) -> str:
        return f"{self._airflow}/dags/{quote(dag_id)}/runs/{quote(run_id, safe=':+~')}"


def describe_commit(commit: Commit, source: str) -> str:
    """Return version, time and source of a commit."""
    read = f", from version {commit.source_version} of {source}" if source else ""
    return f"version {commit.version} of {commit.time:%Y-%m-%d %H:%M:%S} UTC{read}"


@router.get("")
def show_lineage(
    request: Request, user: GetUserDep, tweet: TweetId = "", dump: DumpHash = "", version: Version = ""
) -> HTMLResponse:
    """Return the page of a tweet, of a dump, of a version of the model, or only the search."""
    trail = Trail(request, user)
    if tweet:
        trail.follow_tweet(tweet, version)
    elif dump:
        trail.follow_dump(dump, version)
    elif version:
        trail.follow_model(version)
    return render(request, "lineage", here="lineage", tweet=tweet, steps=trail.steps)
