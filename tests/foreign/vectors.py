"""Byte vectors of every message of a peering (wire facts, sections 2.4, 3.1 and 4).

`python vectors.py` writes vectors.json. `wire` are bytes as some peer may send them; `canonical` are the bytes that
Peerway has to make of them again: the same, without what it does not carry. In the filled vectors every text is the
path of its own field, so that fields cannot change places unnoticed.
"""

import json
import pathlib

import messages as m
from google.protobuf.descriptor import FieldDescriptor
from report import passed, require
from schema import CLASSES, encode, new

FILE = pathlib.Path(__file__).with_name("vectors.json")

# The fields that Peerway carries. Of what is not named here all are.
CARRIED = {
    "RemoteInfo": ["Partition", "Datacenter"],
    "Status": ["code", "message"],
    "Node": ["ID", "Node", "Address", "Datacenter", "TaggedAddresses", "Meta"],
    "NodeService": """Kind ID Service Tags Address Meta Port Weights EnableTagOverride Proxy Connect TaggedAddresses
        EnterpriseMeta""".split(),
    "HealthCheck": ["Node", "CheckID", "Name", "Status", "ServiceID", "ServiceName", "EnterpriseMeta"],
    "ServiceConnect": ["PeerMeta"],
    "ConnectProxyConfig": ["DestinationServiceName", "DestinationServiceID"],
    "EnterpriseMeta": ["Namespace"],
    "PeeringTrustBundle": ["TrustDomain", "RootPEMs", "ExportedPartition"],
}


def filled(name):
    """A message with every field set, down to the last one."""
    message = CLASSES[name]()
    _fill(message, name)
    return message


def _is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _fill(message, path):
    for field in message.DESCRIPTOR.fields:
        at = f"{path}.{field.name}"
        if _is_map(field):
            _fill_map(getattr(message, field.name), field.message_type.fields_by_name["value"], at)
        elif field.message_type is not None and field.message_type.file.package == "google.protobuf":
            _fill_well_known(message, field)
        elif field.message_type is not None:
            holder = getattr(message, field.name)
            if field.is_repeated:
                for number in (0, 1):
                    _fill(holder.add(), f"{at}[{number}]")
            else:
                holder.SetInParent()
                _fill(holder, at)
        elif field.is_repeated:
            getattr(message, field.name).extend([f"{at}[0]", f"{at}[1]"])
        else:
            setattr(message, field.name, _scalar(field, at))


def _fill_map(holder, value, at):
    for number in (0, 1):
        key = f"{at}.key{number}"
        if value.message_type is None:
            holder[key] = f"{at}.value{number}"
        else:
            _fill(holder[key], f"{at}.value{number}")


def _fill_well_known(message, field):
    holder = getattr(message, field.name)
    one = holder.add() if field.is_repeated else holder
    if field.message_type.name == "Struct":
        one.fields["key"].string_value = "value"
    elif field.message_type.name == "Duration":
        one.seconds, one.nanos = 90, 1
    else:
        one.type_url, one.value = m.LEADER, encode(new("LeaderAddress", address="10.0.0.1:8300"))


def _scalar(field, at):
    if field.type == FieldDescriptor.TYPE_STRING:
        return at
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    # Distinct, and several bytes long on the wire.
    return 1000 + field.number


def carried(message):
    """The message without what Peerway does not carry."""
    copy = type(message)()
    copy.CopyFrom(message)
    _clear(copy)
    return copy


def _clear(message):
    message.DiscardUnknownFields()
    keep = CARRIED.get(message.DESCRIPTOR.name)
    for field, value in message.ListFields():
        if keep is not None and field.name not in keep:
            message.ClearField(field.name)
        elif field.message_type is None or field.message_type.file.package == "google.protobuf":
            continue
        elif _is_map(field):
            continue  # no map of ours has values with something to clear
        elif field.is_repeated:
            for one in value:
                _clear(one)
        else:
            _clear(value)
    if message.DESCRIPTOR.name == "CheckServiceNode":
        # Both messages are always sent, and a check is of its service's namespace.
        message.Service.EnterpriseMeta.SetInParent()
        for check in message.Checks:
            check.EnterpriseMeta.CopyFrom(message.Service.EnterpriseMeta)
    if message.DESCRIPTOR.name == "Open":
        message.Remote.SetInParent()


