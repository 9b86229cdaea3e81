"""What a peer sends to do harm, on purpose or not: refused by name, and nobody else notices."""

import grpc
import messages as m
from acceptor import Acceptor
from dialer import Dialer
from dialing import peer
from report import equal, eventually, passed, require, says
from schema import encode, new

MIB = 1024 * 1024
# A DER sequence of one number: whole, and no certificate. Envoy would refuse every peer's roots for it.
HOLLOW = "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"


def _changed(change, made=None):
    """A service with one thing wrong."""
    one = m.instance("bad") if made is None else made
    change(one)
    return m.exported(one)


def _services(domain):
    """(what, service, words of the refusal) for services named `bad`."""

    def no_node(one):
        one.ClearField("Node")

    def no_service(one):
        one.ClearField("Service")

    def put(path, value):
        def change(one):
            *parents, last = path.split(".")
            for part in parents:
                one = one.Checks[0] if part == "Checks" else getattr(one, part)
            setattr(one, last, value)

        return change

    def meta(pairs):
        return lambda one: one.Service.Meta.update(pairs)

    yield "no node", _changed(no_node), ["Nodes[0]", "lacks its Node"]
    yield "no service", _changed(no_service), ["Nodes[0]", "lacks its Node or its Service"]
    yield "empty node name", _changed(put("Node.Node", "")), ["Nodes[0].Node.Node"]
    yield "empty service id", _changed(put("Service.ID", "")), ["Nodes[0].Service.ID"]
    yield "empty service name", _changed(put("Service.Service", "")), ["Nodes[0].Service.Service"]
    yield "another service name", _changed(put("Service.Service", "other")), ["Nodes[0].Service.Service", "other"]
    yield "empty check id", _changed(put("Checks.CheckID", "")), ["Nodes[0].Checks[0].CheckID"]
    yield "a check of another node", _changed(put("Checks.Node", "elsewhere")), ["Nodes[0].Checks[0].Node"]
    yield "a check of another instance", _changed(put("Checks.ServiceID", "other")), ["Checks[0].ServiceID"]
    yield "a node id that is no UUID", _changed(put("Node.ID", "1234")), ["Nodes[0].Node.ID", "UUID"]
    yield "no datacenter", _changed(put("Node.Datacenter", "")), ["Nodes[0].Node.Datacenter"]
    yield "a port below zero", _changed(put("Service.Port", -1)), ["Nodes[0].Service.Port", "-1"]
    yield "a port too high", _changed(put("Service.Port", 65536)), ["Nodes[0].Service.Port", "65536"]
    yield "a weight below zero", _changed(put("Service.Weights.Passing", -5)), ["Nodes[0].Service.Weights"]
    yield "a gateway", _changed(put("Service.Kind", "mesh-gateway")), ["Nodes[0].Service.Kind"]
    yield "an unknown kind", _changed(put("Service.Kind", "root-shell")), ["Nodes[0].Service.Kind", "root-shell"]
    yield "a reserved meta key", _changed(meta({"consul-x": "1"})), ["Nodes[0].Service.Meta"]
    yield "a meta key with a space", _changed(meta({"a b": "1"})), ["Nodes[0].Service.Meta"]
    yield "an endless meta value", _changed(meta({"a": "x" * 513})), ["Nodes[0].Service.Meta"]
    yield "many meta pairs", _changed(meta({f"k{n}": "" for n in range(65)})), ["Nodes[0].Service.Meta"]
    yield "many tags", _changed(lambda one: one.Service.Tags.extend(["t"] * 70)), ["Nodes[0].Service.Tags"]
    yield "an endless address", _changed(put("Service.Address", "a" * 2000)), ["Nodes[0].Service.Address"]
    yield "the same instance twice", m.exported(m.instance("bad"), m.instance("bad")), ["Nodes[1]", "twice"]
    many = m.exported(*(m.instance("bad", f"i{n}") for n in range(10_001)))
    yield "very many instances", many, ["10001", "at most"]

    text = encode(m.exported(m.instance("bad", "non-utf8")))
    broken = text.replace(b"non-utf8", b"non-\xff\xfe-8")
    require(broken != text, "the vector has no broken text in it")
    yield "text that is not UTF-8", broken, ["bad", "UTF-8"]


