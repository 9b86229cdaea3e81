"""What is not in Consul: digests in heartbeats, between two peers that announce them. Written from docs/freshness.md,
with a digest of its own."""

import messages as m
from acceptor import Acceptor
from dialer import requests
from dialing import peer
from report import equal, eventually, passed, require, says
from schema import decode, encode, new

# Fields of a Request: 8503 = 2 announces digests, 8504 = true asks for everything.
ANNOUNCE, RESYNC = b"\xb8\x93\x04\x02", b"\xc0\x93\x04\x01"
MASK = (1 << 64) - 1


def subscription(url, peer_id="", more=ANNOUNCE):
    """A subscription with fields that the tables do not have."""
    request = encode(new("Request", PeerID=peer_id, ResourceURL=url)) + more
    return encode(new("ReplicationMessage", request=decode("Request", request)))


class Hash:
    """FNV-1a over 64 bits with a finish that mixes."""

    def __init__(self):
        self.state = 0xCBF29CE484222325

    def number(self, number):
        for byte in int(number).to_bytes(8, "little"):
            self.state = ((self.state ^ byte) * 0x100000001B3) & MASK

    def text(self, text):
        data = text.encode()
        self.number(len(data))
        for byte in data:
            self.state = ((self.state ^ byte) * 0x100000001B3) & MASK

    def texts(self, texts):
        self.number(len(texts))
        for text in texts:
            self.text(text)

    def pairs(self, pairs):
        self.number(len(pairs))
        for key in sorted(pairs):
            self.text(key)
            self.text(pairs[key])

    def optional(self, text):
        self.number(text is not None)
        self.text(text or "")

    def finish(self):
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
        return mixed ^ (mixed >> 31)


def of_instances(service, *instances):
    """The digest of an ordinary service."""
    total = 0
    for one in instances:
        node, own, hasher = one.Node, one.Service, Hash()
        hasher.text(service)
        hasher.text(node.Node)
        hasher.optional(node.ID or None)
        hasher.text(node.Address)
        hasher.text(node.Datacenter)
        hasher.pairs(node.TaggedAddresses)
        hasher.pairs(node.Meta)
        hasher.text(own.ID)
        hasher.text("default")
        hasher.text(own.Kind)
        hasher.texts(own.Tags)
        hasher.text(own.Address)
        hasher.number(own.Port)
        hasher.number(0)  # tagged addresses
        hasher.pairs(own.Meta)
        hasher.number(own.Weights.Passing)
        hasher.number(own.Weights.Warning)
        hasher.number(own.EnableTagOverride)
        hasher.optional(None)  # what a proxy stands for
        hasher.optional(None)
        hasher.number(0)  # no PeerMeta
        hasher.optional(one.Checks[0].Status if one.Checks else None)
        total = (total + hasher.finish()) & MASK
    return total


def of_list(names):
    """The digest of a list."""
    hasher = Hash()
    hasher.texts(names)
    return hasher.finish()


def of_bundle(bundle):
    """The digest of a bundle."""
    hasher = Hash()
    hasher.text(bundle.TrustDomain.lower())
    hasher.text(bundle.ExportedPartition or "default")
    hasher.texts(bundle.RootPEMs)
    return hasher.finish()


def _varint(number):
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def _field(number, data):
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def heartbeat(clock, services, names, bundle, withheld=()):
    """A heartbeat with a pulse in field 8503."""
    digest = b"".join(
        bytes([number << 3 | 1]) + value.to_bytes(8, "little")
        for number, value in ((1, services), (2, of_list(names)), (3, of_bundle(bundle)))
    )
    pulse = b"\x08" + _varint(clock) + _field(3, digest)
    for name, reason in withheld:
        pulse += _field(4, _field(1, name.encode()) + _field(2, reason.encode()))
    return _field(5, _field(8503, pulse))


def _freshness(peerway, name):
    return peerway.peering(name)["Freshness"]


def _wait(peerway, name, state):
    def look():
        found = _freshness(peerway, name)
        require(found["State"] == state, f"it is {found['State']}: {found['Reason']}")
        return found

    return eventually(f"{name} to be {state}", look)


