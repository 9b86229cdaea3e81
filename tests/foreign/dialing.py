"""Scenes in which the foreign cluster dials a Peerway."""

import base64
import json
import re
import socket
import ssl
import uuid

import grpc
import messages as m
from acceptor import Acceptor
from cryptography import x509
from dialer import METHODS, Dialer, requests
from envelopes import every_refusal, unknown_fields_are_skipped
from report import LIMIT, Failed, equal, eventually, passed, require, says
from schema import encode, new

CODE = grpc.StatusCode
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def peer(west, name):
    """A new peering whose token is exchanged already."""
    dialer = Dialer(west.token(name))
    dialer.establish()
    return dialer


def token(west, token):
    """The token that the CLI printed, the TLS endpoint behind it, and the exchange."""
    text = base64.b64decode(token, validate=True).decode()
    keys = [key for key, _ in json.loads(text, object_pairs_hook=list)]
    expected = "CA ManualServerAddresses ServerAddresses ServerName PeerID EstablishmentSecret Remote".split()
    equal(keys, expected, "the token's keys")
    dialer = Dialer(token)
    told, domain = dialer.token, west.trust_domain()
    equal(json.dumps(told, separators=(",", ":")), text, "the token's JSON, which is compact")
    equal(list(told["Remote"].items()), [("Partition", ""), ("Datacenter", "west"), ("Locality", None)], "Remote")
    equal(told["ManualServerAddresses"], None, "ManualServerAddresses")
    equal(told["ServerName"], f"server.west.peering.{domain}", "ServerName")
    equal([pem.strip() for pem in told["CA"]], [pem.strip() for pem in west.roots()], "CA")
    require(all(pem.endswith("\n") for pem in told["CA"]), "a root does not end in a newline")
    require(UUID.fullmatch(told["PeerID"]) and UUID.fullmatch(told["EstablishmentSecret"]), "ids are no UUIDs")
    equal(west.peering("told")["ID"], told["PeerID"], "PeerID")
    passed("the token has every key, in order, with nulls, in padded base64")

    leaf = certificate(told)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    equal(names.get_values_for_type(x509.DNSName), [told["ServerName"]], "DNS names of the server certificate")
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    equal(uris, [f"spiffe://{domain}/agent/server/dc/west"], "URIs of the server certificate")
    passed("TLS: the chain verifies by the token's roots alone, h2, no client certificate, right names")

    for what, roots, name in (
        ("roots of another cluster", "".join(Acceptor().authority.roots), None),
        ("another server name", None, "server.west.peering.other.consul"),
    ):
        try:
            dialer.channel(roots, name).unary_unary(METHODS + "ExchangeSecret")(b"", timeout=LIMIT)
            raise Failed(f"the endpoint answered with {what}")
        except grpc.RpcError as error:
            equal(error.code(), CODE.UNAVAILABLE, f"the status with {what} ({error.details()!r})")
    method = dialer.channel().unary_unary("/hashicorp.consul.internal.peering.PeeringService/PeeringList")
    try:
        method(b"", timeout=LIMIT)
        raise Failed("a method of another service was served")
    except grpc.RpcError as error:
        require(error.code() in (CODE.PERMISSION_DENIED, CODE.UNIMPLEMENTED), f"it answered {error.code()}")
    passed("nothing but peering is served at the peering endpoint")

    secret = told["EstablishmentSecret"]
    dialer.exchange_refused(CODE.PERMISSION_DENIED, secret=str(uuid.uuid4()))
    dialer.exchange_refused(CODE.PERMISSION_DENIED, secret="")
    dialer.exchange_refused(CODE.PERMISSION_DENIED, peer_id=str(uuid.uuid4()))
    dialer.exchange_refused(CODE.INTERNAL, peer_id="not-a-uuid")
    dialer.establish()
    require(UUID.fullmatch(dialer.secret) and dialer.secret != secret, "the stream secret is no fresh UUID")
    text = dialer.exchange_refused(CODE.PERMISSION_DENIED)
    says(text, "establishment secret")
    passed("ExchangeSecret: wrong is refused, right works once")

    again = Dialer(west.token("told"))
    equal(again.peer_id, dialer.peer_id, "PeerID of a second token")
    third = Dialer(west.token("told"))
    again.exchange_refused(CODE.PERMISSION_DENIED)
    third.establish()
    passed("a second token keeps the id and voids the first")


def certificate(told):
    """The certificate that the endpoint presents, verified by the token alone."""
    context = ssl.create_default_context(cadata="".join(told["CA"]))
    context.set_alpn_protocols(["h2"])
    host, port = told["ServerAddresses"][0].rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=LIMIT) as plain:
        with context.wrap_socket(plain, server_hostname=told["ServerName"]) as secure:
            equal(secure.selected_alpn_protocol(), "h2", "ALPN")
            return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True))


