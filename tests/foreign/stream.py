"""One peering stream as the foreign peer sees it: everything that came is kept in order, and can be waited for."""

import threading
import time

import messages as m
from report import LIMIT, Failed, equal, require, says
from schema import decode, encode, new


class Stream:
    """Common to both roles; `put` sends one encoded message."""

    def __init__(self, put):
        self._put = put
        self._changed = threading.Condition()
        self.arrived = []  # ReplicationMessage, in order
        self.raw = []  # their bytes
        self.end = None  # how the peer's direction ended
        self.subscribed = set()  # types that this side asked for: their responses are acknowledged
        self._nonce = 0

    def read(self, source):
        """Reads encoded messages until they end; on a thread of its own."""
        try:
            for data in source:
                self._take(data)
            end = "half-close"
        except Exception as error:  # whatever gRPC raises is how the stream ended
            end = error
        with self._changed:
            self.end = end
            self._changed.notify_all()

    def _take(self, data):
        message = decode("ReplicationMessage", data)
        with self._changed:
            self.arrived.append(message)
            self.raw.append(data)
            self._changed.notify_all()
        if message.HasField("response") and message.response.ResourceURL in self.subscribed:
            self.send(m.ack(message.response.ResourceURL, message.response.Nonce))

    def send(self, message):
        """Sends a message, or bytes as they are."""
        self._put(message if isinstance(message, bytes) else encode(message))

    def wait(self, what, look, limit=LIMIT):
        """Waits until `look` finds something in what arrived; what it found."""
        deadline = time.monotonic() + limit
        with self._changed:
            while True:
                found = look()
                if found:
                    return found
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failed(f"waited {limit:.0f} s for {what}; the end: {self.end!r}; came: {self._tail()}")
                if self.end is not None:
                    raise Failed(f"the stream ended while waiting for {what}: {self.end!r}; came: {self._tail()}")
                self._changed.wait(left)

    def wait_end(self, limit=LIMIT):
        """Waits for the end of what the peer sends."""
        deadline = time.monotonic() + limit
        with self._changed:
            while self.end is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failed(f"the stream did not end within {limit:.0f} s; came: {self._tail()}")
                self._changed.wait(left)
            return self.end

    def _tail(self):
        return [str(message)[:200] for message in self.arrived[-4:]]

    def heartbeats(self):
        """How many came."""
        return sum(message.HasField("heartbeat") for message in self.arrived)

    def spoken(self):
        """What came except heartbeats, as (message, bytes)."""
        both = zip(self.arrived, self.raw)
        return [(message, data) for message, data in both if not message.HasField("heartbeat")]

    def responses(self, url):
        """All responses of a type, in order."""
        return [one.response for one in self.arrived if one.HasField("response") and one.response.ResourceURL == url]

    def latest(self, url, resource_id):
        """The newest content of a resource, or None."""
        for response in reversed(self.responses(url)):
            if response.ResourceID == resource_id:
                return decode(m.NAMES[url], response.Resource.value)
        return None

    def wait_latest(self, url, resource_id, right, what):
        """Waits until the newest content of a resource is right; the content."""

        def look():
            found = self.latest(url, resource_id)
            return found if found is not None and right(found) else None

        return self.wait(what, look)

    def subscribe(self, *urls, peer_id=""):
        """Subscribes and acknowledges from then on."""
        for url in urls:
            self.subscribed.add(url)
            self.send(m.subscription(url, peer_id))

    def nonce(self):
        """A fresh nonce, in the form that Consul uses."""
        self._nonce += 1
        return f"{self._nonce:08x}"

    def answer(self, nonce, what):
        """The answer to a nonce, as (request, bytes)."""

        def look():
            for message, data in zip(self.arrived, self.raw):
                found = message.request if message.HasField("request") else None
                # An empty nonce is answered with an empty one: only the error tells it from a subscription.
                if found and found.ResponseNonce == nonce and (nonce or found.HasField("Error")):
                    return found, data
            return None

        return self.wait(f"the answer to {what}", look)

    def offer(self, url, resource, resource_id=None):
        """Offers a resource, which has to be acknowledged with exactly the bytes of an ACK."""
        nonce = self.nonce()
        self.send(m.response(nonce, url, resource_id or m.IDS[url], resource))
        request, data = self.answer(nonce, f"{m.NAMES[url]} {resource_id or ''}")
        require(not request.HasField("Error"), f"{resource_id or m.NAMES[url]} was refused: {request.Error.message}")
        equal(data, encode(m.ack(url, nonce)), "an ACK")

    def settle(self, bundle):
        """Offers the roots and that nothing is exported: what it takes to be in sync."""
        self.offer(m.BUNDLE, bundle)
        self.offer(m.LIST, m.names())

    def refused(self, message, nonce, url, codes, *words):
        """Sends a response, which has to be answered with a NACK that says `words`."""
        self.send(message)
        request, _ = self.answer(nonce, f"a {m.NAMES.get(url, 'response')} that must be refused")
        require(request.HasField("Error"), f"{words} was acknowledged instead of refused")
        equal((request.ResourceURL, request.PeerID), (url, ""), "ResourceURL and PeerID of a NACK")
        require(request.Error.code in codes, f"code {request.Error.code}, expected one of {codes}: {request.Error.message}")
        says(request.Error.message, *words)
        return request.Error.message

    def offer_refused(self, url, resource, *words, resource_id=None, codes=(3, 13)):
        """Offers a resource that has to be refused with `words`."""
        nonce = self.nonce()
        message = m.response(nonce, url, m.IDS[url] if resource_id is None else resource_id, resource)
        return self.refused(message, nonce, url, codes, *words)

    def fence(self):
        """Returns when the peer has worked off everything that was sent so far, and the stream is alive."""
        nonce, url = f"fence-{self.nonce()}", "type.googleapis.com/fence"
        self.send(new("ReplicationMessage", response=new("Response", Nonce=nonce, ResourceURL=url)))
        self.answer(nonce, "a fence")