def announced(west):
    """A dialer that announces digests, and what becomes of right and wrong ones."""
    dialer = peer(west, "digests")
    stream = dialer.open()
    for url in m.DIALER_TYPES:
        stream.send(subscription(url, dialer.peer_id))
    stream.wait("the acceptor's subscriptions", lambda: len(requests(stream)) >= 3)
    authority = Acceptor().authority
    bundle = m.bundle(authority.trust_domain, *authority.roots)
    web, api = m.instance("web"), m.instance("api")
    stream.offer(m.BUNDLE, bundle)
    stream.offer(m.SERVICE, m.exported(web), "web")
    stream.offer(m.SERVICE, m.exported(api), "api")
    stream.offer(m.LIST, m.names("api", "web"))
    both = (of_instances("web", web) + of_instances("api", api)) & MASK
    stream.send(heartbeat(1, both, ["api", "web"], bundle))
    found = _wait(west, "digests", "ACTIVE")
    require(found["Digests"], "the announcement was not understood")
    equal([one["Name"] for one in found["Imports"] if one["State"] == "ACTIVE"], ["api", "web"], "fresh services")
    passed("the digest of an independent hand agrees: ACTIVE")

    before = len(stream.raw)
    stream.send(heartbeat(2, both ^ 1, ["api", "web"], bundle))
    asked = subscription(m.SERVICE, more=RESYNC)
    stream.wait("a request for everything", lambda: asked in stream.raw[before:])
    _wait(west, "digests", "DIVERGED")
    equal(west.peering("digests")["State"], "FAILING", "the state in Consul's words")
    passed("a digest that differs: DIVERGED, and everything is asked for anew by itself")
    stream.offer(m.SERVICE, m.exported(web), "web")
    stream.offer(m.SERVICE, m.exported(api), "api")
    stream.send(heartbeat(3, both, ["api", "web"], bundle))
    equal(_wait(west, "digests", "ACTIVE")["Resyncs"], 1, "resynchronisations")
    passed("healed: ACTIVE, and counted once")

    stream.send(heartbeat(4, of_instances("api", api), ["api", "web"], bundle, [("web", "too long")]))
    found = _wait(west, "digests", "DIVERGED")
    says(found["Reason"], "withholds web", "too long")
    headers = west.headers("/v1/health/service/web?peer=digests")
    equal(headers["X-Peerway-Peer-State"], "DIVERGED", "X-Peerway-Peer-State of the withheld service")
    headers = west.headers("/v1/health/service/api?peer=digests")
    equal(headers["X-Peerway-Peer-State"], "ACTIVE", "X-Peerway-Peer-State of the other service")
    passed("a service that the peer withholds is told by name, and answers about it say so")

    stream.subscribe(m.BUNDLE)
    count = len([one for one in stream.responses(m.BUNDLE)])
    stream.send(subscription(m.SERVICE, more=RESYNC))
    stream.wait("the roots once more", lambda: len(stream.responses(m.BUNDLE)) > count)
    passed("asked for everything, it sends everything")


def old(west):
    """A peer that announces nothing, as Consul: it never sees anything that it does not know."""
    dialer = peer(west, "old")
    stream = dialer.serve()
    authority = Acceptor().authority
    stream.offer(m.BUNDLE, m.bundle(authority.trust_domain, *authority.roots))
    stream.offer(m.SERVICE, m.exported(m.instance("web")), "web")
    stream.offer(m.LIST, m.names("web"))
    stream.send(m.HEARTBEAT)
    _wait(west, "old", "ACTIVE")
    require(not _freshness(west, "old")["Digests"], "digests are assumed of a peer that did not announce them")
    urls = {one.request.ResourceURL for one in stream.arrived if one.HasField("request")}
    require(urls <= set(m.ACCEPTOR_TYPES), f"requests for {urls}")
    stream.wait("a heartbeat", lambda: stream.heartbeats() >= 1)
    beats = [data for one, data in zip(stream.arrived, stream.raw) if one.HasField("heartbeat")]
    equal(set(beats), {b"\x2a\x00"}, "heartbeats to a peer that knows nothing else")
    passed("an old peer gets known types and empty heartbeats, and is judged by what can be observed")
