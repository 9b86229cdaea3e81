"""Scenes in which a Peerway dials the foreign cluster."""

import threading

import grpc
import messages as m
from acceptor import Acceptor
from envelopes import every_refusal, unknown_fields_are_skipped
from report import equal, eventually, passed, require, says
from schema import encode, new


def establish(east, name, acceptor):
    """Uses the foreign token."""
    status, text = east.establish(name, acceptor.token())
    equal((status, text.strip()), (200, "{}"), f"establishing {name}")


def opening(east):
    """Token, exchange, the first five messages, and what comes with nothing exported."""
    acceptor = Acceptor()
    secret = acceptor.establishment
    establish(east, "opening", acceptor)
    request = new("ExchangeSecretRequest", PeerID=acceptor.peer_id, EstablishmentSecret=secret)
    equal(acceptor.exchanges, [encode(request)], "the exchanges")
    passed("ExchangeSecret: once, with the token's PeerID and secret")

    stream = acceptor.next_stream()
    stream.wait("Open and four subscriptions", lambda: len(stream.spoken()) >= 5)
    expected = [encode(m.opening(acceptor.peer_id, acceptor.secret, east.datacenter))]
    expected += [m.announced(url, acceptor.peer_id) for url in m.DIALER_TYPES]
    equal([data for _, data in stream.spoken()[:5]], expected, "the first five messages")
    equal(len(stream.spoken()), 5, "messages before the acceptor has spoken")
    passed("stream: Open, then four subscriptions with PeerID, byte by byte")

    for name, protocols in acceptor.relays[0].hellos:
        equal((name, protocols), (acceptor.authority.server_name, ["h2"]), "SNI and ALPN")
    require(len(acceptor.relays[0].hellos) >= 2, "the stream shares the connection of the exchange")
    passed("TLS: SNI is the token's ServerName, ALPN is h2, the stream has a connection of its own")

    stream.subscribe(*m.ACCEPTOR_TYPES)
    stream.wait("list and roots", lambda: stream.responses(m.LIST) and stream.responses(m.BUNDLE))
    equal(list(stream.latest(m.LIST, "exported-service-list").Services), [], "the list with nothing exported")
    roots = stream.latest(m.BUNDLE, "roots")
    equal(roots.TrustDomain, east.trust_domain(), "TrustDomain")
    equal([pem.strip() for pem in roots.RootPEMs], [pem.strip() for pem in east.roots()], "RootPEMs")
    unset = (roots.PeerName, roots.Partition, roots.ExportedPartition, roots.CreateIndex, roots.ModifyIndex)
    equal(unset, ("", "", "", 0, 0), "what an exporter leaves out of its bundle")
    _counted(stream)
    equal(stream.responses(m.ADDRESSES), [], "server addresses towards an acceptor")
    passed("with nothing exported an empty list and the roots are sent, under their ids, with counted nonces")

    stream.settle(acceptor.bundle())
    east.wait_state("opening", "ACTIVE")
    peering = east.peering("opening")
    equal(peering["PeerID"], acceptor.peer_id, "PeerID")
    equal(peering["PeerServerName"], acceptor.authority.server_name, "PeerServerName")
    equal(peering["Remote"]["Datacenter"], "dc1", "Remote.Datacenter")
    passed("the API shows the acceptor's id, server name and datacenter")

    stream.send(m.HEARTBEAT)
    eventually("LastHeartbeat", lambda: east.peering("opening")["StreamStatus"]["LastHeartbeat"])
    stream.wait("a heartbeat", lambda: stream.heartbeats() >= 1)
    passed("heartbeats go out by themselves, and one received is shown")


def _counted(stream):
    """Nonces count up from 1 over all types; every envelope is complete."""
    found = [one.response for one in stream.arrived if one.HasField("response")]
    expected = [f"{number:08x}" for number in range(1, len(found) + 1)]
    equal([one.Nonce for one in found], expected, "nonces")
    for one in found:
        equal((one.operation, one.Resource.type_url), (m.UPSERT, one.ResourceURL), "operation and type of content")
        require(one.ResourceURL == m.SERVICE or one.ResourceID == m.IDS[one.ResourceURL], f"id {one.ResourceID!r}")


