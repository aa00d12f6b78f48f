"""Write the files of a report to the folder that Airflow's tab *Report* shows."""

from urllib.parse import urlsplit

from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import LocalFileSystem, PyFileSystem


def write_file(folder: str, name: str, content: bytes) -> None:
    """Write a file into a folder of HDFS (hdfs://host:port/path) or of this machine."""
    address = urlsplit(folder)
    files = (
        PyFileSystem(DeltaStorageHandler(f"{address.scheme}://{address.netloc}/"))
        if address.scheme
        else LocalFileSystem()
    )
    path = address.path.strip("/") if address.scheme else folder
    files.create_dir(path, recursive=True)
    # deltalake's streams accept only bytes. With a buffer that holds everything pyarrow passes bytes on.
    with files.open_output_stream(f"{path}/{name}", buffer_size=len(content) + 1) as stream:
        stream.write(content)
