"""Web pages in Airflow: dumps with their records and decisions, reports, models, and the latest results.

`plugin` adds the menu entry and the web application. Only the API server imports the other modules. Pages
are HTML from templates, without scripts. Endpoints are plain functions: FastAPI runs them in threads, so that
they do not block Airflow's own pages.
"""
