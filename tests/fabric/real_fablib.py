"""Run with `.fabric/bin/python` by test_real_fablib.py: print facts about the real FABlib as JSON.

    python -m tests.fabric.real_fablib SPECIFICATION...

Connections and look-ups of names are errors, as in the other unit tests.
"""

import contextlib
import dataclasses
import inspect
import io
import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from deploy.fabric import __main__ as command_line
from deploy.fabric import adapter
from deploy.fabric.planning import make_plan
from deploy.fabric.specification import load
from tests.fabric import fake_fablib

CLASSES = {
    "FablibManager": "fablib",
    "Slice": "slice",
    "Node": "node",
    "Component": "component",
    "Interface": "interface",
}


def forbid_network(event, _):
    """Raise OSError for each use of the network."""
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        raise OSError(f"{event} in an offline test")


def signatures(classes):
    """Return name and parameters of each public method of the fakes, as they are in `classes`."""
    found = {}
    for name, cls in classes.items():
        fake = getattr(fake_fablib, name)
        for method in vars(fake):
            if not method.startswith("_") and not method.startswith("run"):
                function = getattr(cls, method, None)
                found[f"{name}.{method}"] = function and [
                    [parameter.name, repr(parameter.default)]
                    for parameter in inspect.signature(function).parameters.values()
                ]
    return found


def main():
    sys.addaudithook(forbid_network)
    real = {
        name: getattr(import_module(f"fabrictestbed_extensions.fablib.{module}"), name)
        for name, module in CLASSES.items()
    }
    fake = {name: getattr(fake_fablib, name) for name in CLASSES}
    catalog = {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in dataclasses.asdict(adapter.read_catalog()).items()
    }
    plans = {}
    for specification in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as printed:
            command_line.write_plan(make_plan(load(Path(specification))), Path(folder))
            plans[Path(specification).stem] = {
                "files": {path.name: path.read_text() for path in Path(folder).iterdir()},
                "printed": printed.getvalue(),
            }
    print(
        json.dumps({"real": signatures(real), "fake": signatures(fake), "catalog": catalog, "plans": plans})
    )


if __name__ == "__main__":
    main()
