"""Write a Java trust store with the certificate authorities of a PEM file: `python trust_store.py BUNDLE.pem STORE.p12`."""

import sys
import warnings
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

# Not a secret: a PKCS12 store must have a password, and this one holds public certificates alone.
PASSWORD = "changeit"  # noqa: S105


def write_trust_store(bundle: Path, store: Path) -> None:
    """Convert a PEM bundle to PKCS12 with the attribute by which Java knows a trusted certificate."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # some old authorities have serial numbers that RFC 5280 would not allow
        certificates = x509.load_pem_x509_certificates(bundle.read_bytes())
    entries = [
        pkcs12.PKCS12Certificate(certificate, str(number).encode())
        for number, certificate in enumerate(certificates)
    ]
    store.write_bytes(pkcs12.serialize_java_truststore(entries, BestAvailableEncryption(PASSWORD.encode())))


if __name__ == "__main__":
    write_trust_store(Path(sys.argv[1]), Path(sys.argv[2]))
