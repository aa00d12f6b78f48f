"""Data that the pages show: Delta tables, reports in HDFS, and runs in Airflow."""
