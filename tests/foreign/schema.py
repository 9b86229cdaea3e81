"""The messages of a peering, built at run time from the field tables of the wire facts (sections 2.4, 3.1 and 4).

Nothing here is generated and nothing is shared with Peerway's own code: the tables below are a second, independent
reading of the protocol. Reading a line: name, number, type; `*` before a type repeats it.
"""

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory, struct_pb2

ROOT = "hashicorp.consul.internal"

TABLES = {
    "common": {
        "RaftIndex": "CreateIndex 1 uint64, ModifyIndex 2 uint64",
        "EnterpriseMeta": "Namespace 1 string, Partition 2 string",
        "Locality": "Region 1 string, Zone 2 string",
    },
    "status": {
        "Status": "code 1 int32, message 2 string, details 3 *Any",
    },
    "service": {
        "CheckServiceNode": "Node 1 service.Node, Service 2 service.NodeService, Checks 3 *service.HealthCheck",
        "Node": """ID 1 string, Node 2 string, Address 3 string, Datacenter 4 string,
            TaggedAddresses 5 map:string, Meta 6 map:string, RaftIndex 7 common.RaftIndex, Partition 8 string,
            PeerName 9 string, Locality 10 common.Locality""",
        "NodeService": """Kind 1 string, ID 2 string, Service 3 string, Tags 4 *string, Address 5 string,
            Meta 6 map:string, Port 7 int32, Weights 8 service.Weights, EnableTagOverride 9 bool,
            Proxy 11 service.ConnectProxyConfig, Connect 12 service.ServiceConnect,
            LocallyRegisteredAsSidecar 13 bool, RaftIndex 14 common.RaftIndex,
            TaggedAddresses 15 map:service.ServiceAddress, EnterpriseMeta 16 common.EnterpriseMeta,
            SocketPath 17 string, PeerName 18 string, Locality 19 common.Locality""",
        "ServiceAddress": "Address 1 string, Port 2 int32",
        "Weights": "Passing 1 int32, Warning 2 int32",
        "HealthCheck": """Node 1 string, CheckID 2 string, Name 3 string, Status 4 string, Notes 5 string,
            Output 6 string, ServiceID 7 string, ServiceName 8 string, ServiceTags 9 *string,
            Definition 10 service.HealthCheckDefinition, RaftIndex 11 common.RaftIndex, Type 12 string,
            EnterpriseMeta 13 common.EnterpriseMeta, ExposedPort 14 int32, Interval 15 string, Timeout 16 string,
            PeerName 17 string""",
        "HeaderValue": "Value 1 *string",
        "HealthCheckDefinition": """HTTP 1 string, TLSSkipVerify 2 bool, Header 3 map:service.HeaderValue,
            Method 4 string, TCP 5 string, Interval 6 Duration, Timeout 7 Duration,
            DeregisterCriticalServiceAfter 8 Duration, OutputMaxSize 9 uint32, ScriptArgs 10 *string,
            DockerContainerID 11 string, Shell 12 string, GRPC 13 string, GRPCUseTLS 14 bool, AliasNode 15 string,
            AliasService 16 string, TTL 17 Duration, Body 18 string, TLSServerName 19 string, H2PING 20 string,
            H2PingUseTLS 21 bool, DisableRedirects 22 bool, UDP 23 string, OSService 24 string,
            TCPUseTLS 25 bool""",
        "ServiceConnect": "Native 1 bool, PeerMeta 4 service.PeeringServiceMeta",
        "PeeringServiceMeta": "SNI 1 *string, SpiffeID 2 *string, Protocol 3 string",
        "ConnectProxyConfig": """DestinationServiceName 1 string, DestinationServiceID 2 string,
            LocalServiceAddress 3 string, LocalServicePort 4 int32, Config 5 Struct, Upstreams 6 *service.Upstream,
            MeshGateway 7 service.MeshGatewayConfig, Expose 8 service.ExposeConfig, Mode 9 string,
            TransparentProxy 10 service.TransparentProxyConfig, LocalServiceSocketPath 11 string,
            EnvoyExtensions 12 *service.EnvoyExtension, AccessLogs 13 service.AccessLogsConfig""",
        "MeshGatewayConfig": "Mode 1 string",
        "ExposeConfig": "Checks 1 bool, Paths 2 *service.ExposePath",
        "ExposePath": """ListenerPort 1 int32, Path 2 string, LocalPathPort 3 int32, Protocol 4 string,
            ParsedFromCheck 5 bool""",
        "TransparentProxyConfig": "OutboundListenerPort 1 int32, DialedDirectly 2 bool",
        "EnvoyExtension": """Name 1 string, Required 2 bool, Arguments 3 Struct, ConsulVersion 4 string,
            EnvoyVersion 5 string""",
        "AccessLogsConfig": """Enabled 1 bool, DisableListenerLogs 2 bool, Type 3 string, Path 4 string,
            JSONFormat 5 string, TextFormat 6 string""",
        "Upstream": """DestinationType 1 string, DestinationNamespace 2 string, DestinationName 3 string,
            Datacenter 4 string, LocalBindAddress 5 string, LocalBindPort 6 int32, Config 7 Struct,
            MeshGateway 8 service.MeshGatewayConfig, CentrallyConfigured 9 bool, LocalBindSocketPath 10 string,
            LocalBindSocketMode 11 string, DestinationPartition 12 string, DestinationPeer 13 string""",
    },
    "peering": {
        "RemoteInfo": "Partition 1 string, Datacenter 2 string, Locality 3 common.Locality",
        "PeeringTrustBundle": """TrustDomain 1 string, PeerName 2 string, Partition 3 string, RootPEMs 4 *string,
            ExportedPartition 5 string, CreateIndex 6 uint64, ModifyIndex 7 uint64""",
        "PeeringServerAddresses": "Addresses 1 *string",
    },
    "peerstream": {
        "ExchangeSecretRequest": "PeerID 1 string, EstablishmentSecret 2 string",
        "ExchangeSecretResponse": "StreamSecret 1 string",
        "ReplicationMessage": """open 1 peerstream.Open, request 2 peerstream.Request,
            response 3 peerstream.Response, terminated 4 peerstream.Terminated, heartbeat 5 peerstream.Heartbeat""",
        "Open": "PeerID 1 string, StreamSecretID 2 string, Remote 3 peering.RemoteInfo",
        "Request": "PeerID 1 string, ResponseNonce 2 string, ResourceURL 3 string, Error 5 status.Status",
        "Response": """Nonce 1 string, ResourceURL 2 string, ResourceID 3 string, Resource 4 Any,
            operation 5 int32""",
        "Terminated": "",
        "Heartbeat": "",
        "LeaderAddress": "address 1 string",
        "ExportedServiceList": "Services 1 *string",
        "ExportedService": "Nodes 1 *service.CheckServiceNode",
    },
}

