"""Check with deptry that each package imports only the standard library and the dependencies of its extra.

deptry has one list of dependencies for a project. It runs once for each extra, with the extra as that list.
It ignores unused dependencies (DEP002), because some are used only by other packages, for example accelerate.
"""

import itertools
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ALL = "all extras"
# Folders by the extra that contains their imports. A shared package is checked with the extras of its users.
FOLDERS = {
    "": ["contracts"],
    "airflow": ["dags", "plugins", "monitoring"],
    "loading": ["loading"],
    "spark": ["spark_jobs", "onnx_model", "reporting"],
    "training": ["training", "onnx_model", "reporting"],
    "retention": ["retention"],
    "embedded": ["deploy", "monitoring"],
    "fabric": ["deploy/fabric"],
    ALL: ["benchmarks", "docs", "tests"],
}
# Subfolders with an extra of their own, as regular expressions of deptry.
EXCLUDED = {"embedded": "deploy/fabric/"}
FIRST_PARTY = sorted({*itertools.chain(*FOLDERS.values()), "vaxpulse_airflow", "vaxpulse_dags"})


def main() -> int:
    """Run deptry for each extra. Return 1 if a package is imported that its extra does not declare."""
    project = Path(__file__).parents[1]
    extras = tomllib.loads((project / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    extras |= {"": [], ALL: [*itertools.chain(*extras.values())]}
    first_party = [argument for name in FIRST_PARTY for argument in ("--known-first-party", name)]
    failed = False
    with tempfile.TemporaryDirectory() as scratch:
        for extra, folders in FOLDERS.items():
            requirements = Path(scratch, "requirements.txt")
            requirements.write_text("\n".join(extras[extra]))
            config = Path(scratch, "pyproject.toml")
            config.write_text("")
            command = [sys.executable, "-m", "deptry", *folders, "--config", str(config), *first_party]
            command += ["--requirements-files", str(requirements), "--ignore", "DEP002"]
            command += ["--exclude", EXCLUDED.get(extra, "^$")]
            result = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
            if result.returncode:
                print(f"{', '.join(folders)} against {extra or 'the standard library'}:\n{result.stderr}")
                failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