def refusals(west):
    """Every refusal of an Open, with its code."""
    dialer = peer(west, "refusals")

    for first in (m.HEARTBEAT, m.subscription(m.LIST, dialer.peer_id), m.TERMINATED, b""):
        stream = dialer.stream()
        stream.send(first)
        stream.expect_end(CODE.INVALID_ARGUMENT, "Open")
    stream = dialer.stream()
    stream.half_close()
    stream.expect_end(CODE.INVALID_ARGUMENT, "Open")
    passed("first message is not Open: InvalidArgument")

    for code, words, opening in (
        (CODE.INVALID_ARGUMENT, "PeerID", {"peer_id": ""}),
        (CODE.INTERNAL, "not-a-uuid", {"peer_id": "not-a-uuid"}),
        (CODE.INVALID_ARGUMENT, "PeerID", {"peer_id": str(uuid.uuid4())}),
        (CODE.PERMISSION_DENIED, "secret", {"secret": str(uuid.uuid4())}),
        (CODE.PERMISSION_DENIED, "secret", {"secret": ""}),
        (CODE.PERMISSION_DENIED, "secret", {"secret": dialer.token["EstablishmentSecret"]}),
    ):
        dialer.open(**opening).expect_end(code, words)
    passed("Open: empty, malformed and unknown id, wrong secret, each with its code")

    unused = Dialer(west.token("unused"))
    code, _ = unused.open(secret=str(uuid.uuid4())).status()
    require(code in (CODE.INTERNAL, CODE.PERMISSION_DENIED), f"a peering without stream secrets answered {code}")
    passed("Open on a peering whose token was not exchanged is refused")

    acceptor = Acceptor()
    equal(west.establish("dialled", acceptor.token())[0], 200, "establishing as a dialer")
    theirs = acceptor.serve()
    ours = west.peering("dialled")["ID"]
    dialer.open(peer_id=ours, secret=acceptor.secret).expect_end(CODE.INVALID_ARGUMENT, "dials")
    theirs.fence()
    passed("a peering that dials cannot be dialled")

    for what, sent, words in (
        ("an ACK of what was not subscribed to", m.ack(m.LIST, "00000001"), "nonce"),
        ("a NACK of what was not subscribed to", m.nack(m.LIST, "", 3, "no"), "NACK"),
        ("an unknown type", m.subscription("type.googleapis.com/x", dialer.peer_id), "unknown resource type"),
    ):
        stream = dialer.open()
        stream.wait("subscriptions", lambda: len(requests(stream)) >= 3)
        stream.send(sent)
        stream.expect_end(CODE.INVALID_ARGUMENT, words)
        says(eventually("LastError", lambda: west.peering("refusals")["StreamStatus"]["LastError"]), words)
        passed(f"{what} ends the stream: InvalidArgument")

    stream = dialer.serve()
    stream.half_close()
    code, text = stream.status()
    require(code != CODE.OK, "a stream that ended without Terminated is no success")
    says(text, "without the peering being deleted")
    west.wait_state("refusals", "FAILING")
    passed("a clean end without Terminated is a failure")
    authority = Acceptor().authority
    bundle = m.bundle(authority.trust_domain, *authority.roots)
    stream = dialer.serve()
    stream.fence()
    stream.settle(bundle)
    west.wait_state("refusals", "ACTIVE")
    stream.cancel()
    west.wait_state("refusals", "FAILING")
    passed("a stream that is cut off is a failure")
    stream = dialer.serve()
    stream.fence()
    stream.settle(bundle)
    west.wait_state("refusals", "ACTIVE")
    passed("after all of them the right Open is served")