def _faces(domain, forged):
    """The same for synthetic proxies, which are named `bad-sidecar-proxy`; `forged` are domains of others."""

    def face(change):
        return _changed(change, m.sidecar("bad", domain, "them"))

    def clear(field):
        return lambda one: one.Service.ClearField(field)

    def meta(change):
        return lambda one: change(one.Service.Connect.PeerMeta)

    at = "Nodes[0].Service.Connect.PeerMeta"
    yield "a proxy without Connect", face(clear("Connect")), [at, "missing"]
    yield "a proxy without PeerMeta", face(lambda one: one.Service.Connect.ClearField("PeerMeta")), [at, "missing"]
    yield "a proxy without Proxy", face(clear("Proxy")), ["Nodes[0].Service.Proxy", "missing"]
    other = face(lambda one: setattr(one.Service.Proxy, "DestinationServiceName", "api"))
    yield "a proxy for another service", other, ["Proxy.DestinationServiceName", "api"]
    yield "no SNI", face(meta(lambda one: one.ClearField("SNI"))), [f"{at}.SNI"]
    yield "no SPIFFE id", face(meta(lambda one: one.ClearField("SpiffeID"))), [f"{at}.SpiffeID"]
    yield "a SPIFFE id that is none", face(meta(lambda one: one.SpiffeID.append("https://x"))), [f"{at}.SpiffeID[2]"]
    yield "an SNI of the mesh inside", face(meta(lambda one: one.SNI.append("api.default.dc1.internal.x"))), [f"{at}.SNI[1]"]
    for what, claimed in forged:
        made = m.exported(m.sidecar("bad", claimed, "them"))
        yield f"a proxy of {what}", made, [f"{at}.SpiffeID[0]", claimed]
        mixed = face(meta(lambda one: one.SpiffeID.append(f"spiffe://{claimed}/ns/default/dc/dc1/svc/api")))
        yield f"a proxy also of {what}", mixed, [f"{at}.SpiffeID[2]", claimed]


class Offers:
    """What the rogue offers, each of which has to be refused, and to show in our peering with its reason."""

    def __init__(self, peerway, name, stream):
        self.peerway, self.name, self.stream = peerway, name, stream
        self.count = 0

    def refused(self, url, resource, *words, resource_id=None):
        """Offers what has to be refused with these words."""
        said = self.stream.offer_refused(url, resource, *words, resource_id=resource_id)
        self.count += 1
        found = [one["Reason"] for one in self.shown() if one["Resource"] == _named(url, resource_id)]
        equal(found, [said], f"what our peering says of the refused {_named(url, resource_id)}")

    def shown(self):
        """What our peering says to be refused."""
        return self.peerway.peering(self.name)["Freshness"]["Refused"]

    def lists(self, url, resource_id=None):
        """Whether something is shown as refused."""
        return any(one["Resource"] == _named(url, resource_id) for one in self.shown())


KINDS = {
    m.SERVICE: "exported service",
    m.LIST: "exported service list",
    m.BUNDLE: "trust bundle",
    m.ADDRESSES: "server addresses",
}


def _named(url, resource_id):
    """A resource as our API calls it."""
    name = m.IDS[url] if resource_id is None else resource_id
    quoted = name.replace("\n", "\\n")
    return f'{KINDS[url]} "{quoted}"'


