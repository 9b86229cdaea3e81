"""The foreign cluster as dialer: reads a token and dials."""

import base64
import json
import queue
import threading

import grpc
import messages as m
from report import LIMIT, Failed, equal
from schema import decode, encode, new
from stream import Stream

METHODS = "/hashicorp.consul.internal.peerstream.PeerStreamService/"
SIZES = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
CLOSE = object()


class Dialling(Stream):
    """One opened stream."""

    def __init__(self, method):
        self.outbox = queue.Queue()
        super().__init__(self.outbox.put)
        self._call = method(iter(self.outbox.get, CLOSE))
        threading.Thread(target=self.read, args=(self._call,), daemon=True).start()

    def half_close(self):
        """Says that nothing more will be sent."""
        self.outbox.put(CLOSE)

    def cancel(self):
        """Gives the stream up."""
        self._call.cancel()

    def status(self):
        """Waits for the end; its code and text."""
        self.wait_end()
        return self._call.code(), self._call.details()

    def expect_end(self, code, *words):
        """Waits for the end, which must have this code and say these words."""
        found, text = self.status()
        equal(found, code, f"the status of the stream ({text!r})")
        for word in words:
            if word not in (text or ""):
                raise Failed(f"the stream ended with {text!r}, which does not say {word!r}")


class Dialer:
    """Dials with what a token says, and trusts nothing else."""

    def __init__(self, token, datacenter="dc9"):
        self.text = token
        self.token = json.loads(base64.b64decode(token, validate=True))
        self.peer_id = self.token["PeerID"]
        self.datacenter = datacenter
        self.secret = None
        self._channels = []

    def channel(self, roots=None, name=None):
        """A new connection to the first address."""
        roots = "".join(self.token["CA"]) if roots is None else roots
        options = SIZES + [
            ("grpc.ssl_target_name_override", name or self.token["ServerName"]),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        credentials = grpc.ssl_channel_credentials(root_certificates=roots.encode())
        addresses = self.token["ManualServerAddresses"] or self.token["ServerAddresses"]
        channel = grpc.secure_channel(addresses[0], credentials, options=options)
        self._channels.append(channel)
        return channel

    def exchange(self, peer_id=None, secret=None):
        """Exchanges the secret of the token (or what is given) for the stream secret."""
        request = new(
            "ExchangeSecretRequest",
            PeerID=self.peer_id if peer_id is None else peer_id,
            EstablishmentSecret=self.token["EstablishmentSecret"] if secret is None else secret,
        )
        method = self.channel().unary_unary(METHODS + "ExchangeSecret")
        return decode("ExchangeSecretResponse", method(encode(request), timeout=LIMIT)).StreamSecret

    def exchange_refused(self, code, **arguments):
        """An exchange that has to fail; the text."""
        try:
            self.exchange(**arguments)
        except grpc.RpcError as error:
            equal(error.code(), code, f"the status of the exchange ({error.details()!r})")
            return error.details()
        raise Failed(f"an exchange with {arguments} was granted")

    def establish(self):
        """Exchanges and keeps the stream secret."""
        self.secret = self.exchange()

    def stream(self):
        """A stream on a connection of its own, nothing said yet."""
        return Dialling(self.channel().stream_stream(METHODS + "StreamResources"))

    def open(self, peer_id=None, secret=None):
        """A stream with its Open said."""
        stream = self.stream()
        peer_id = self.peer_id if peer_id is None else peer_id
        stream.send(m.opening(peer_id, self.secret if secret is None else secret, self.datacenter))
        return stream

    def serve(self):
        """A stream as a cluster of this protocol opens it: Open and all subscriptions at once."""
        stream = self.open()
        stream.subscribe(*m.DIALER_TYPES, peer_id=self.peer_id)
        stream.wait("the acceptor's subscriptions", lambda: len(requests(stream)) >= 3)
        return stream


def requests(stream):
    """Subscriptions that came."""
    return [one.request for one in stream.arrived if one.HasField("request") and not one.request.ResponseNonce]