def opening(west):
    """What an acceptor says by itself, what only after a subscription, and two streams of one peering."""
    dialer = peer(west, "opening")
    stream = dialer.open()
    stream.wait("three subscriptions", lambda: len(stream.spoken()) >= 3)
    stream.fence()
    expected = [m.announced(url) for url in m.ACCEPTOR_TYPES]
    equal([data for _, data in stream.spoken()[:3]], expected, "the acceptor's first messages")
    equal(len(stream.spoken()), 4, "messages before a subscription, with the fence's answer")
    authority = Acceptor().authority
    bundle = m.bundle(authority.trust_domain, *authority.roots)
    stream.settle(bundle)
    equal(west.wait_state("opening", "ACTIVE")["Remote"]["Datacenter"], "dc9", "Remote.Datacenter")
    passed("three subscriptions with an empty PeerID, byte by byte, and nothing before we subscribe")

    stream.subscribe(m.ADDRESSES, peer_id=dialer.peer_id)
    found = stream.wait_latest(m.ADDRESSES, "server-addrs", lambda one: one.Addresses, "server addresses")
    equal(list(found.Addresses), dialer.token["ServerAddresses"], "Addresses")
    stream.subscribe(m.BUNDLE, m.SERVICE, m.LIST, peer_id=dialer.peer_id)
    roots = stream.wait_latest(m.BUNDLE, "roots", lambda one: one.RootPEMs, "roots")
    equal(roots.TrustDomain, west.trust_domain(), "TrustDomain")
    listed = stream.wait_latest(m.LIST, "exported-service-list", lambda one: True, "the list")
    equal(list(listed.Services), [], "the list with nothing exported")
    order = [one.response.Nonce for one in stream.arrived if one.HasField("response")]
    equal(order, [f"{number:08x}" for number in range(1, len(order) + 1)], "nonces")
    passed("each subscription unlocks its type: addresses, roots, an empty list")

    count = len(order)
    for url in m.DIALER_TYPES:
        stream.send(m.subscription(url, dialer.peer_id))
        stream.send(m.ack(url, "never-sent"))
        stream.send(m.nack(url, "never-sent", 13, "cannot store this"))
    stream.fence()
    equal(len([one for one in stream.arrived if one.HasField("response")]), count, "responses after it")
    passed("repeated subscriptions, strange nonces and NACKs are harmless and resend nothing")

    second = dialer.serve()
    code, text = stream.status()
    equal(code, CODE.ABORTED, "the end of the first stream")
    says(text, "newer stream")
    second.wait_latest(m.BUNDLE, "roots", lambda one: one.RootPEMs, "roots on the second stream")
    second.fence()
    second.settle(bundle)
    west.wait_state("opening", "ACTIVE")
    passed("a second stream of a peering replaces the first, which is told so")

    spare = Dialer(west.token("opening"))
    second.fence()
    spare.establish()
    second.fence()
    third = dialer.serve()
    third.fence()
    fourth = spare.serve()
    fourth.fence()
    dialer.open().expect_end(CODE.PERMISSION_DENIED, "secret")
    fourth.fence()
    passed("a new token disturbs no stream; the old secret works until the new one is used")