def _offer_all(offers, domain, forged, roots):
    """Offers every hazard that an answer refuses."""
    for what, service, words in _services(domain):
        offers.refused(m.SERVICE, service, *words, resource_id="bad")
    for what, service, words in _faces(domain, forged):
        offers.refused(m.SERVICE, service, *words, resource_id="bad-sidecar-proxy")
    for name in ("", "a b", "../x", "x" * 300, "a\n"):
        offers.refused(m.SERVICE, m.exported(), "refused", resource_id=name)
    passed(f"{offers.count} kinds of broken services are refused by the name of the field, and shown with the reason")

    for what, claimed in forged:
        offers.refused(m.BUNDLE, m.bundle(claimed, *roots), "TrustDomain", claimed)
    for what, offered, words in (
        ("no trust domain", m.bundle("", *roots), ["TrustDomain"]),
        ("no roots", m.bundle(domain), ["RootPEMs"]),
        ("an empty root", m.bundle(domain, ""), ["RootPEMs[0]"]),
        ("a root that is none", m.bundle(domain, *roots, "-----BEGIN CERTIFICATE-----\nAAAA\n"), [f"RootPEMs[{len(roots)}]"]),
        ("something else behind a root", m.bundle(domain, roots[0] + HOLLOW), ["RootPEMs[0]"]),
        ("a root that only looks like one", m.bundle(domain, HOLLOW), ["RootPEMs[0]"]),
        ("a key for a root", m.bundle(domain, roots[0].replace("CERTIFICATE", "PRIVATE KEY")), ["RootPEMs[0]"]),
        ("very many roots", m.bundle(domain, *(roots * 50)), ["RootPEMs", "at most"]),
    ):
        offers.refused(m.BUNDLE, offered, *words)
    passed("trust bundles of our own, another peer's and a strange trust domain, and without usable roots, are refused and shown")

    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    million = [a + b + c + d for a in digits for b in digits for c in digits for d in digits][:1_000_000]
    for listed in (million, [f"s{n}" for n in range(10_001)]):
        offers.refused(m.LIST, m.names(*listed), "Services", str(len(listed)), "at most")
    passed("lists of a million and of ten thousand and one names are refused and shown")
    offers.stream.fence()


def _shows_until_mended(offers, bundle):
    """What is refused shows in every place where a peering shows, until it is offered right or not at all."""
    peerway, name, stream = offers.peerway, offers.name, offers.stream

    said = stream.offer_refused(m.SERVICE, m.exported(m.instance("bad", port=70_000)), "Port", resource_id="bad")

    def look():
        line = next((one for one in peerway.peering(name)["Freshness"]["Imports"] if one["Name"] == "bad"), {})
        equal((line.get("State"), line.get("Reason")), ("DIVERGED", said), "the refused service in Imports")
        return line

    eventually("the refusal in Imports", look)
    freshness = peerway.peering(name)["Freshness"]
    equal((freshness["State"], peerway.peering(name)["State"]), ("DIVERGED", "FAILING"), "the states of the peering")
    headers = peerway.headers(f"/v1/health/service/bad?peer={name}")
    equal(headers["X-Peerway-Peer-State"], "DIVERGED", "X-Peerway-Peer-State of the refused service")

    # Each by itself: right, taken off the list, and right again.
    stream.offer(m.SERVICE, m.exported(m.instance("bad")), "bad")
    require(not offers.lists(m.SERVICE, "bad"), "a service that was mended still shows as refused")
    stream.offer(m.BUNDLE, bundle)
    require(not offers.lists(m.BUNDLE), "a bundle that was mended still shows as refused")
    stream.offer(m.LIST, m.names())
    equal([one["Resource"] for one in offers.shown() if one["Resource"].startswith(KINDS[m.SERVICE])], [], "refused services")
    require(not offers.lists(m.LIST), "a list that was mended still shows as refused")
    stream.send(m.HEARTBEAT)
    peerway.wait_state(name, "ACTIVE")
    passed("a refusal shows as DIVERGED in the peering, its line and its answers, until it is mended or withdrawn")


