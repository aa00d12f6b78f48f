"""The trigger of the Asset `landed_dumps`: an event for each dump in the landing folder of HDFS."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from vaxpulse_airflow.landing import deliver_landed
from vaxpulse_airflow.webhdfs import TimedWebHDFSHook


class LandedDumpTrigger(BaseEventTrigger):
    """Delivers the files of the landing folder in HDFS. Yields one event for each file.

    A file leaves the folder by a rename, which only one process can do. So a restarted or second triggerer
    sends no second event. If Airflow loses an event, the next run of `ingest_tweets` finds the delivery.

    Args:
        webhdfs_conn_id: connection to WebHDFS.
        poll_seconds: pause between two listings of the folder.
    """

    def __init__(self, webhdfs_conn_id: str = "webhdfs_default", poll_seconds: float = 5.0) -> None:
        super().__init__()
        self.webhdfs_conn_id = webhdfs_conn_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class and its arguments, from which the triggerer creates an instance."""
        arguments = {"webhdfs_conn_id": self.webhdfs_conn_id, "poll_seconds": self.poll_seconds}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield `{"source": name}` for each delivered file. Never ends."""
        while True:
            try:
                for source in await asyncio.to_thread(self.deliver):
                    yield TriggerEvent({"source": source})
            except Exception:
                # HDFS may be restarting. A trigger that ends is not restarted before its DAG file changes.
                self.log.exception(
                    "the landing folder cannot be read; the next attempt is in %s s", self.poll_seconds
                )
            await asyncio.sleep(self.poll_seconds)

    def deliver(self) -> list[str]:
        """Deliver every complete file of the landing folder. Return their names."""
        sources, problems = deliver_landed(TimedWebHDFSHook(self.webhdfs_conn_id).get_conn())
        for problem in problems:
            self.log.error("cannot deliver %s; the next attempt is in %s s", problem, self.poll_seconds)
        return sources
