"""New dumps in HDFS as events, for an Asset that is watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from vaxpulse_airflow.deliveries import deliver_landed
from vaxpulse_airflow.webhdfs import TimedWebHDFSHook


class LandedDumpTrigger(BaseEventTrigger):
    """Delivers what lands in a folder of HDFS, and fires once for each file.

    A file leaves the landing folder by a rename, which HDFS does for one of all who try: a restarted or a second triggerer stays silent about it.
    Should Airflow lose the event, the next run of `ingest_tweets` finds the delivery.

    Args:
        landing_folder: the watched folder within HDFS.
        delivered_folder: the folder within HDFS for delivered files.
        webhdfs_conn_id: the connection to WebHDFS.
        poll_seconds: how often the folder is looked at.
    """

    def __init__(
        self,
        landing_folder: str,
        delivered_folder: str,
        webhdfs_conn_id: str = "webhdfs_default",
        poll_seconds: float = 5.0,
    ) -> None:
        super().__init__()
        self.landing_folder = landing_folder
        self.delivered_folder = delivered_folder
        self.webhdfs_conn_id = webhdfs_conn_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow needs to make this trigger anew in another process."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "landing_folder": self.landing_folder,
                "delivered_folder": self.delivered_folder,
                "webhdfs_conn_id": self.webhdfs_conn_id,
                "poll_seconds": self.poll_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield `{"source": name}` for each delivered file; never ends."""
        while True:
            try:
                for source in await asyncio.to_thread(self.deliver):
                    yield TriggerEvent({"source": source})
            except Exception:
                # HDFS may be restarting; a trigger that ends is not started again until the DAG file changes.
                self.log.exception(
                    "cannot look into %s; trying again in %s s", self.landing_folder, self.poll_seconds
                )
            await asyncio.sleep(self.poll_seconds)

    def deliver(self) -> list[str]:
        """Deliver every whole file in the landing folder; return the names that they had."""
        client = TimedWebHDFSHook(self.webhdfs_conn_id).get_conn()
        sources, problems = deliver_landed(client, self.landing_folder, self.delivered_folder)
        for problem in problems:
            self.log.error("cannot deliver %s; trying again in %s s", problem, self.poll_seconds)
        return sources
