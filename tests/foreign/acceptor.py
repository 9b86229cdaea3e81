"""The foreign cluster as acceptor: its token and its peering endpoint."""

import base64
import json
import queue
import threading
import uuid
from concurrent import futures

import grpc
import messages as m
from authority import Authority
from google.protobuf import any_pb2
from report import LIMIT, Failed
from schema import decode, encode, new
from sniffer import Relay
from stream import Stream

SERVICE = "hashicorp.consul.internal.peerstream.PeerStreamService"
ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
CLOSE = object()


class Serving(Stream):
    """One accepted stream."""

    def __init__(self):
        self.outbox = queue.Queue()
        super().__init__(self.outbox.put)

    def close(self):
        """Ends it with status OK."""
        self.outbox.put(CLOSE)

    def abort(self, code, text):
        """Ends it with an error."""
        self.outbox.put((code, text))


class Server:
    """The two methods of a peering endpoint on a port of its own."""

    def __init__(self, owner, key_and_chain):
        self.owner = owner
        handlers = {
            "ExchangeSecret": grpc.unary_unary_rpc_method_handler(self._exchange),
            "StreamResources": grpc.stream_stream_rpc_method_handler(self._stream),
        }
        self._grpc = grpc.server(futures.ThreadPoolExecutor(32), options=ANY_SIZE)
        self._grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.port = self._grpc.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([key_and_chain]))
        self._grpc.start()

    def stop(self):
        """Cuts everything off."""
        self._grpc.stop(None)

    def _exchange(self, data, context):
        return self.owner.exchange(data, context)

    def _stream(self, requests, context):
        if self.owner.follower(context):
            return
        serving = Serving()
        context.add_callback(serving.close)
        threading.Thread(target=serving.read, args=(requests,), daemon=True).start()
        self.owner.streams.put(serving)
        while True:
            item = serving.outbox.get()
            if item is CLOSE:
                return
            if isinstance(item, tuple):
                context.abort(*item)
            yield item


class Acceptor:
    """A foreign cluster that waits to be dialled through a relay."""

    def __init__(self, datacenter="dc1", addresses=1):
        self.authority = Authority(datacenter)
        self.introduce()
        self.exchanges, self.streams = [], queue.Queue()
        self.follower_answers = 0  # how many streams are still answered like a follower does
        self.server = Server(self, self.authority.server())
        self.relays = [Relay(self.server.port) for _ in range(addresses)]

    def introduce(self):
        """Makes a new peering: ids and secrets for a token."""
        self.peer_id, self.establishment, self.secret = (str(uuid.uuid4()) for _ in range(3))

    def token(self):
        """The token, in Consul's form: every key, in order, nulls for what is not set."""
        text = json.dumps(
            {
                "CA": self.authority.roots,
                "ManualServerAddresses": None,
                "ServerAddresses": [relay.address for relay in self.relays],
                "ServerName": self.authority.server_name,
                "PeerID": self.peer_id,
                "EstablishmentSecret": self.establishment,
                "Remote": {"Partition": "", "Datacenter": self.authority.datacenter, "Locality": None},
            },
            separators=(",", ":"),
        )
        return base64.b64encode(text.encode()).decode()

    def restart(self):
        """A new server process in place of the old one, with a certificate by the newest root."""
        before = self.server
        self.server = Server(self, self.authority.server())
        for relay in self.relays:
            relay.port = self.server.port
        before.stop()
        for relay in self.relays:
            relay.cut()

    def exchange(self, data, context):
        """Answers ExchangeSecret: right once."""
        request = decode("ExchangeSecretRequest", data)
        self.exchanges.append(data)
        if (request.PeerID, request.EstablishmentSecret) != (self.peer_id, self.establishment):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "invalid peering establishment secret")
        self.establishment = None
        return encode(new("ExchangeSecretResponse", StreamSecret=self.secret))

    def follower(self, context):
        """Whether this stream is refused as a follower refuses it, before anything is read."""
        if not self.follower_answers:
            return False
        self.follower_answers -= 1
        text = "cannot establish a peering stream on a follower node"
        leader = any_pb2.Any(type_url=m.LEADER, value=encode(new("LeaderAddress", address="10.0.0.1:8300")))
        status = new("Status", code=9, message=text)
        status.details.add().MergeFromString(leader.SerializeToString())
        context.set_trailing_metadata((("grpc-status-details-bin", encode(status)),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)
        return True

    def next_stream(self, what="a stream"):
        """The next stream that is opened."""
        try:
            return self.streams.get(timeout=LIMIT)
        except queue.Empty:
            raise Failed(f"waited {LIMIT:.0f} s for {what}") from None

    def bundle(self):
        """All roots, as a resource."""
        return m.bundle(self.authority.trust_domain, *self.authority.roots)

    def serve(self, what="a stream"):
        """Takes the next stream as a leader does; returns it with its opening checked by nobody."""
        stream = self.next_stream(what)
        stream.wait("Open", lambda: stream.arrived)
        stream.subscribe(*m.ACCEPTOR_TYPES)
        return stream
