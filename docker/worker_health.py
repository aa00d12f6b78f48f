#!/usr/bin/env python
"""Health check of a Celery worker: ping the worker of this container. Exit status 1 if it does not respond.

Airflow's own check imports all of Airflow, which takes 5 s of CPU time.
"""

import os
import socket
import sys

from celery import Celery

worker = f"celery@{socket.gethostname()}"
app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
sys.exit(0 if app.control.ping(destination=[worker], timeout=10) else f"{worker} does not respond")
