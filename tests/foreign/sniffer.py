"""A TCP relay in front of an acceptor. It reads what a dialer says in the clear, and can be pointed elsewhere."""

import socket
import struct
import threading

from report import LIMIT


def client_hello(data):
    """SNI and ALPN of a TLS ClientHello (RFC 8446 section 4.1.2, RFC 6066 section 3, RFC 7301)."""
    at = 5 + 4 + 2 + 32  # record header, handshake header, version, random
    at += 1 + data[at]  # session id
    at += 2 + struct.unpack_from(">H", data, at)[0]  # cipher suites
    at += 1 + data[at]  # compression
    end = at + 2 + struct.unpack_from(">H", data, at)[0]
    at += 2
    name, protocols = None, []
    while at < end:
        kind, length = struct.unpack_from(">HH", data, at)
        body = data[at + 4 : at + 4 + length]
        if kind == 0:
            name = body[5 : 5 + struct.unpack_from(">H", body, 3)[0]].decode()
        if kind == 16:
            inner = 2
            while inner < len(body):
                protocols.append(body[inner + 1 : inner + 1 + body[inner]].decode())
                inner += 1 + body[inner]
        at += 4 + length
    return name, protocols


class Relay:
    """Listens on a port of its own; `port` is where it leads, None refuses."""

    def __init__(self, port=None):
        self.port = port
        self.hellos = []
        self._open = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Closes every connection."""
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was closed already

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(LIMIT)
        try:
            data = b""
            while len(data) < 5 or len(data) < 5 + struct.unpack_from(">H", data, 3)[0]:
                more = connection.recv(65536)
                if not more:
                    return
                data += more
            self.hellos.append(client_hello(data))
            if self.port is None:
                connection.close()
                return
            inner = socket.create_connection(("127.0.0.1", self.port))
        except OSError:
            connection.close()
            return
        connection.settimeout(None)
        self._open += [connection, inner]
        inner.sendall(data)
        threading.Thread(target=self._pump, args=(inner, connection), daemon=True).start()
        self._pump(connection, inner)

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass  # either side is gone
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was closed already