def exporting(west):
    """Everything that is exported, field by field, and how it is taken back."""
    dialer = peer(west, "exporting")
    stream = dialer.serve()
    domain = west.trust_domain()
    west.register(
        {
            "Name": "api",
            "ID": "api-1",
            "Address": "10.1.1.1",
            "Port": 9090,
            "Tags": ["blue"],
            "Meta": {"version": "3"},
            "Weights": {"Passing": 7, "Warning": 2},
            "TaggedAddresses": {
                "wan": {"Address": "198.51.100.1", "Port": 90},
                "consul-virtual": {"Address": "240.0.0.1", "Port": 9090},
            },
            "Connect": {"SidecarService": {"Port": 20001}},
        }
    )
    west.register({"Name": "plain", "ID": "plain-1", "Port": 7000})
    gateway = {"Address": "10.1.1.9", "Port": 8443, "TaggedAddresses": {"wan": {"Address": "198.51.100.9", "Port": 443}}}
    west.register({"Kind": "mesh-gateway", "Name": "mesh-gateway", "ID": "gateway-1", **gateway})
    west.export(("api", "exporting"), ("plain", "exporting"), ("nothing", "exporting"), ("secret", "another"))

    def listed(*services):
        what = f"a list of {services}"
        stream.wait_latest(m.LIST, "exported-service-list", lambda one: list(one.Services) == list(services), what)

    listed("api", "nothing", "plain")
    passed("the list holds normal names, sorted, also without instances, and nothing of other peers")

    (api,) = stream.wait_latest(m.SERVICE, "api", lambda one: len(one.Nodes) == 1, "api").Nodes
    expected = new(
        "NodeService",
        ID="api-1",
        Service="api",
        Tags=["blue"],
        Address="10.1.1.1",
        Meta={"version": "3"},
        Port=9090,
        Weights=new("Weights", Passing=7, Warning=2),
        TaggedAddresses={"wan": new("ServiceAddress", Address="198.51.100.1", Port=90)},
        EnterpriseMeta=new("EnterpriseMeta"),
    )
    _same(api.Service, expected, "the normal service")
    node = api.Node
    equal((node.Node, node.Datacenter, node.PeerName, node.Partition), ("west-1", "west", "", ""), "the node")
    require(not node.HasField("RaftIndex") and node.Address, "the node's index is not cleared or its address is")
    _flattened(api)
    passed("a normal service: everything kept, Proxy, Connect, virtual address and index cleared")

    meta = new(
        "PeeringServiceMeta",
        SNI=[f"api.default.default.exporting.external.{domain}"],
        SpiffeID=[f"spiffe://{domain}/ns/default/dc/west/svc/api", f"spiffe://{domain}/gateway/mesh/dc/west"],
        Protocol="tcp",
    )
    # A field that others do not know, and skip: one instance behind the gateway, healthy, of weight 1.
    meta.MergeFromString(b"\xca\x93\x04\x06" + b"\x08\x01\x10\x01\x18\x01")
    (face,) = stream.wait_latest(m.SERVICE, "api-sidecar-proxy", lambda one: len(one.Nodes) == 1, "the face").Nodes
    expected = new(
        "NodeService",
        Kind="connect-proxy",
        ID="api-sidecar-proxy-instance-0",
        Service="api-sidecar-proxy",
        Address="10.1.1.9",
        Port=8443,
        Weights=new("Weights", Passing=1, Warning=1),
        TaggedAddresses={"wan": new("ServiceAddress", Address="198.51.100.9", Port=443)},
        Proxy=new("ConnectProxyConfig", DestinationServiceName="api", DestinationServiceID="api-instance-0"),
        Connect=new("ServiceConnect", PeerMeta=meta),
        EnterpriseMeta=new("EnterpriseMeta"),
    )
    _same(face.Service, expected, "the synthetic proxy")
    _flattened(face)
    equal(len(stream.latest(m.SERVICE, "plain").Nodes), 1, "instances of a service without a sidecar")
    equal(len(stream.latest(m.SERVICE, "nothing").Nodes), 0, "instances of a name without instances")
    for hidden in ("mesh-gateway", "secret", "consul"):
        equal(stream.latest(m.SERVICE, hidden), None, hidden)
    passed("its mesh face: one synthetic proxy for each gateway, with SNI, SPIFFE ids and protocol")

    _checks_flatten(west, stream)
    _checks_are_not_resent(west, stream)

    second = {"Address": "10.1.1.8", "Port": 8443}
    west.register({"Kind": "mesh-gateway", "Name": "mesh-gateway", "ID": "gateway-2", **second})
    both = stream.wait_latest(m.SERVICE, "api-sidecar-proxy", lambda one: len(one.Nodes) == 2, "two gateways")
    ids = [(one.Service.ID, one.Service.Proxy.DestinationServiceID) for one in both.Nodes]
    expected = [(f"api-sidecar-proxy-instance-{index}", f"api-instance-{index}") for index in (0, 1)]
    equal(ids, expected, "ids of two synthetic proxies")
    passed("a second gateway: a second synthetic proxy")

    west.export(("plain", "exporting"))
    listed("plain")
    stream.wait_latest(m.SERVICE, "api-sidecar-proxy", lambda one: not one.Nodes, "an empty mesh face")
    equal(len(stream.latest(m.SERVICE, "api").Nodes), 1, "instances of an un-exported service, told by the list alone")
    shown = west.peering("exporting")["StreamStatus"]["ExportedServices"]
    equal(shown, ["plain"], "ExportedServices")
    passed("un-exported: a list without it and an empty mesh face")

    before = len([one for one in stream.responses(m.SERVICE) if one.ResourceID == "api"])
    west.export(("plain", "exporting"), ("api", "exporting"))
    listed("api", "plain")
    after = len([one for one in stream.responses(m.SERVICE) if one.ResourceID == "api"])
    require(after > before, "a service that is exported again was not sent again")
    passed("exported again: sent again")

    west.export(("*", "exporting"))
    listed("api", "other", "plain")
    require(stream.latest(m.SERVICE, "mesh-gateway") is None, "a gateway was exported by a wildcard")
    passed("a wildcard exports every normal service, and neither gateways nor sidecars by their names")

    every_refusal(stream)
    unknown_fields_are_skipped(stream)
    stream.offer_refused(m.ADDRESSES, m.addresses("127.0.0.1:1"), "acceptor does not dial")
    equal(west.peering("exporting").get("PeerServerAddresses"), None, "addresses of an acceptor's peering")
    passed("server addresses towards an acceptor are refused")

    stream.offer(m.BUNDLE, m.bundle("d.consul", *Acceptor().authority.roots))
    stream.offer(m.SERVICE, m.exported(m.instance("web")), "web")
    stream.offer(m.SERVICE, m.exported(m.sidecar("web", "d.consul", "west", datacenter="dc9")), "web-sidecar-proxy")
    stream.offer(m.LIST, m.names("web"))
    west.wait_imported("web", "exporting", ["web-1"])
    passed("an acceptor imports as well")
    stream.wait("a heartbeat", lambda: stream.heartbeats() >= 1)
    passed("an acceptor sends heartbeats by itself")


