"""What a peer says: the messages of a stream and the resources in them (wire facts, sections 3 to 5)."""

from google.protobuf import any_pb2

from schema import encode, new

PREFIX = "type.googleapis.com/hashicorp.consul.internal"
SERVICE = f"{PREFIX}.peerstream.ExportedService"
LIST = f"{PREFIX}.peerstream.ExportedServiceList"
BUNDLE = f"{PREFIX}.peering.PeeringTrustBundle"
ADDRESSES = f"{PREFIX}.peering.PeeringServerAddresses"
LEADER = f"{PREFIX}.peerstream.LeaderAddress"

# In the order in which each side subscribes.
DIALER_TYPES = [SERVICE, LIST, BUNDLE, ADDRESSES]
ACCEPTOR_TYPES = [SERVICE, LIST, BUNDLE]

IDS = {LIST: "exported-service-list", BUNDLE: "roots", ADDRESSES: "server-addrs"}
NAMES = {
    SERVICE: "ExportedService",
    LIST: "ExportedServiceList",
    BUNDLE: "PeeringTrustBundle",
    ADDRESSES: "PeeringServerAddresses",
}
UPSERT = 1

HEARTBEAT = new("ReplicationMessage", heartbeat=new("Heartbeat"))
TERMINATED = new("ReplicationMessage", terminated=new("Terminated"))


def opening(peer_id, secret, datacenter=""):
    """The dialer's first message."""
    remote = new("RemoteInfo", Datacenter=datacenter)
    return new("ReplicationMessage", open=new("Open", PeerID=peer_id, StreamSecretID=secret, Remote=remote))


def subscription(url, peer_id=""):
    """The first request for a type."""
    return new("ReplicationMessage", request=new("Request", PeerID=peer_id, ResourceURL=url))


def announced(url, peer_id=""):
    """The bytes of Peerway's first request for a type: it says that it knows digests, in a field that others ignore."""
    request = new("Request")
    request.MergeFromString(encode(new("Request", PeerID=peer_id, ResourceURL=url)) + b"\xb8\x93\x04\x02")
    return encode(new("ReplicationMessage", request=request))


def ack(url, nonce):
    """The answer to a response that was applied."""
    return new("ReplicationMessage", request=new("Request", ResponseNonce=nonce, ResourceURL=url))


def nack(url, nonce, code, text):
    """The answer to a response that was refused."""
    error = new("Status", code=code, message=text)
    return new("ReplicationMessage", request=new("Request", ResponseNonce=nonce, ResourceURL=url, Error=error))


def response(nonce, url, resource_id, resource, operation=UPSERT, type_url=None):
    """A resource under its id; `resource` is a message, bytes, or None for no content at all."""
    fields = {"Nonce": nonce, "ResourceURL": url, "ResourceID": resource_id, "operation": operation}
    if resource is not None:
        value = resource if isinstance(resource, bytes) else encode(resource)
        fields["Resource"] = any_pb2.Any(type_url=type_url or url, value=value).SerializeToString()
        # The pool of the tables has its own Any.
        message = new("Response")
        message.Resource.MergeFromString(fields.pop("Resource"))
        message.MergeFrom(new("Response", **fields))
        return new("ReplicationMessage", response=message)
    return new("ReplicationMessage", response=new("Response", **fields))


def exported(*instances):
    """All instances of a service."""
    return new("ExportedService", Nodes=instances)


def names(*services):
    """The list of exported names."""
    return new("ExportedServiceList", Services=services)


def node(name="node-1"):
    """A node of the peer."""
    return new(
        "Node",
        ID="11111111-2222-3333-4444-555555555555",
        Node=name,
        Address="10.9.0.1",
        Datacenter="dc1",
        TaggedAddresses={"lan": "10.9.0.1", "wan": "203.0.113.9"},
        Meta={"consul-version": "1.16.4"},
    )


def check(service, service_id, status="passing", on="node-1"):
    """The one check that stands for all."""
    return new(
        "HealthCheck",
        Node=on,
        CheckID=f"{service_id}:overall-check",
        Name="overall-check",
        Status=status,
        ServiceID=service_id,
        ServiceName=service,
        EnterpriseMeta=new("EnterpriseMeta"),
    )


def instance(service, service_id=None, port=8080, status="passing", on="node-1"):
    """One instance of a normal service."""
    service_id = service_id or f"{service}-1"
    return new(
        "CheckServiceNode",
        Node=node(on),
        Service=new(
            "NodeService",
            ID=service_id,
            Service=service,
            Tags=["v1"],
            Address="10.9.0.2",
            Meta={"version": "1"},
            Port=port,
            Weights=new("Weights", Passing=1, Warning=1),
            EnterpriseMeta=new("EnterpriseMeta"),
        ),
        Checks=[check(service, service_id, status, on)],
    )


def sidecar(service, trust_domain, peer, index=0, datacenter="dc1"):
    """The synthetic proxy that stands for a gateway of the exporter; `peer` is its name for the importer."""
    name = f"{service}-sidecar-proxy"
    made = instance(name, f"{name}-instance-{index}", 8443)
    made.Service.ClearField("Tags")
    made.Service.ClearField("Meta")
    made.Service.Kind = "connect-proxy"
    made.Service.Proxy.DestinationServiceName = service
    made.Service.Proxy.DestinationServiceID = f"{service}-instance-{index}"
    made.Service.TaggedAddresses["wan"].Address = "203.0.113.9"
    made.Service.TaggedAddresses["wan"].Port = 443
    meta = made.Service.Connect.PeerMeta
    meta.SNI.append(f"{service}.default.default.{peer}.external.{trust_domain}")
    meta.SpiffeID.append(f"spiffe://{trust_domain}/ns/default/dc/{datacenter}/svc/{service}")
    meta.SpiffeID.append(f"spiffe://{trust_domain}/gateway/mesh/dc/{datacenter}")
    meta.Protocol = "tcp"
    return made


def bundle(trust_domain, *roots):
    """The exporter's roots."""
    return new("PeeringTrustBundle", TrustDomain=trust_domain, RootPEMs=roots)


def addresses(*where):
    """Where the acceptor can be dialled."""
    return new("PeeringServerAddresses", Addresses=where)
