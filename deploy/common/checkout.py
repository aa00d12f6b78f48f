"""Folders of the checkout. In the images the repository is at /opt/vaxpulse with the same layout."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = REPOSITORY / ".venv"
JARS = REPOSITORY / ".jars"
WEIGHTS = REPOSITORY / ".weights"  # of the default model
CONFIGURATION = REPOSITORY / "deploy" / "conf"  # files that every deployment reads
PYTHON_VERSION = (3, 11)


def site_packages() -> Path:
    """Return the folder of installed packages in `.venv`."""
    return ENVIRONMENT / "lib" / "python{}.{}".format(*PYTHON_VERSION) / "site-packages"