def _same(found, expected, what):
    if encode(found) != encode(expected):
        raise Failed(f"{what} is\n{found}\ninstead of\n{expected}")


def _flattened(instance):
    """At most one check, in its cleared form."""
    service = instance.Service
    for check in instance.Checks:
        expected = new(
            "HealthCheck",
            Node=instance.Node.Node,
            CheckID=f"{service.ID}:overall-check",
            Name="overall-check",
            Status=check.Status,
            ServiceID=service.ID,
            ServiceName=service.Service,
            EnterpriseMeta=new("EnterpriseMeta"),
        )
        _same(check, expected, "a flattened check")
    require(len(instance.Checks) <= 1, f"{len(instance.Checks)} checks")


def _checks_flatten(west, stream):
    """Two checks with texts of their own become one without."""
    status, text = west.call("PUT", "/v1/agent/check/register", {"Name": "a", "ID": "a", "ServiceID": "api-1", "TTL": "1h"})
    if status == 404:
        # Without checks by the agent API there is nothing to flatten.
        says(text, "is not offered by Peerway")
        return
    require(status == 200, f"registering a check answered {status}: {text}")
    found = stream.wait_latest(
        m.SERVICE,
        "api",
        lambda one: one.Nodes and [check.Status for check in one.Nodes[0].Checks] == ["critical"],
        "a critical check",
    )
    _flattened(found.Nodes[0])
    passed("all checks are flattened into the worst")


def _checks_are_not_resent(west, stream):
    """Writing the same thing again sends nothing."""
    count = len([one for one in stream.arrived if one.HasField("response")])
    west.register({"Name": "plain", "ID": "plain-1", "Port": 7000})
    west.register({"Name": "other", "ID": "other-1", "Port": 7001})
    stream.fence()
    equal(len([one for one in stream.arrived if one.HasField("response")]), count, "responses after equal writes")
    passed("nothing is sent when nothing of it changed")


def ending(west):
    """Both ways to end a peering, as seen by a dialer."""
    dialer = peer(west, "ended-here")
    stream = dialer.serve()
    stream.offer(m.SERVICE, m.exported(m.instance("web")), "web")
    west.delete("ended-here")
    stream.wait("Terminated", lambda: any(one.HasField("terminated") for one in stream.arrived))
    equal(stream.raw[-1], b"\x22\x00", "the last message")
    equal(west.peering("ended-here")["State"], "DELETING", "the state until we half-close")
    equal(west.imported("web", "ended-here"), [], "imports of a deleted peering")
    late = dialer.open()
    late.expect_end(CODE.ABORTED, "deleted")
    equal(late.raw, [b"\x22\x00"], "what a dialer is told that comes meanwhile")
    stream.half_close()
    equal(stream.status()[0], CODE.OK, "the status after half-close")
    eventually("the record to be gone", lambda: west.peering("ended-here") is None)
    dialer.open().expect_end(CODE.INVALID_ARGUMENT, "PeerID")
    passed("deleted here: Terminated, OK after our half-close, later an unknown PeerID")

    dialer = peer(west, "ended-there")
    stream = dialer.serve()
    stream.offer(m.SERVICE, m.exported(m.instance("web")), "web")
    stream.send(m.TERMINATED)
    stream.half_close()
    equal(stream.status()[0], CODE.OK, "the status after Terminated and half-close")
    west.wait_state("ended-there", "TERMINATED")
    equal(west.imported("web", "ended-there"), [], "imports of a terminated peering")
    late = dialer.open()
    code, _ = late.status()
    equal((code, late.raw), (CODE.ABORTED, []), "a stream on a terminated peering, which gets no Terminated")
    dialer.exchange_refused(CODE.PERMISSION_DENIED)
    again = peer(west, "ended-there")
    require(again.peer_id != dialer.peer_id, "a token for a terminated peering is of the peering that is gone")
    stream = again.serve()
    stream.fence()
    authority = Acceptor().authority
    stream.settle(m.bundle(authority.trust_domain, *authority.roots))
    dialer.exchange_refused(CODE.PERMISSION_DENIED)
    west.wait_state("ended-there", "ACTIVE")
    passed("Terminated received: OK, TERMINATED, and a new token makes a new peering of it")
