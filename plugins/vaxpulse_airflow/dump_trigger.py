"""New dumps in HDFS as events, for an Asset that is watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.apache.hdfs.hooks.webhdfs import WebHDFSHook
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from vaxpulse_airflow.dumps import claim_dump, landed_dumps


class LandedDumpTrigger(BaseEventTrigger):
    """Fires once for each new content that lands in a folder of HDFS.

    It claims a file by renaming it out of the folder, which HDFS does for one of all who try, under the hash of its content: a restarted or
    a second triggerer stays silent, and so does this one about a renamed or re-delivered dump. Should Airflow lose the event, the next run
    of `ingest_tweets` takes the claimed file with it.

    Args:
        landing_folder: the watched folder within HDFS.
        claimed_folder: the folder within HDFS for claimed files.
        raw_folder: the folder within HDFS that keeps dumps by their hash.
        webhdfs_conn_id: the connection to WebHDFS.
        poll_seconds: how often the folder is looked at.
    """

    def __init__(
        self,
        landing_folder: str,
        claimed_folder: str,
        raw_folder: str,
        webhdfs_conn_id: str = "webhdfs_default",
        poll_seconds: float = 15.0,
    ) -> None:
        super().__init__()
        self.landing_folder = landing_folder
        self.claimed_folder = claimed_folder
        self.raw_folder = raw_folder
        self.webhdfs_conn_id = webhdfs_conn_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow needs to make this trigger anew in another process."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "landing_folder": self.landing_folder,
                "claimed_folder": self.claimed_folder,
                "raw_folder": self.raw_folder,
                "webhdfs_conn_id": self.webhdfs_conn_id,
                "poll_seconds": self.poll_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield `{"sha256": ..., "source": ...}` for each new content; never ends."""
        while True:
            try:
                for event in await asyncio.to_thread(self.claim_all):
                    yield TriggerEvent(event)
            except Exception:
                # HDFS may be restarting; a trigger that ends is not started again until the DAG file changes.
                self.log.exception("cannot look into %s; trying again in %s s", self.landing_folder, self.poll_seconds)
            await asyncio.sleep(self.poll_seconds)

    def claim_all(self) -> list[dict[str, str]]:
        """Claim every whole file in the landing folder; return an event for each whose content is new."""
        client = WebHDFSHook(self.webhdfs_conn_id).get_conn()
        claims = {
            path: claim_dump(path, client, self.claimed_folder, self.raw_folder) for path in landed_dumps(client, self.landing_folder)
        }
        return [{"sha256": sha256, "source": path} for path, sha256 in claims.items() if sha256]
