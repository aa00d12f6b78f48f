"""Spark jobs that tell bad input from a fault."""

from __future__ import annotations

import os
import re
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

# <sysexits.h>: the input is wrong, not the program; no further try can help.
REFUSED = rf"Error code is: {os.EX_DATAERR}\b"


class SparkJobOperator(SparkSubmitOperator):
    """Submits a job and fails at once, without further tries, when the job says that its input is wrong (exit status 65)."""

    def execute(self, context: Any) -> Any:
        """Run the job; raise AirflowFailException when its input is refused."""
        try:
            return super().execute(context)
        except AirflowException as error:
            if re.search(REFUSED, str(error)):
                raise AirflowFailException("the job refused its input and wrote nothing; the lines above say why") from error
            raise
