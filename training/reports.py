"""Where a page for people is put: the folder that Airflow's tab *Report* looks in."""

from urllib.parse import urlsplit

from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import LocalFileSystem, PyFileSystem


def write_file(folder: str, name: str, content: bytes) -> None:
    """Write a file into a folder of HDFS or of this machine."""
    address = urlsplit(folder)
    files = (
        PyFileSystem(DeltaStorageHandler(f"{address.scheme}://{address.netloc}/"))
        if address.scheme
        else LocalFileSystem()
    )
    path = address.path.strip("/") if address.scheme else folder
    files.create_dir(path, recursive=True)
    # With a buffer that takes it all: deltalake's streams take bytes, and from pyarrow they would get its own buffers.
    with files.open_output_stream(f"{path}/{name}", buffer_size=len(content) + 1) as stream:
        stream.write(content)