# Messages whose fields exclude one another.
ONE_OF = {"ReplicationMessage": "Payload"}

Field = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    "string": Field.TYPE_STRING,
    "int32": Field.TYPE_INT32,
    "uint32": Field.TYPE_UINT32,
    "uint64": Field.TYPE_UINT64,
    "bool": Field.TYPE_BOOL,
}
WELL_KNOWN = {"Any": any_pb2, "Duration": duration_pb2, "Struct": struct_pb2}


def _set_type(field, kind):
    if kind in SCALARS:
        field.type = SCALARS[kind]
        return
    field.type = Field.TYPE_MESSAGE
    field.type_name = f".google.protobuf.{kind}" if kind in WELL_KNOWN else f".{ROOT}.{kind}"


def _add_fields(message, package, table):
    for line in filter(None, (line.strip() for line in table.split(","))):
        name, number, kind = line.split()
        field = message.field.add(name=name, number=int(number), label=Field.LABEL_OPTIONAL)
        if kind.startswith("map:"):
            entry = message.nested_type.add(name=f"{name}Entry")
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, label=Field.LABEL_OPTIONAL, type=Field.TYPE_STRING)
            value = entry.field.add(name="value", number=2, label=Field.LABEL_OPTIONAL)
            _set_type(value, kind.removeprefix("map:"))
            field.label, field.type = Field.LABEL_REPEATED, Field.TYPE_MESSAGE
            field.type_name = f".{ROOT}.{package}.{message.name}.{entry.name}"
            continue
        if kind.startswith("*"):
            field.label, kind = Field.LABEL_REPEATED, kind[1:]
        _set_type(field, kind)
        if message.name in ONE_OF:
            field.oneof_index = 0


def _build():
    pool = descriptor_pool.DescriptorPool()
    for module in WELL_KNOWN.values():
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    built = []
    for package, messages in TABLES.items():
        file = descriptor_pb2.FileDescriptorProto(
            name=f"foreign/{package}.proto", package=f"{ROOT}.{package}", syntax="proto3"
        )
        file.dependency.extend(module.DESCRIPTOR.name for module in WELL_KNOWN.values())
        file.dependency.extend(built)
        built.append(file.name)
        for name, table in messages.items():
            message = file.message_type.add(name=name)
            if name in ONE_OF:
                message.oneof_decl.add(name=ONE_OF[name])
            _add_fields(message, package, table)
        pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{ROOT}.{package}.{name}"))
        for package, messages in TABLES.items()
        for name in messages
    }


CLASSES = _build()


def new(name, **fields):
    """A message of one of the tables."""
    return CLASSES[name](**fields)


def encode(message):
    """Its bytes, fields in order of their numbers and map entries in order of their keys."""
    return message.SerializeToString(deterministic=True)


def decode(name, data):
    """The message in these bytes."""
    return CLASSES[name].FromString(data)