class Bystander:
    """Another peer of the same Peerway, which has to notice nothing."""

    def __init__(self, peerway, name="bystander"):
        self.peerway, self.name = peerway, name
        self.domain = f"{name}.consul"
        dialer = peer(peerway, name)
        self.stream = dialer.serve()
        self.roots = Acceptor().authority.roots
        self.stream.offer(m.BUNDLE, m.bundle(self.domain, *self.roots))
        self.stream.offer(m.SERVICE, m.exported(m.instance("web", "theirs")), "web")
        self.stream.offer(m.LIST, m.names("web"))
        self.before = peerway.imported("web", name)

    def is_untouched(self):
        """Nothing of what another peer offers shows here."""
        equal(self.peerway.imported("web", self.name), self.before, "what another peer exports")
        freshness = self.peerway.peering(self.name)["Freshness"]
        equal(freshness["Refused"], [], "refused items of another peer")
        wrong = [one for one in freshness["Imports"] if one["State"] == "DIVERGED"]
        equal((wrong, freshness["State"] == "DIVERGED"), ([], False), "what diverged of another peer")

    def check(self):
        """Still connected, with everything that it offered and nothing else, and served as before."""
        self.stream.fence()
        # It may have been a while.
        self.stream.send(m.HEARTBEAT)
        self.peerway.wait_state(self.name, "ACTIVE")
        self.is_untouched()
        equal(self.peerway.imported("bad", self.name), [], "what another peer does not export")
        self.stream.offer(m.SERVICE, m.exported(m.instance("late")), "late")
        self.stream.offer(m.SERVICE, m.exported(), "late")


def _locals(peerway):
    peerway.register({"Name": "local", "ID": "local-1", "Port": 7000, "Connect": {"SidecarService": {"Port": 21001}}})
    return peerway.local()


def _same_name_as_ours(peerway, name, stream, domain, before):
    """A peer may have a service that we have too: it stays the peer's."""
    ours = peerway.imported("web", "bystander") if name != "bystander" else None
    twin = m.instance("local", "local-1", on=f"{peerway.datacenter}-1")
    twin.Node.PeerName = twin.Service.PeerName = "bystander"
    twin.Node.Partition = "other"
    stream.offer(m.SERVICE, m.exported(twin), "local")
    stream.offer(m.SERVICE, m.exported(m.sidecar("local", domain, "them")), "local-sidecar-proxy")
    stream.offer(m.SERVICE, m.exported(m.instance("web", "theirs", 1)), "web")
    stream.offer(m.LIST, m.names("local", "web", "consul"))
    (found,) = peerway.wait_imported("local", name, ["local-1"])
    equal((found["Node"]["PeerName"], found["Service"]["PeerName"]), (name, name), "PeerName, whatever was claimed")
    equal(peerway.imported("local", "bystander"), [], "a service that claimed to be of another peer")
    equal(peerway.local(), before, "local services, health and roots")
    equal(peerway.imported("web", "bystander"), ours, "a service of the same name of another peer")
    stream.offer(m.SERVICE, m.exported(), "local")
    stream.offer(m.LIST, m.names())
    equal(peerway.local(), before, "local services after the peer removed its own")
    equal(peerway.imported("web", "bystander"), ours, "another peer's service after this one removed its own")
    passed("a service with the name, id and node of a local one stays the peer's, when it comes and when it goes")