def importing(east):
    """What the foreign cluster exports, changes and takes back, and every refusal."""
    acceptor = Acceptor()
    establish(east, "importing", acceptor)
    stream = acceptor.serve()
    domain = acceptor.authority.trust_domain

    stream.offer(m.BUNDLE, acceptor.bundle())
    stream.offer(m.SERVICE, m.exported(m.instance("web"), m.instance("web", "web-2", 8081, "critical")), "web")
    stream.offer(m.SERVICE, m.exported(m.sidecar("web", domain, "them")), "web-sidecar-proxy")
    stream.offer(m.SERVICE, m.exported(m.instance("db", on="node-2")), "db")
    stream.offer(m.LIST, m.names("db", "web"))
    stream.offer(m.ADDRESSES, m.addresses(acceptor.relays[0].address))
    passed("ACKs: ResourceURL, nonce and nothing else, for every type")

    found = east.wait_imported("web", "importing", ["web-1", "web-2"])
    for one in found:
        equal((one["Node"]["Node"], one["Node"]["Datacenter"]), ("node-1", "dc1"), "the node")
        equal((one["Node"]["PeerName"], one["Service"]["PeerName"]), ("importing", "importing"), "PeerName")
        equal(one["Service"]["Meta"], {"version": "1"}, "Meta")
    statuses = {one["Service"]["ID"]: [check["Status"] for check in one["Checks"]] for one in found}
    equal(statuses, {"web-1": ["passing"], "web-2": ["critical"]}, "checks")
    faces = east.imported("web", "importing", "connect")
    equal([one["Service"]["ID"] for one in faces], ["web-sidecar-proxy-instance-0"], "the mesh face")
    meta = faces[0]["Service"]["Connect"]["PeerMeta"]
    sent = m.sidecar("web", domain, "them").Service.Connect.PeerMeta
    shown = (meta["SNI"], meta["SpiffeID"], meta["Protocol"])
    equal(shown, (list(sent.SNI), list(sent.SpiffeID), sent.Protocol), "PeerMeta")
    equal(sorted(east.peering("importing")["StreamStatus"]["ImportedServices"]), ["db", "web"], "ImportedServices")
    passed("a normal service and its synthetic proxy are imported as sent")

    every_refusal(stream)
    unknown_fields_are_skipped(stream)
    east.wait_imported("future", "importing", ["future-1"])
    equal(east.imported("refused", "importing"), [], "what was refused")

    stream.offer_refused(m.ADDRESSES, m.addresses(), "Addresses", "empty")
    stream.offer_refused(m.ADDRESSES, m.addresses("no-port"), "Addresses[0]", "port")
    equal(east.peering("importing")["PeerServerAddresses"], [acceptor.relays[0].address], "PeerServerAddresses")
    passed("an empty address list and an unusable address are refused, the last good list stays")

    stream.offer(m.SERVICE, m.exported(m.instance("web", "web-2", 8081)), "web")
    east.wait_imported("web", "importing", ["web-2"])
    stream.offer(m.SERVICE, m.exported(), "db")
    east.wait_imported("db", "importing", [])
    passed("instances and a whole service are removed by a snapshot without them")
    stream.offer(m.LIST, m.names("db"))
    for name in ("web", "future"):
        east.wait_imported(name, "importing", [])
    equal(east.imported("web", "importing", "connect"), [], "the mesh face of a service that is no longer listed")
    passed("services and their mesh faces are removed by a list without them")

    nonce = stream.wait("roots", lambda: stream.responses(m.BUNDLE))[-1].Nonce
    stream.send(m.nack(m.BUNDLE, nonce, 13, "we cannot store this"))
    stream.send(m.subscription(m.BUNDLE))
    stream.fence()
    passed("a NACK and a repeated subscription leave the stream alone")


def followers(east):
    """Two addresses of which the first answers is a follower: the next is tried at once."""
    acceptor = Acceptor(addresses=2)
    # With the pauses of other failures, 2 s and doubling, this would take two minutes and run into the limit.
    acceptor.follower_answers = 5
    for relay in acceptor.relays:
        relay.hellos.clear()
    establish(east, "followers", acceptor)
    stream = acceptor.serve("the stream after five followers")
    equal(acceptor.follower_answers, 0, "answers of followers left")
    # One connection was for the exchange.
    counts = sorted(len(relay.hellos) for relay in acceptor.relays)
    equal(counts, [3, 4], "connections by address")
    stream.fence()
    stream.settle(acceptor.bundle())
    east.wait_state("followers", "ACTIVE")
    passed("FailedPrecondition: the next address, and the next, at once")


