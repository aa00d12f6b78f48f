"""Files on Hadoop file systems.

PySpark has no interface for them, so that Hadoop's Java classes are called through Py4J.
A URI without a scheme is on `fs.defaultFS`. Every other module uses these functions.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession


def _hadoop(spark: SparkSession) -> Any:
    jvm: Any = spark.sparkContext._jvm
    return jvm.org.apache.hadoop.fs


def _configuration(spark: SparkSession) -> Any:
    return spark.sparkContext._jsc.hadoopConfiguration()


def _open(spark: SparkSession, uri: str) -> tuple[Any, Any]:
    """Return the path of a URI and its FileSystem."""
    path = _hadoop(spark).Path(uri)
    return path, path.getFileSystem(_configuration(spark))


def exists(spark: SparkSession, uri: str) -> bool:
    """Return whether a file or a folder exists."""
    path, file_system = _open(spark, uri)
    return bool(file_system.exists(path))


def file_sizes(spark: SparkSession, uris: Iterable[str]) -> list[int]:
    """Return the size of each file in bytes."""
    opened = (_open(spark, uri) for uri in uris)
    return [file_system.getFileStatus(path).getLen() for path, file_system in opened]


def glob(spark: SparkSession, pattern: str) -> list[str]:
    """Return the URIs that match a pattern of FileSystem.globStatus."""
    path, file_system = _open(spark, pattern)
    return [status.getPath().toString() for status in file_system.globStatus(path) or []]


def read_text(spark: SparkSession, uri: str) -> str:
    """Return the content of a UTF-8 file."""
    return str(spark.read.text(uri, wholetext=True).collect()[0].value)


def write_file(spark: SparkSession, uri: str, content: bytes) -> None:
    """Write a file. A reader sees either the previous content or all of the new one."""
    folder, _, name = uri.rpartition("/")
    temporary = f"{folder}/.{name}.part"
    path, file_system = _open(spark, temporary)
    stream = file_system.create(path, True)
    stream.write(bytearray(content))
    stream.close()
    rename_overwriting(spark, temporary, uri)


def rename_overwriting(spark: SparkSession, source: str, target: str) -> None:
    """Rename a file or a folder. Replace an existing file or empty folder, in one step on HDFS.

    FileSystem.rename fails if the target exists, and a delete before it would leave no file after a crash.
    """
    hadoop = _hadoop(spark)
    gateway: Any = spark.sparkContext._gateway
    options = gateway.new_array(hadoop.Options.Rename, 1)
    options[0] = hadoop.Options.Rename.OVERWRITE
    context = hadoop.FileContext.getFileContext(_configuration(spark))
    context.rename(hadoop.Path(source), hadoop.Path(target), options)


def delete(spark: SparkSession, uri: str) -> None:
    """Delete a file or a folder with its content, if it exists."""
    path, file_system = _open(spark, uri)
    file_system.delete(path, True)


def copy_from_local(spark: SparkSession, source: Path, uri: str) -> None:
    """Copy a local file or folder. Replace existing files."""
    path, file_system = _open(spark, uri)
    file_system.copyFromLocalFile(False, True, _hadoop(spark).Path(source.as_uri()), path)


def copy_to_local(spark: SparkSession, uri: str, target: Path) -> None:
    """Copy a file to a local path, without a checksum file."""
    path, file_system = _open(spark, uri)
    file_system.copyToLocalFile(False, path, _hadoop(spark).Path(str(target)), True)
