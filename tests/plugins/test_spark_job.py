"""A job that refuses its input fails at once; any other failure is tried again."""

import pytest
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from vaxpulse_airflow.spark_job import SparkJobOperator


@pytest.mark.parametrize(("status", "error"), [(65, AirflowFailException), (1, AirflowException), (651, AirflowException)])
def test_exit_status_decides_whether_another_try_is_made(monkeypatch, status, error):
    def fail(self, context):
        raise AirflowException(f"Cannot execute: spark-submit job.py. Error code is: {status}.")

    monkeypatch.setattr(SparkSubmitOperator, "execute", fail)
    with pytest.raises(AirflowException) as raised:
        SparkJobOperator(task_id="job").execute({})
    assert type(raised.value) is error
