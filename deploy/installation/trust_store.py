"""Convert certificate authorities to a trust store of Java: `python trust_store.py BUNDLE.pem STORE.p12`."""

import sys
import warnings
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

# Not a secret: PKCS12 requires a password, and the store contains public certificates only.
PASSWORD = "changeit"  # noqa: S105


def write_trust_store(bundle: Path, store: Path) -> None:
    """Convert a PEM bundle to PKCS12 with the attribute that marks trusted certificates for Java."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some old authorities have serial numbers that RFC 5280 forbids
        certificates = x509.load_pem_x509_certificates(bundle.read_bytes())
    entries = [
        pkcs12.PKCS12Certificate(certificate, str(number).encode())
        for number, certificate in enumerate(certificates)
    ]
    store.write_bytes(pkcs12.serialize_java_truststore(entries, BestAvailableEncryption(PASSWORD.encode())))


if __name__ == "__main__":
    write_trust_store(Path(sys.argv[1]), Path(sys.argv[2]))
