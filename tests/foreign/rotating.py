"""A Peerway rotates its root under a dialer that, as Consul's, verifies with the roots it has begun with."""

import datetime

import grpc
import messages as m
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from dialer import Dialer
from dialing import certificate, peer
from report import Failed, equal, eventually, passed, require

CONFIGURATION = "/v1/connect/ca/configuration"
PROGRESS = "/v1/peerway/ca/rotation"


def _rotate(west, **config):
    return west.ok("PUT", CONFIGURATION, {"Provider": "consul", "Config": config or {"RotateRoot": True}})


def _force(west):
    return west.ok("PUT", CONFIGURATION, {"Provider": "consul", "Config": {}, "ForceWithoutCrossSigning": True})


def _forced(west, **config):
    """A whole rotation without waiting for anybody."""
    _rotate(west, **config)
    equal(_force(west)["Phase"], "switched", "the phase after the first step")
    equal(_force(west)["Phase"], "none", "the phase after the second step")


def _own_root():
    """An RSA root of the operator: certificate and key, PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the operator's root")])
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + 365 * day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return root.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def _wait_renewed(west, dialer):
    """Waits until the endpoint shows a leaf of the one root that is left, verified by the token's roots."""
    (root,) = west.roots()
    issuer = x509.load_pem_x509_certificate(root.encode()).subject

    def look():
        found = certificate(dialer.token).issuer
        equal(found, issuer, "the issuer of the endpoint's certificate")
        return True

    eventually("the endpoint to show a leaf of the new root", look)
    require(root not in dialer.token["CA"], "the token holds the new root, which it cannot know")


def bridged(west):
    """What a dialer can do that was given the first root and never looks at another one."""
    dialer = peer(west, "old-loop")
    unused = Dialer(west.token("unused"))
    stream = dialer.serve()
    stream.wait_latest(m.BUNDLE, "roots", lambda one: len(one.RootPEMs) == 1, "the first bundle")
    _rotate(west)
    stream.wait_latest(m.BUNDLE, "roots", lambda one: len(one.RootPEMs) == 2, "the bundle with both roots")
    eventually("the rotation to be over", lambda: west.ok("GET", PROGRESS)["Phase"] == "none")
    passed("a rotation waits for the bundle to be acknowledged, and not for a token that nobody has used")
    stream.cancel()
    _wait_renewed(west, dialer)
    stream = dialer.serve()
    stream.wait_latest(m.BUNDLE, "roots", lambda one: one.RootPEMs == west.roots(), "the bundle with the new root")
    passed("a dialer that verifies with the root that is gone is served")

    root, key = _own_root()
    _forced(west, RootCert=root, PrivateKey=key)
    equal(west.roots(), [root], "the root that was brought")
    for path in (CONFIGURATION, PROGRESS, "/v1/connect/ca/roots"):
        require("PRIVATE" not in west.call("GET", path)[1], f"{path} shows a private key")
    told = west.ok("GET", CONFIGURATION)
    equal((told["Config"]["PrivateKeyType"], told["Config"]["PrivateKeyBits"]), ("rsa", 2048), "the kind of key")
    equal(west.ok("PUT", CONFIGURATION, told)["Phase"], "none", "the phase after writing back what was read")
    stream.cancel()
    _wait_renewed(west, dialer)
    stream = dialer.serve()
    stream.fence()
    passed("so it is after a forced rotation to an RSA root that was brought")

    _forced(west, PrivateKeyType="ec", PrivateKeyBits=384)
    stream.cancel()
    _wait_renewed(west, dialer)
    stream = dialer.serve()
    stream.fence()
    unused.establish()
    unused.serve().fence()
    passed("so it is after the third rotation, and a token from before them all is still good")

    _forced(west)
    stream.cancel()
    newest = eventually("the endpoint to be beyond the first root", lambda: _refused(dialer) and west.roots())
    passed("the fourth one ends it: three former roots are vouched for")
    dialer.token["CA"] = newest
    dialer.serve().fence()
    passed("with the roots of the last bundle it is served again")


def _refused(dialer):
    try:
        grpc.channel_ready_future(dialer.channel()).result(timeout=1)
    except grpc.FutureTimeoutError:
        return True
    raise Failed("a connection was made")