def dialed(west):
    """The rogue dials."""
    before = _locals(west)
    bystander = Bystander(west)
    rogue = peer(west, "rogue")
    stream = rogue.serve()
    authority = Acceptor().authority
    domain, own = authority.trust_domain, west.trust_domain()

    offers = Offers(west, "rogue", stream)
    for claimed in (own, bystander.domain):
        offers.refused(m.BUNDLE, m.bundle(claimed, *authority.roots), "TrustDomain", claimed)
    passed("the first bundle cannot claim our own or another peer's trust domain")
    stream.offer(m.BUNDLE, m.bundle(domain, *authority.roots))
    forged = [("our own domain", own), ("another peer", bystander.domain), ("a stranger", "stranger.consul")]
    _offer_all(offers, domain, forged, authority.roots)
    equal(west.imported("bad", "rogue"), [], "what was refused")
    bystander.is_untouched()
    shown = [pem.strip() for pem in west.peering("rogue")["PeerCAPems"]]
    equal(shown, [pem.strip() for pem in authority.roots], "PeerCAPems")
    _shows_until_mended(offers, m.bundle(domain, *authority.roots))
    _same_name_as_ours(west, "rogue", stream, domain, before)

    stream.send(m.response("big", m.SERVICE, "big", b"\0" * (10 * MIB)))
    code, text = stream.status()
    require(code not in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE), f"10 MiB ended the stream with {code}")
    says(text, "too large")
    says(eventually("LastError", lambda: west.peering("rogue")["StreamStatus"]["LastError"]), "too large")
    passed("10 MiB in one message end the stream with a reason, which is shown")
    for broken, words in ((b"\x12\x04\x1a\x02\xff\xfe", "UTF-8"), (b"\x1a\xff\xff\xff\xff\x0f", ""), (b"\xff" * 32, "")):
        stream = rogue.serve()
        stream.send(broken)
        code, text = stream.status()
        require(code not in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE), f"{broken!r} ended the stream with {code}")
        says(text, words)
    passed("messages that are no protobuf or no UTF-8 end the stream with a reason")
    rogue.serve().fence()
    _nobody_noticed(west, bystander, before)


def dialing(east):
    """The rogue is dialled."""
    before = _locals(east)
    bystander = Bystander(east)
    rogue = Acceptor()
    equal(east.establish("rogue", rogue.token())[0], 200, "establishing")
    stream = rogue.serve()
    domain, roots, own = rogue.authority.trust_domain, rogue.authority.roots, east.trust_domain()
    forged = [("our own domain", own), ("another peer", bystander.domain), ("a stranger", "stranger.consul")]
    offers = Offers(east, "rogue", stream)
    _offer_all(offers, domain, forged, roots)
    stream.offer(m.BUNDLE, rogue.bundle())
    bystander.is_untouched()
    for listed, words in (
        (["127.0.0.1:0"], ["Addresses[0]", "port"]),
        (["::1:80"], ["Addresses[0]", "brackets"]),
        (["a b:1"], ["Addresses[0]"]),
        (["h:1"] * 65, ["Addresses", "at most"]),
    ):
        offers.refused(m.ADDRESSES, m.addresses(*listed), *words)
    shown = east.peering("rogue")["PeerServerAddresses"]
    equal(shown, [rogue.relays[0].address], "PeerServerAddresses")
    passed("addresses that cannot be dialled are refused and shown, those of the token stay")
    stream.offer(m.ADDRESSES, m.addresses(rogue.relays[0].address))
    _shows_until_mended(offers, rogue.bundle())
    _same_name_as_ours(east, "rogue", stream, domain, before)

    stream.send(m.response("big", m.SERVICE, "big", b"\0" * (10 * MIB)))
    stream.wait_end()
    says(eventually("LastError", lambda: east.peering("rogue")["StreamStatus"]["LastError"]), "too large")
    again = rogue.serve("the stream to be dialled again")
    again.fence()
    again.settle(rogue.bundle())
    east.wait_state("rogue", "ACTIVE")
    passed("10 MiB in one message break the stream with a reason that is shown, and it is dialled again")

    own_token = Dialer(east.token("self"))
    status, text = east.establish("itself", own_token.text)
    require(status >= 400, "a cluster peered with itself")
    says(text, "this very cluster")
    forger = Acceptor()
    for claimed, words in ((own, "this very cluster"), (domain, "already the peer")):
        forger.authority.server_name = f"server.dc1.peering.{claimed}"
        status, text = east.establish("forger", forger.token())
        require(status >= 400, f"a token for the trust domain {claimed} was taken")
        says(text, words)
    equal(forger.exchanges, [], "exchanges of tokens that are refused")
    passed("tokens that claim our own or another peer's trust domain are refused before they are spent")
    _nobody_noticed(east, bystander, before)


def _nobody_noticed(peerway, bystander, before):
    equal(peerway.local(), before, "local services, health and roots")
    bystander.check()
    equal(peerway.ok("GET", "/ready")["Ready"], True, "readiness")
    passed("local rows and the other peer are as before, the server is up")
