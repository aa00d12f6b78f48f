"""Roles of users in Airflow, for deployments with several users. docs/security.md describes them."""

DELIVERER = "Deliverer"
CURATOR = "Curator"
MODELER = "Modeler"
