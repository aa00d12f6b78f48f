"""Datasets of a task in OpenLineage events: its inlets and outlets, with the Delta version after the task.

Only Airflow's provider for OpenLineage calls this, and only if a transport is configured. By itself it
ignores inlets and outlets in HDFS, because no provider converts their addresses to datasets.
"""

from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import Asset


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
