"""Create folders in HDFS with owners and permissions: `python -m deploy.stack.create_hdfs_folders`.

It runs as HDFS's superuser. The folders belong to Airflow and Spark. Every user can add a dump to the landing
folder; its sticky bit prevents users from deleting files of others.
"""

import requests
from hdfs import InsecureClient
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from contracts import hdfs_paths

NAMENODE = "http://namenode:9870"
SUPERUSER, OWNER = "hdfs", "vaxpulse"
STICKY_AND_WRITABLE = "1777"


def create_folders(client: InsecureClient) -> None:
    """Create the folders that do not exist, and set owners and permissions of all."""
    for folder in (hdfs_paths.ROOT, hdfs_paths.LANDING, hdfs_paths.SPARK_EVENTS):
        client.makedirs(folder)
        client.set_owner(folder, owner=OWNER, group=OWNER)
    for folder in (hdfs_paths.LANDING, "/tmp"):  # noqa: S108 (a folder in HDFS)
        client.makedirs(folder)
        client.set_permission(folder, STICKY_AND_WRITABLE)


if __name__ == "__main__":
    session = requests.Session()
    retry = Retry(total=10, backoff_factor=1, status_forcelist=(500, 502, 503, 504), allowed_methods=None)
    session.mount(NAMENODE, HTTPAdapter(max_retries=retry))
    create_folders(InsecureClient(NAMENODE, user=SUPERUSER, session=session))