def _streamed():
    """(name, message, what it has to become or None for the same) of ReplicationMessage."""
    yield "heartbeat", m.HEARTBEAT, None
    yield "terminated", m.TERMINATED, None
    yield "nothing", new("ReplicationMessage"), None
    yield "open", m.opening("11111111-2222-3333-4444-555555555555", "secret", "dc1"), None
    full = new("ReplicationMessage", open=filled("Open"))
    yield "open with every field", full, carried(full)
    bare = new("ReplicationMessage", open=new("Open", PeerID="id"))
    yield "open without Remote", bare, carried(bare)
    for url in m.DIALER_TYPES:
        short = m.NAMES[url]
        yield f"subscription to {short}", m.subscription(url, "id"), None
        yield f"subscription to {short} by an acceptor", m.subscription(url), None
        yield f"ack of {short}", m.ack(url, "00000001"), None
        yield f"nack of {short}", m.nack(url, "0000ffff", 13, f"cannot store {short}"), None
    full = new("ReplicationMessage", request=filled("Request"))
    yield "request with every field", full, carried(full)
    yield "request without anything", new("ReplicationMessage", request=new("Request")), None
    yield "nack with an empty error", new("ReplicationMessage", request=new("Request", Error=new("Status"))), None
    yield from _responses()


def _responses():
    one = m.instance("web")
    contents = [
        ("no instance", m.SERVICE, "web", m.exported()),
        ("one instance", m.SERVICE, "web", m.exported(one)),
        ("three instances", m.SERVICE, "web", m.exported(one, m.instance("web", "web-2"), m.instance("web", "w3", 0))),
        ("a synthetic proxy", m.SERVICE, "web-sidecar-proxy", m.exported(m.sidecar("web", "d.consul", "them"))),
        ("every field", m.SERVICE, "web", new("ExportedService", Nodes=[filled("CheckServiceNode")])),
        ("empty messages", m.SERVICE, "web", m.exported(new("CheckServiceNode", Node=new("Node"), Service=new("NodeService")))),
        ("extreme numbers", m.SERVICE, "web", m.exported(_extreme())),
        ("text of many scripts", m.SERVICE, "dienst-\u00e4\u4e2d\U0001f600", m.exported(m.instance("\u00e4\u4e2d\U0001f600"))),
        ("no name", m.LIST, None, m.names()),
        ("three names", m.LIST, None, m.names("a", "b-sidecar-proxy", "\u00e9")),
        ("an empty name", m.LIST, None, m.names("")),
        ("two roots", m.BUNDLE, None, m.bundle("d.consul", "one\n", "two\n")),
        ("every field", m.BUNDLE, None, filled("PeeringTrustBundle")),
        ("nothing", m.BUNDLE, None, new("PeeringTrustBundle")),
        ("two addresses", m.ADDRESSES, None, m.addresses("h:1", "[::1]:2")),
        ("nothing", m.ADDRESSES, None, m.addresses()),
    ]
    for what, url, resource_id, resource in contents:
        resource_id = resource_id or m.IDS[url]
        name = f"{m.NAMES[url]} with {what}"
        yield name, m.response("00000001", url, resource_id, resource), m.response(
            "00000001", url, resource_id, carried(resource)
        )
    yield "ExportedService with an empty map value", *_empty_map_values()
    for operation in (0, 2, 2**31 - 1, -1):
        message = m.response("00000001", m.LIST, m.IDS[m.LIST], m.names("a"), operation=operation)
        yield f"operation {operation}", message, None
    yield "no nonce", m.response("", m.LIST, m.IDS[m.LIST], m.names("a")), None
    yield "no content", m.response("00000001", m.LIST, m.IDS[m.LIST], None), None
    without = {url: m.response("00000001", url, "x", None) for url in (m.SERVICE, m.LIST, "type.googleapis.com/x")}
    wrong = m.response("00000001", m.SERVICE, "x", m.names("a"), type_url=m.LIST)
    yield "content of another type", wrong, without[m.SERVICE]
    yield "undecodable content", m.response("00000001", m.LIST, "x", b"\x0a\x05ab"), without[m.LIST]
    yield "text that is not UTF-8", m.response("00000001", m.LIST, "x", b"\x0a\x02\xff\xfe"), without[m.LIST]
    headless = m.exported(new("CheckServiceNode", Service=new("NodeService", ID="x")))
    yield "an instance without a node", m.response("00000001", m.SERVICE, "x", headless), without[m.SERVICE]
    bodyless = m.exported(new("CheckServiceNode", Node=m.node()))
    yield "an instance without a service", m.response("00000001", m.SERVICE, "x", bodyless), without[m.SERVICE]
    url = "type.googleapis.com/x"
    yield "unknown type", m.response("00000001", url, "x", m.names("a")), without[url]


