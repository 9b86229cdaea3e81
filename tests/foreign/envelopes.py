"""What both roles check on a running stream: every answer of an importer, and how one forgets."""

import messages as m
from report import equal, passed, require
from schema import encode, new

INVALID, INTERNAL = 3, 13


def every_refusal(stream):
    """Each error path of an importer (wire facts, section 3.6); the stream survives all of them."""
    one = m.exported(m.instance("refused"))

    url = "type.googleapis.com/hashicorp.consul.internal.peerstream.Nothing"
    nonce = stream.nonce()
    stream.refused(m.response(nonce, url, "x", one, type_url=url), nonce, url, [INVALID], "unknown resource type", url)
    passed("NACK: unknown type")

    stream.refused(m.response("", m.SERVICE, "refused", one), "", m.SERVICE, [INVALID], "without a nonce", "refused")
    passed("NACK: missing nonce, answered with an empty one")

    nonce = stream.nonce()
    stream.refused(m.response(nonce, m.SERVICE, "refused", None), nonce, m.SERVICE, [INVALID], "without content")
    passed("NACK: no content")

    for operation in (0, 2, 7, -1):
        nonce = stream.nonce()
        message = m.response(nonce, m.SERVICE, "refused", one, operation=operation)
        stream.refused(message, nonce, m.SERVICE, [INVALID], "operation", str(operation))
    passed("NACK: any operation but UPSERT")

    nonce = stream.nonce()
    message = m.response(nonce, m.SERVICE, "refused", one, type_url=m.LIST)
    stream.refused(message, nonce, m.SERVICE, [INTERNAL], "refused")
    passed("NACK: the content is of another type than announced")

    for broken in (b"\xff", b"\x0a\x05ab", encode(one)[:-3], b"\x08\x01\x0a"):
        nonce = stream.nonce()
        message = m.response(nonce, m.SERVICE, "refused", broken)
        stream.refused(message, nonce, m.SERVICE, [INTERNAL], "refused")
    passed("NACK: undecodable content")

    stream.fence()
    passed("the stream survives every NACK")


def unknown(message):
    """The bytes of a message with fields that nobody knows, of every wire type, in front of and behind it."""
    varint, fixed64, fixed32 = b"\xf8\x7f\x01", b"\xe1\x7f" + b"\x01" * 8, b"\xed\x7f" + b"\x02" * 4
    text = b"\xf2\x7f\x03new"
    return varint + text + encode(message) + fixed64 + fixed32 + text


def unknown_fields_are_skipped(stream):
    """A later version adds fields anywhere; everything else must still be understood."""
    service = m.instance("future")
    node = service.Node.FromString(unknown(service.Node))
    inner = service.Service.FromString(unknown(service.Service))
    check = service.Checks[0].FromString(unknown(service.Checks[0]))
    whole = new("CheckServiceNode", Node=node, Service=inner, Checks=[check])
    # The parsed messages keep what they do not know, so it is in these bytes at every level.
    value = unknown(new("ExportedService", Nodes=[new("CheckServiceNode").FromString(unknown(whole))]))
    require(value.count(b"\x03new") == 10, "the vector lost its unknown fields")
    nonce = stream.nonce()
    response = m.response(nonce, m.SERVICE, "future", value).response
    response.Resource.CopyFrom(response.Resource.FromString(unknown(response.Resource)))
    message = new("ReplicationMessage", response=response.FromString(unknown(response)))
    stream.send(unknown(message))
    request, data = stream.answer(nonce, "a service with unknown fields")
    equal(data, encode(m.ack(m.SERVICE, nonce)), f"the answer ({request.Error.message})")
    stream.send(b"\x3a\x03new")  # a payload of a kind that is not known
    stream.send(b"")  # no payload
    stream.send(m.opening("another", "secret"))  # an Open in the middle
    stream.fence()
    passed("unknown fields on every level and unknown payloads are skipped")