def ending(east):
    """Both ways to end a peering, with the half-close that they need."""
    acceptor = Acceptor()
    establish(east, "ended-there", acceptor)
    stream = acceptor.serve()
    stream.offer(m.BUNDLE, acceptor.bundle())
    stream.offer(m.SERVICE, m.exported(m.instance("web")), "web")
    stream.send(m.TERMINATED)
    equal(stream.wait_end(), "half-close", "the dialer's answer to Terminated")
    stream.send(m.response(stream.nonce(), m.SERVICE, "late", m.exported(m.instance("late"))))
    stream.close()
    ended = acceptor
    east.wait_state("ended-there", "TERMINATED")
    eventually("imports to be gone", lambda: not east.imported("web", "ended-there"))
    equal(east.imported("late", "ended-there"), [], "what came after Terminated")
    passed("Terminated received: half-close, TERMINATED, imports gone, what follows is discarded")

    acceptor = Acceptor()
    establish(east, "ended-here", acceptor)
    stream = acceptor.serve()
    stream.offer(m.SERVICE, m.exported(m.instance("web")), "web")
    east.delete("ended-here")
    stream.wait("Terminated", lambda: any(one.HasField("terminated") for one in stream.arrived))
    equal(stream.wait_end(), "half-close", "the deleting dialer's end")
    equal(stream.raw[-1], b"\x22\x00", "the last message")
    equal(east.imported("web", "ended-here"), [], "imports of a deleted peering")
    stream.close()
    eventually("the record to be gone", lambda: east.peering("ended-here") is None)
    passed("deleted here: Terminated, half-close, gone")

    ended.introduce()
    establish(east, "ended-there", ended)
    stream = ended.serve("the stream of the new peering")
    stream.fence()
    stream.settle(ended.bundle())
    east.wait_state("ended-there", "ACTIVE")
    passed("a terminated peering can be established anew with a new token")


def unexpected_ends(east):
    """Ends that are no end: each is shown as a failure and dialled again."""

    def dialled_again(name, end, *words):
        acceptor = Acceptor()
        establish(east, name, acceptor)
        stream = acceptor.serve()
        stream.fence()
        end(stream)
        shown = eventually("LastError", lambda: east.peering(name)["StreamStatus"]["LastError"])
        says(shown, *words)
        again = acceptor.serve("the stream to be dialled again")
        equal(again.raw[0], encode(m.opening(acceptor.peer_id, acceptor.secret, east.datacenter)), "Open")
        again.fence()
        passed(f"dialled again after: {name}")

    cases = [
        ("clean-end", lambda stream: stream.close(), ["without the peering being deleted"]),
        ("aborted", lambda stream: stream.abort(grpc.StatusCode.UNKNOWN, "heartbeat timeout"), ["heartbeat timeout"]),
        ("early-ack", lambda stream: stream.send(m.ack(m.ADDRESSES, "00000001")), ["nonce"]),
        ("early-nack", lambda stream: stream.send(m.nack(m.ADDRESSES, "", 3, "no")), ["NACK"]),
        ("unknown-type", lambda stream: stream.send(m.subscription("type.googleapis.com/x")), ["unknown resource type"]),
        ("other-id", lambda stream: stream.send(m.subscription(m.ADDRESSES, "another")), ["another PeerID"]),
        ("bad-text", lambda stream: stream.send(b"\x12\x04\x1a\x02\xff\xfe"), ["UTF-8"]),
    ]
    _at_once(lambda name, end, words: dialled_again(name, end, *words), cases)


