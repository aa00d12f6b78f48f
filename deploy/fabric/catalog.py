"""Names and sizes that a slice may use.

FABlib has the names of GPUs and images in its constants and the sizes of virtual machines in its library FIM.
`RECORDED` repeats those of FABlib 2.0.9, so that a specification can be validated where FABlib is not
installed; tests/fabric compares them. FABlib has no list of sites without a login.
"""

from dataclasses import dataclass

# Sources: the 28 sites in the United States that the orchestrator listed on 2026-08-05, as published with a
# measurement of FABRIC's links, and AMST, BRIST and CERN of the facility ports in FABRIC's global metadata
# (November 2026). The list may lack sites. `up` compares with the live list.
SITES_DATE = "2026-11-29"
SITES = frozenset(
    {
        "AMST", "ATLA", "BRIST", "CERN", "CLEM", "DALL", "EDC", "EDUKY", "FIU", "GATECH", "GPN", "HAWI",
        "INDI", "KANS", "LOSA", "MASS", "MAX", "MICH", "NCSA", "NEWY", "PRIN", "PSC", "RUTG", "SALT", "SEAT",
        "SRI", "STAR", "TACC", "UCSD", "UTAH", "WASH",
    }
)  # fmt: skip
# Images for which host/install_docker.sh installs Docker and Compose.
SUPPORTED_IMAGES = ("default_debian_12", "default_ubuntu_22", "default_ubuntu_24")


@dataclass(frozen=True)
class Catalog:
    """Names that FABlib accepts, and the largest virtual machine."""

    gpu_models: frozenset[str]
    login_of_image: dict[str, str]  # user name for SSH by image
    max_cores: int
    max_memory_gb: int
    max_disk_gb: int
    sites: frozenset[str] = SITES


RECORDED = Catalog(
    gpu_models=frozenset({"GPU_A30", "GPU_A40", "GPU_RTX6000", "GPU_TeslaT4"}),
    login_of_image={
        "attestable_bmv2_v1_ubuntu_20": "ubuntu",
        "default_centos10_stream": "cloud-user",
        "default_centos8_stream": "centos",
        "default_centos9_stream": "cloud-user",
        "default_debian_11": "debian",
        "default_debian_12": "debian",
        "default_fedora_39": "fedora",
        "default_fedora_40": "fedora",
        "default_freebsd_13_zfs": "freebsd",
        "default_freebsd_14_zfs": "freebsd",
        "default_kali": "kali",
        "default_nixos_24": "nixos",
        "default_openbsd_7": "openbsd",
        "default_rocky_8": "rocky",
        "default_rocky_9": "rocky",
        "default_ubuntu_20": "ubuntu",
        "default_ubuntu_22": "ubuntu",
        "default_ubuntu_24": "ubuntu",
        "docker_rocky_8": "rocky",
        "docker_rocky_9": "rocky",
        "docker_ubuntu_20": "ubuntu",
        "docker_ubuntu_22": "ubuntu",
    },
    max_cores=64,
    max_memory_gb=256,
    max_disk_gb=1000,
)
