"""What Airflow loads from the plugins folder."""

import subprocess
import sys
from pathlib import Path

from airflow._shared.module_loading import find_path_from_directory

from vaxpulse_airflow.pages.plugin import URL_PREFIX, Pages
from vaxpulse_airflow.reports import URL_PREFIX as REPORTS_PREFIX

PLUGINS = Path(__file__).parents[3] / "plugins"


def test_airflow_imports_only_the_plugin_of_the_pages():
    found = {
        Path(path).relative_to(PLUGINS).as_posix()
        for path in find_path_from_directory(PLUGINS, ".airflowignore")
    }
    modules = {path for path in found if path.endswith(".py")}
    assert {path for path in modules if "/pages/" in path} == {"vaxpulse_airflow/pages/plugin.py"}
    assert "vaxpulse_airflow/reports.py" in modules


def test_plugin_does_not_import_the_libraries_of_the_pages():
    program = (
        "import sys, vaxpulse_airflow.pages.plugin\n"
        "print(sorted({'fastapi', 'deltalake', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PLUGINS, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_menu_entry_opens_the_application_outside_the_frame():
    [view] = Pages.external_views
    assert view["href"] == f"{URL_PREFIX}/"
    assert "url_route" not in view


def test_prefix_is_not_below_the_one_of_the_reports():
    assert not URL_PREFIX.startswith(REPORTS_PREFIX)