def _field(number, payload):
    """A short length-delimited field, by hand."""
    return bytes([number << 3 | 2, len(payload)]) + payload


def _empty_map_values():
    """Encoders differ over map entries with an empty value: some write it, Peerway's does not. Both are read."""
    node = new("Node", Node="n", Meta={"k": ""})
    service = new("NodeService", EnterpriseMeta=new("EnterpriseMeta"))
    wire = m.exported(new("CheckServiceNode", Node=node, Service=service))
    short = _field(2, b"n") + _field(6, _field(1, b"k"))
    canonical = _field(1, _field(1, short) + _field(2, encode(service)))
    return [m.response("00000001", m.SERVICE, "x", resource) for resource in (wire, canonical)]


def _extreme():
    one = m.instance("web", port=-1)
    one.Service.Weights.Passing, one.Service.Weights.Warning = 2**31 - 1, -(2**31)
    one.Service.TaggedAddresses["lan"].Address, one.Service.TaggedAddresses["lan"].Port = "a" * 300, 65535
    one.Service.EnableTagOverride = True
    one.Service.EnterpriseMeta.Namespace = one.Checks[0].EnterpriseMeta.Namespace = "team"
    return one


def make():
    """All vectors."""
    from envelopes import unknown

    made = []

    def add(message, name, wire, canonical):
        made.append({"name": name, "message": message, "wire": wire.hex(), "canonical": canonical.hex()})

    for name in ("ExchangeSecretRequest", "ExchangeSecretResponse"):
        for what, message in (("empty", new(name)), ("with every field", filled(name))):
            add(name, f"{name} {what}", encode(message), encode(message))
            add(name, f"{name} {what} and unknown ones", unknown(message), encode(message))
    for what, message, becomes in _streamed():
        canonical = encode(message if becomes is None else becomes)
        add("ReplicationMessage", what, encode(message), canonical)
        add("ReplicationMessage", f"{what}, and unknown fields", unknown(message), canonical)
    add("ReplicationMessage", "an unknown payload", b"\x3a\x03new", b"")
    # Fields may come in any order, and the last of one that is there twice counts.
    both = encode(m.HEARTBEAT) + encode(m.TERMINATED)
    add("ReplicationMessage", "two payloads", both, encode(m.TERMINATED))
    backwards = b"\x12\x08" + b"\x1a\x01u" + b"\x12\x01n" + b"\x0a\x00"
    ordered = encode(new("ReplicationMessage", request=new("Request", ResponseNonce="n", ResourceURL="u")))
    add("ReplicationMessage", "fields in another order, an empty one spelt out", backwards, ordered)
    names = [vector["name"] for vector in made]
    require(len(set(names)) == len(names), "two vectors have one name")
    return made


def text():
    """The contents of the file."""
    lines = ",\n".join(json.dumps(vector) for vector in make())
    return f"[\n{lines}\n]\n"


def compare():
    """The checked-in file is what the tables make."""
    require(FILE.read_text() == text(), f"{FILE.name} is not what vectors.py makes: run it")
    passed("the byte vectors are those of the tables")


if __name__ == "__main__":
    FILE.write_text(text())
