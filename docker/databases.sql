-- First start of PostgreSQL: create databases and roles. psql runs the commands in backquotes.
\set airflow_password `cat /run/secrets/airflow_database_password`
\set mlflow_password `cat /run/secrets/mlflow_database_password`
\set studies_password `cat /run/secrets/studies_database_password`
CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';
CREATE ROLE studies LOGIN PASSWORD :'studies_password';
CREATE DATABASE airflow OWNER airflow;
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_auth OWNER mlflow;
CREATE DATABASE studies OWNER studies;
REVOKE CONNECT ON DATABASE airflow, mlflow, mlflow_auth, studies FROM PUBLIC;