def _at_once(run, cases):
    """Runs cases side by side: what each of them waits for is a pause of the dialer."""
    errors = []

    def one(case):
        try:
            run(*case)
        except Exception as error:  # raised again below, on the thread that reports
            error.args = (f"{case[0]}: {error}",)
            errors.append(error)

    threads = [threading.Thread(target=one, args=(case,)) for case in cases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def restart(east):
    """The acceptor's servers come back: with the same root, with a new one that was announced, with a strange one."""
    acceptor = Acceptor()
    establish(east, "restart", acceptor)
    first = acceptor.serve()
    first.offer(m.BUNDLE, acceptor.bundle())
    first.offer(m.SERVICE, m.exported(m.instance("web")), "web")
    first.offer(m.LIST, m.names("web"))
    acceptor.restart()
    second = acceptor.serve("the stream after a restart")
    expected = [encode(m.opening(acceptor.peer_id, acceptor.secret, east.datacenter))]
    expected += [m.announced(url, acceptor.peer_id) for url in m.DIALER_TYPES]
    second.wait("the opening", lambda: len(second.spoken()) >= 5)
    equal([data for _, data in second.spoken()[:5]], expected, "the second opening")
    second.wait("everything again", lambda: second.responses(m.LIST) and second.responses(m.BUNDLE))
    _counted(second)
    equal(len(east.imported("web", "restart")), 1, "imports over a restart")
    equal(len(acceptor.exchanges), 1, "exchanges")
    passed("restart: the same secret, no new exchange, everything again from nonce 1, imports kept")

    acceptor.authority.rotate()
    second.offer(m.BUNDLE, acceptor.bundle())
    shown = [pem.strip() for pem in east.peering("restart")["PeerCAPems"]]
    equal(shown, [pem.strip() for pem in acceptor.authority.roots], "PeerCAPems")
    second.offer(m.ADDRESSES, m.addresses(acceptor.relays[0].address))
    acceptor.restart()
    third = acceptor.serve("the stream to the new root")
    third.fence()
    passed("a root that the bundle announced is trusted at the next connection")

    acceptor.authority.rotate()  # and nobody is told
    before = len(acceptor.relays[0].hellos)
    acceptor.restart()
    eventually("another attempt", lambda: len(acceptor.relays[0].hellos) > before)
    error = eventually("LastError", lambda: _about_certificates(east.peering("restart")))
    require(acceptor.streams.empty(), "a stream was opened to a server that no known root vouches for")
    equal(len(east.imported("web", "restart")), 1, "imports while the peer cannot be verified")
    equal(east.peering("restart")["State"], "FAILING", f"the state with {error!r}")
    passed("a root that nobody announced is not trusted, and the reason is shown")


def _about_certificates(peering):
    error = peering["StreamStatus"]["LastError"] or ""
    return error if "certificate" in error or "UnknownIssuer" in error else None


def moved(east):
    """Addresses told over the stream are the ones that are dialled next."""
    acceptor = Acceptor(addresses=2)
    old, new_address = acceptor.relays
    acceptor.relays = [old]
    establish(east, "moved", acceptor)
    stream = acceptor.serve()
    stream.offer(m.ADDRESSES, m.addresses(new_address.address))
    equal(east.peering("moved")["PeerServerAddresses"], [new_address.address], "PeerServerAddresses")
    before = len(old.hellos)
    old.port = None
    old.cut()
    again = acceptor.serve("the stream at the new address")
    again.fence()
    equal((len(old.hellos), len(new_address.hellos)), (before, 1), "connections to the old and the new address")
    passed("addresses told over the stream replace those of the token")


def tokens(east):
    """Tokens that cannot be used, and an exchange that is refused."""
    acceptor = Acceptor()
    acceptor.establishment = "another"
    status, text = east.establish("spent", _token_with(acceptor, EstablishmentSecret="spent"))
    equal(status, 403, f"the status for a spent token ({text})")
    says(text, "a new peering token must be generated", "invalid peering establishment secret")
    passed("a spent token is a 403 that asks for a new one")

    stranger = Acceptor()
    for field, value, words in (
        ("CA", stranger.authority.roots, ["certificate"]),
        ("ServerName", stranger.authority.server_name, ["certificate"]),
    ):
        status, text = east.establish("stranger", _token_with(acceptor, **{field: value}))
        require(status >= 400, f"a token with a wrong {field} was taken")
        says(text.lower(), *words)
    passed("TLS is verified by the token's roots and name alone")

    for field, value, words in (
        ("ServerAddresses", None, ["ServerAddresses"]),
        ("ServerAddresses", ["10.0.0.1"], ["ServerAddresses", "10.0.0.1"]),
        ("ServerName", "", ["ServerName"]),
        ("PeerID", "", ["PeerID"]),
        ("CA", ["not a certificate"], ["CA[0]"]),
        ("CA", None, ["TLS"]),
    ):
        status, text = east.establish("broken", _token_with(acceptor, **{field: value}))
        require(status >= 400, f"a token with {field} {value!r} was taken")
        says(text, *words)
    passed("a token with an unusable field is refused by the field's name")

    manual = Acceptor()
    working, manual.relays[0].port = manual.relays[0].port, None
    from sniffer import Relay

    outer = Relay(working)
    text = _token_with(manual, ManualServerAddresses=[outer.address], Future={"Nested": [1]})
    equal(east.establish("manual", text)[0], 200, "establishing by manual addresses")
    stream = manual.serve()
    stream.offer(m.ADDRESSES, m.addresses("127.0.0.1:1"))
    outer.cut()
    manual.serve("the stream over the manual address").fence()
    equal(manual.relays[0].hellos, [], "connections to the automatic address")
    passed("manual addresses are used alone and for ever; unknown keys of a token are ignored")


def _token_with(acceptor, **changes):
    import base64
    import json

    value = json.loads(base64.b64decode(acceptor.token()))
    value.update(changes)
    return base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()
