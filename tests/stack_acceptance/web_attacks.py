"""Requests that a web page in a browser could send to HDFS and MLflow.

A page of another site can send simple requests, but no other headers, and cannot read the response. A page
whose own name resolves to the platform's address (DNS rebinding) can send any header, but not another Host.
The integration tests send the same requests to the embedded platform.
"""

from collections.abc import Iterator
from urllib.parse import quote

from tests.stack_acceptance.http import request

CROSS_SITE = {
    "User-Agent": "Mozilla/5.0",
    "Origin": "http://evil.example",
    "Content-Type": "text/plain",
}
REBOUND = {
    "User-Agent": "Mozilla/5.0",
    "Host": "evil.example",
    "Origin": "http://evil.example",
    "X-XSRF-HEADER": "1",
}
REJECTED = (400, 401, 403, 404)


def find_problems(urls: dict[str, str], datanode: str, rpc: str, victim: str, user: str) -> Iterator[str]:
    """Yield the attacks that are not rejected.

    Args:
        urls: URL of `namenode` and `mlflow`.
        datanode: URL of a DataNode's HTTP server.
        rpc: `host:port` of the NameNode for the DataNode.
        victim: path of an existing file in HDFS.
        user: HDFS user who may write the file.
    """
    file = f"{urls['namenode']}/webhdfs/v1{quote(victim)}"
    block = f"{datanode}/webhdfs/v1{quote(victim)}?user.name={user}&namenoderpcaddress={rpc}&offset=0"
    experiments = f"{urls['mlflow']}/api/2.0/mlflow/experiments/create"
    for method, url in (
        ("POST", f"{file}?op=TRUNCATE&newlength=0&user.name={user}"),
        ("POST", f"{file}?op=APPEND&user.name={user}"),
        ("GET", f"{urls['namenode']}/fsck?path=/&delete=1&ugi={user}"),
        ("GET", f"{urls['namenode']}/imagetransfer?getimage=1&txid=latest"),
        ("GET", f"{urls['namenode']}/logLevel?log=root&level=DEBUG"),
        ("GET", f"{block}&op=OPEN"),
        ("POST", f"{block}&op=APPEND"),
        ("POST", experiments),
    ):
        yield from find_problem(method, url, CROSS_SITE)
    for method, url in (
        ("DELETE", f"{file}?op=DELETE&user.name={user}"),
        ("GET", f"{file}?op=OPEN&user.name={user}"),
        ("GET", f"{urls['namenode']}/conf"),
        ("GET", f"{urls['namenode']}/jmx"),
        ("GET", f"{block}&op=OPEN"),
        ("PUT", f"{block}&op=CREATE&overwrite=true"),
        ("OPTIONS", f"{block}&op=CREATE"),
        ("GET", f"{datanode}/conf"),
        ("POST", experiments),
        ("GET", f"{urls['mlflow']}/api/2.0/mlflow/experiments/search?max_results=1"),
    ):
        yield from find_problem(method, url, REBOUND)


def find_problem(method: str, url: str, headers: dict[str, str]) -> Iterator[str]:
    """Yield a message if a request is not rejected."""
    status, _ = request(method, url, headers=headers)
    if status not in REJECTED:
        yield f"{method} {url} with the Host {headers.get('Host', 'of the URL')} answered {status}"
