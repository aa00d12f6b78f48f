"""Environment variables of a deployment, which the plugins read at import."""

import os

os.environ |= {
    "VAXPULSE_MLFLOW_URL": "http://mlflow:5000",
    "VAXPULSE_HDFS_URL": "http://namenode:9870",
    "VAXPULSE_SPARK_URL": "http://spark:18080",
}
