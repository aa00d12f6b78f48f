"""Facts that several packages must agree on: paths, tables, labels, exit statuses, names in MLflow, exported models.

Only the standard library is imported here, so that every package can import `contracts`.
"""
