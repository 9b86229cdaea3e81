"""The foreign cluster's certificate authority: roots and the certificate of its peering endpoint."""

import datetime
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject, issuer, key):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


class Authority:
    """Makes roots and leaves; the newest root issues."""

    def __init__(self, datacenter, trust_domain=None):
        self.datacenter = datacenter
        self.trust_domain = trust_domain or f"{uuid.uuid4()}.consul"
        self.server_name = f"server.{datacenter}.peering.{self.trust_domain}"
        self.roots = []
        self.rotate()

    def rotate(self):
        """Makes a new root; the older ones stay in the list."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = f"foreign root {len(self.roots)}"
        key_usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        root = (
            _builder(self._subject, self._subject, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(key_usage, critical=True)
            .add_extension(self._sans(x509.UniformResourceIdentifier(f"spiffe://{self.trust_domain}")), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False)
            .sign(self._key, hashes.SHA256())
        )
        self.roots.append(_pem(root))

    def server(self):
        """Key and certificate for the peering endpoint, PEM bytes."""
        key = ec.generate_private_key(ec.SECP256R1())
        spiffe = f"spiffe://{self.trust_domain}/agent/server/dc/{self.datacenter}"
        names = self._sans(x509.DNSName(self.server_name), x509.UniformResourceIdentifier(spiffe))
        leaf = (
            _builder("server", self._subject, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private, _pem(leaf).encode()

    @staticmethod
    def _sans(*names):
        return x509.SubjectAlternativeName(list(names))
