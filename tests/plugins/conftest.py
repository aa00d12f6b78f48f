"""The environment that a deployment gives the plugins; they read it when they are imported."""

import os

os.environ |= {
    "VAXPULSE_MLFLOW_URL": "http://mlflow:5000",
    "VAXPULSE_HDFS_URL": "http://namenode:9870",
    "VAXPULSE_SPARK_URL": "http://spark:18080",
}
