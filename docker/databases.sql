-- PostgreSQL's first start: a database and a role for each program. psql reads the passwords where the shell commands stand.
\set airflow_password `cat /run/secrets/airflow_database_password`
\set mlflow_password `cat /run/secrets/mlflow_database_password`
CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_auth OWNER mlflow;
REVOKE CONNECT ON DATABASE airflow, mlflow, mlflow_auth FROM PUBLIC;
