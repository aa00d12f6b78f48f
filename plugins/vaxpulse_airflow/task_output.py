"""What operators read in the output of a command or a Spark job: ids for links, figures for Asset events.

The figures are also in OpenLineage events. Only Airflow's provider for OpenLineage calls `describe_datasets`,
and only if a transport is configured. By itself it ignores inlets and outlets in HDFS, because no provider
converts their addresses to datasets.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import Asset

from contracts.task_output import MLFLOW_RUN, SPARK_APPLICATION, read_event
from vaxpulse_airflow.links import MlflowRunLink, SparkApplicationLink


class TaskOutput:
    """Output of one attempt of a task.

    Args:
        context: Airflow's context of the task.

    Attributes:
        urls: URL of each link that was found, by its XCom key.
        event: figures of the last line that has some.
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._context = context
        self.urls: dict[str, str] = {}
        self.event: dict[str, Any] = {}

    def read(self, line: str) -> str:
        """Read a line, and return it. The link to an id is available at once, while the task runs."""
        if found := MLFLOW_RUN.search(line):
            self._publish(MlflowRunLink(), found.groupdict())
        if found := SPARK_APPLICATION.search(line):
            self._publish(SparkApplicationLink(), found.groupdict())
        self.event = read_event(line) or self.event
        return line

    def _publish(self, link: MlflowRunLink | SparkApplicationLink, ids: Mapping[str, str]) -> None:
        self.urls[link.xcom_key] = url = link.build_url(ids)
        if url and "ti" in self._context:
            self._context["ti"].xcom_push(key=link.xcom_key, value=url)

    def describe_changes(self, outlets: list[Any]) -> None:
        """Store the figures in the events of the Assets that the task changed.

        Without dumps of their own, the events have the dumps of the events that triggered the run.
        """
        if not self.event:
            return
        triggers = (self._context.get("triggering_asset_events") or {}).values()
        dumps = {dump for events in triggers for event in events for dump in event.extra.get("dumps", [])}
        event = {"dumps": sorted(dumps)} | self.event if dumps else self.event
        for asset in outlets:
            if isinstance(asset, Asset):
                self._context["outlet_events"][asset].extra = dict(event)


class ObservedLog:
    """A log that also passes each line of a process's output to a function.

    SubprocessHook writes each line with the format "%s" and nothing else with it.
    """

    def __init__(self, log: Any, read: Callable[[str], object]) -> None:
        self._log, self._read = log, read

    def info(self, message: str, *values: Any) -> None:
        """Write a message."""
        self._log.info(message, *values)
        if message == "%s":
            self._read(*values)


def describe_datasets(operator: Any) -> Any:
    """Return the `OperatorLineage` of an operator whose `output_lines` are a TaskOutput.

    The outlets of a task that has changed a table have its version and the number of changed rows.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage

    output = getattr(operator, "output_lines", None)
    event = output.event if output else {}
    return OperatorLineage(
        inputs=[build_dataset(asset) for asset in operator.inlets if isinstance(asset, Asset)],
        outputs=[build_output(asset, event) for asset in operator.outlets if isinstance(asset, Asset)],
    )


def build_dataset(asset: Asset) -> Any:
    """Return the input dataset of an Asset."""
    from openlineage.client.event_v2 import InputDataset

    return InputDataset(*split_uri(asset.uri))


def build_output(asset: Asset, event: dict[str, Any]) -> Any:
    """Return the output dataset of an Asset, with the figures of its Asset event."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset, output_statistics_output_dataset

    facets: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    if "version" in event:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(str(event["version"]))
    if "rows" in event:
        figures["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=event["rows"]
        )
    return OutputDataset(*split_uri(asset.uri), facets=facets, outputFacets=figures)


def split_uri(uri: str) -> tuple[str, str]:
    """Return namespace and name of a dataset, as OpenLineage names files in HDFS.

    >>> split_uri("hdfs://namenode:8020/vaxpulse/tables/tweets_raw")
    ('hdfs://namenode:8020', '/vaxpulse/tables/tweets_raw')
    """
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}", parts.path
