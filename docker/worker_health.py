#!/usr/bin/env python
"""Health check of a Celery worker: asks this container's own worker by the broker; exit status 1 without an answer.

Airflow's own check imports all of Airflow, which takes a core for five seconds each time.
"""

import os
import socket
import sys

from celery import Celery

worker = f"celery@{socket.gethostname()}"
app = Celery(broker=os.environ["AIRFLOW__CELERY__BROKER_URL"])
sys.exit(0 if app.control.ping(destination=[worker], timeout=10) else f"{worker} does not answer")
