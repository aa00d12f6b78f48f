"""Specification of a slice: a YAML file that pydantic validates. vaxpulse.yaml is the documented default."""

import difflib
from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from deploy.common.errors import CommandError
from deploy.fabric.catalog import RECORDED, SITES_DATE, SUPPORTED_IMAGES, Catalog

MAX_LEASE_HOURS = 14 * 24
MAX_WORKERS = 100
FIXED_HOSTS = 2  # head and training
RESERVED_ADDRESSES = 2  # network and broadcast


class Section(BaseModel):
    """A part of the file. Unknown fields are errors, because a misspelt field would be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(Section):
    """Size of a virtual machine."""

    cores: int = Field(ge=2)
    memory_gb: int = Field(ge=8)
    disk_gb: int = Field(ge=50)

    @field_validator("cores", "memory_gb", "disk_gb")
    @classmethod
    def limit_size(cls, value: int, info: ValidationInfo) -> int:
        """Reject a size that no virtual machine of FABRIC has."""
        limit: int = getattr(catalog_of(info), f"max_{info.field_name}")
        if value > limit:
            raise ValueError(f"{value} is too large: the largest virtual machine of FABRIC has {limit}")
        return value


class Head(Machine):
    """The machine of all services that exist once: databases, NameNode, Spark master, MLflow, Airflow."""

    cores: int = Field(ge=4)
    memory_gb: int = Field(ge=16)
    disk_gb: int = Field(ge=100)


class Workers(Machine):
    """Machines with a DataNode, a Spark worker, or both. The first machines have both."""

    datanodes: int = Field(ge=1, le=MAX_WORKERS)
    spark_workers: int = Field(ge=1, le=MAX_WORKERS)

    @property
    def machines(self) -> int:
        """Return the number of virtual machines."""
        return max(self.datanodes, self.spark_workers)


class Training(Machine):
    """The machine of the Celery worker that trains."""

    memory_gb: int = Field(ge=16)
    gpu: str | None = None

    @field_validator("gpu")
    @classmethod
    def check_gpu(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Reject a GPU model that FABlib does not have."""
        return value and known(value, catalog_of(info).gpu_models, "GPU model")


class Network(Section):
    """The layer-2 network of the slice. Its hosts get fixed addresses in the order of the plan."""

    name: str = Field(default="stack", pattern=r"^[a-z][a-z0-9-]{0,30}$")
    subnet: IPv4Network

    @field_validator("subnet")
    @classmethod
    def check_subnet(cls, value: IPv4Network) -> IPv4Network:
        """Reject a public subnet, because its addresses would hide hosts of the Internet."""
        if not value.is_private:
            raise ValueError(f"{value} is not private: choose a subnet of 10.0.0.0/8 or 192.168.0.0/16")
        return value


class Images(Section):
    """Container images that replace the official base images, for example those of a mirror."""

    debian: str | None = None
    postgres: str | None = None
    redis: str | None = None


class Specification(Section):
    """A slice."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")
    site: str
    image: str = SUPPORTED_IMAGES[0]
    lease_hours: int = Field(default=24, ge=1, le=MAX_LEASE_HOURS)
    head: Head
    workers: Workers
    training: Training
    network: Network  # after `workers`: its validation counts the hosts
    container_images: Images = Images()

    @field_validator("site")
    @classmethod
    def check_site(cls, value: str, info: ValidationInfo) -> str:
        """Reject an unknown site."""
        return known(value, catalog_of(info).sites, f"site of FABRIC (list of {SITES_DATE}, catalog.py)")

    @field_validator("image")
    @classmethod
    def check_image(cls, value: str, info: ValidationInfo) -> str:
        """Reject an image that FABRIC does not have, or on which Docker cannot be installed."""
        known(value, catalog_of(info).login_of_image, "image of FABRIC")
        if value not in SUPPORTED_IMAGES:
            raise ValueError(f"{value} is not supported: choose {', '.join(SUPPORTED_IMAGES)}")
        return value

    @field_validator("network")
    @classmethod
    def check_addresses(cls, value: Network, info: ValidationInfo) -> Network:
        """Reject a subnet with fewer addresses than hosts."""
        workers: Workers | None = info.data.get("workers")  # None: it is invalid, and reported on its own
        hosts = FIXED_HOSTS + workers.machines if workers else 0
        addresses = value.subnet.num_addresses - RESERVED_ADDRESSES
        if hosts > addresses:
            raise ValueError(
                f"subnet: {value.subnet} has {addresses} addresses, and the slice has {hosts} hosts"
            )
        return value


def catalog_of(info: ValidationInfo) -> Catalog:
    """Return the catalog that a validation uses."""
    catalog: Catalog = (info.context or {}).get("catalog", RECORDED)
    return catalog


def known(value: str, names: Iterable[str], kind: str) -> str:
    """Return a name if it is in the list. Raise ValueError with the most similar names otherwise."""
    names = sorted(names)
    if value in names:
        return value
    similar = difflib.get_close_matches(value, names, n=3, cutoff=0.5) or names
    raise ValueError(f"{value!r} is no {kind}: did you mean {', '.join(similar)}?")


def load(path: Path, catalog: Catalog = RECORDED) -> Specification:
    """Return the specification in a YAML file.

    Raises:
        CommandError: the file is missing or invalid. The message has a line for each invalid field.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"cannot read the specification: {error}") from None
    except yaml.YAMLError as error:
        raise CommandError(f"{path} is not YAML: {error}") from None
    try:
        return Specification.model_validate(content, context={"catalog": catalog})
    except ValidationError as error:
        problems = [
            f"  {'.'.join(map(str, problem['loc'])) or 'file'}: {problem['msg']}".replace("Value error, ", "")
            for problem in error.errors()
        ]
        raise CommandError("\n".join([f"{path} is invalid:", *problems])) from None
