"""Facts that several packages share: paths, tables, labels, exit statuses, MLflow names, exported models.

Only the standard library is imported here, so that every package can import `contracts`.
"""
