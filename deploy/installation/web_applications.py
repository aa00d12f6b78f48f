"""Copy Hadoop's web applications to a folder, with the access rules of deploy/conf/namenode.

`python -m deploy.installation.web_applications FOLDER`, for the image. The folder precedes the jars on the
NameNode's class path, so Hadoop finds it first. Hadoop has no setting for a check of the header Host, but its
server, Jetty, reads WEB-INF/jetty-web.xml of a web application.
"""

import shutil
import sys
import zipfile
from pathlib import Path

from deploy.common.checkout import CONFIGURATION, JARS


def copy_web_applications(folder: Path, jars: Path = JARS) -> None:
    """Write `webapps/` below a folder. Files of an earlier call are replaced."""
    [jar] = (jars / "hdfs").glob("hadoop-hdfs-*-tests.jar")  # the only jar with the pages
    with zipfile.ZipFile(jar) as content:
        content.extractall(folder, [name for name in content.namelist() if name.startswith("webapps/")])
    rules = CONFIGURATION / "namenode" / "WEB-INF"
    shutil.copytree(rules, folder / "webapps" / "hdfs" / "WEB-INF", dirs_exist_ok=True)


if __name__ == "__main__":
    copy_web_applications(Path(sys.argv[1]))
