"""Scenes in which the foreign cluster dials a Peerway with tokens that have limits (docs/peering.md)."""

import functools

import grpc
import messages as m
from authority import Authority
from dialer import Dialer
from report import equal, eventually, passed, require, says

DENIED = grpc.StatusCode.PERMISSION_DENIED


def _order(west, name, **terms):
    """A dialer with a new token, and the token's accessor."""
    made = west.ok("POST", "/v1/peering/token", {"PeerName": name, **terms})
    dialer = Dialer(made["PeeringToken"])
    dialer.accessor = made["AccessorID"]
    return dialer


def _token(west, name, dialer):
    """What the acceptor tells of a token, which is never its secret."""
    told = west.call("GET", f"/v1/peerway/peering-tokens/{name}")[1]
    for secret in (dialer.token["EstablishmentSecret"], dialer.secret):
        require(not secret or secret not in told, "the list of tokens holds a secret")
    (found,) = [one for one in west.tokens(name) if one["AccessorID"] == dialer.accessor]
    return found


def _wait_token(west, name, dialer, state):
    def look():
        found = _token(west, name, dialer)
        equal(found["State"], state, f"the state of the token of {name}")
        return found

    return eventually(f"the token of {name} to be {state}", look)


def _refusals(west, name, dialer):
    """The causes for which the token was turned away, with their words."""
    return [(one["Cause"], one["Reason"]) for one in _token(west, name, dialer).get("Refused", [])]


def _audit(west, name, dialer):
    """What was recorded of the token, in the order in which it happened."""
    records = west.ok("GET", f"/v1/peerway/peering-audit?name={name}")
    return [one["Action"] for one in reversed(records) if one.get("AccessorID") == dialer.accessor]


@functools.cache
def _authority(name):
    """The authority of the cluster that dials under a name, whichever token it has."""
    return Authority(name)


def _serve(west, name, dialer):
    """A stream that is in sync, so that the peering is ACTIVE."""
    authority = _authority(name)
    stream = dialer.serve()
    stream.fence()
    stream.settle(m.bundle(authority.trust_domain, *authority.roots))
    west.wait_state(name, "ACTIVE")
    return stream


def expired(west):
    """A token that comes too late, and what it was exchanged for in time."""
    late = _order(west, "late", TTL="1s")
    _wait_token(west, "late", late, "expired")
    says(late.exchange_refused(DENIED), "expired")
    (refused,) = _refusals(west, "late", late)
    equal(refused[0], "expired", "the cause that is kept")
    late.exchange_refused(DENIED)
    equal(_audit(west, "late", late), ["made", "refused"], "the audit, in which a repeated refusal is one")
    late.open(secret=late.token["EstablishmentSecret"]).expect_end(DENIED)
    equal(west.peering("late")["State"], "PENDING", "the state of a peering whose token came too late")
    passed("an expired token is refused with that reason, which is shown and recorded once")

    timely = _order(west, "timely", TTL="2s")
    after = _order(west, "after", TTL="2s")
    timely.establish()
    equal(_token(west, "timely", timely)["State"], "exchanged", "the state after the exchange")
    stream = _serve(west, "timely", timely)
    again = _order(west, "late")
    again.establish()
    _serve(west, "late", again)
    passed("another token mends it")
    # Made later for as long: then the time of the other one is over as well.
    _wait_token(west, "after", after, "expired")
    stream.fence()
    stream.cancel()
    _serve(west, "timely", timely)
    equal(_token(west, "timely", timely)["State"], "in-use", "the state after its time")
    passed("what a token was exchanged for in time does not expire with it")


def revoked(west):
    """A token that is revoked before its use, between exchange and Open, and while it opens a stream."""
    unused = _order(west, "unused")
    equal(west.revoke("unused"), [unused.accessor], "revoked accessors")
    says(unused.exchange_refused(DENIED), "revoked")
    equal([cause for cause, _ in _refusals(west, "unused", unused)], ["revoked"], "causes")
    equal(_token(west, "unused", unused)["State"], "revoked", "the state")
    equal(_audit(west, "unused", unused), ["made", "revoked", "refused"], "the audit")
    passed("revoked before its use, a token cannot be exchanged")

    exchanged = _order(west, "exchanged")
    exchanged.establish()
    west.revoke("exchanged")
    exchanged.open().expect_end(DENIED, "revoked", "generate a new token")
    equal([cause for cause, _ in _refusals(west, "exchanged", exchanged)], ["revoked"], "causes")
    passed("revoked after the exchange, it opens no stream")

    used = _order(west, "used")
    used.establish()
    stream = _serve(west, "used", used)
    stream.offer(m.SERVICE, m.exported(m.instance("web")), "web")
    stream.offer(m.LIST, m.names("web"))
    west.wait_imported("web", "used", ["web-1"])
    bystander = _order(west, "beside")
    bystander.establish()
    beside = _serve(west, "beside", bystander)
    west.revoke("used")
    stream.expect_end(DENIED, "revoked")
    west.wait_state("used", "FAILING")
    used.open().expect_end(DENIED, "revoked")
    west.wait_imported("web", "used", ["web-1"])
    passed("revoked while it is used, its stream ends and what was imported stays")
    beside.fence()
    equal(west.peering("beside")["State"], "ACTIVE", "the state of another peering")
    passed("another peering does not notice")

    fresh = _order(west, "used")
    equal(fresh.peer_id, used.peer_id, "PeerID of the new token")
    fresh.establish()
    _serve(west, "used", fresh)
    used.open().expect_end(DENIED, "revoked")
    equal(west.peering("used")["State"], "ACTIVE", "the state while the revoked secret is tried again")
    passed("a new token mends it, and the revoked secret stays useless")


def bound(west):
    """A token that is for one datacenter, used by others."""
    name = "bound"
    dialer = _order(west, name, RemoteDatacenter="dc7")
    equal(_token(west, name, dialer)["RemoteDatacenter"], "dc7", "RemoteDatacenter")
    # The exchange does not say who makes it.
    dialer.establish()
    for wrong in ("dc9", "", "DC7", "dc7 "):
        stream = dialer.stream()
        stream.send(m.opening(dialer.peer_id, dialer.secret, wrong))
        stream.expect_end(DENIED, "dc7")
        equal(stream.raw, [], f"what a dialer of datacenter {wrong!r} is told before its end")
    (refused,) = _refusals(west, name, dialer)
    equal(refused[0], "datacenter", "the cause")
    says(refused[1], "dc7", "dc9")
    equal(_token(west, name, dialer)["State"], "exchanged", "the state of a token that opened nothing")
    passed("a dialer of another datacenter is told so and served nothing")

    dialer.datacenter = "dc7"
    stream = _serve(west, name, dialer)
    equal(west.peering(name)["Remote"]["Datacenter"], "dc7", "Remote.Datacenter")
    other = dialer.stream()
    other.send(m.opening(dialer.peer_id, dialer.secret, "dc9"))
    other.expect_end(DENIED, "dc7")
    stream.fence()
    equal(west.peering(name)["State"], "ACTIVE", "the state of the stream that is right")
    equal(_audit(west, name, dialer), ["made", "exchanged", "refused", "opened"], "the audit")
    passed("the right one is served with the same secret, and stays when a wrong one comes again")


def twice(west):
    """A token that two dialers have."""
    first = _order(west, "twice")
    second = Dialer(first.text)
    first.establish()
    second.exchange_refused(DENIED)
    stream = _serve(west, "twice", first)
    second.exchange_refused(DENIED)
    for secret in (second.token["EstablishmentSecret"], ""):
        second.open(secret=secret).expect_end(DENIED, "secret")
    stream.fence()
    equal(west.peering("twice")["State"], "ACTIVE", "the state of the first dialer's peering")
    equal(_audit(west, "twice", first), ["made", "exchanged", "opened"], "the audit")
    passed("the second dialer of a token gets nothing, and the first keeps its stream")


def reissued(west):
    """A token that automation asks for again and again."""
    name, asked = "again", {"RequestID": "deploy-17"}
    first = _order(west, name, **asked)
    for _ in range(3):
        same = _order(west, name, **asked)
        equal((same.text, same.accessor), (first.text, first.accessor), "the token of the same request")
    equal(len(west.tokens(name)), 1, "tokens of a request that was repeated")
    status, text = west.call("POST", "/v1/peering/token", {"PeerName": name, "TTL": "1h", **asked})
    equal(status, 409, f"the status with other settings ({text})")
    says(text, "deploy-17", "other settings")
    equal(_order(west, name, **asked).text, first.text, "the token after a refused request")
    passed("the same request gives the very same token, and with other settings nothing")

    first.establish()
    stream = _serve(west, name, first)
    status, text = west.call("POST", "/v1/peering/token", {"PeerName": name, **asked})
    equal(status, 409, f"the status after its use ({text})")
    says(text, "deploy-17", "used")
    stream.fence()
    newer = _order(west, name, RequestID="deploy-18")
    require(newer.text != first.text, "another request gave the used token")
    stream.fence()
    newer.establish()
    newest = _serve(west, name, newer)
    newest.fence()
    passed("after its use it is refused, and another request gives another token")

    replaced = _order(west, "replaced", **asked)
    other = _order(west, "replaced")
    status, text = west.call("POST", "/v1/peering/token", {"PeerName": "replaced", **asked})
    equal(status, 409, f"the status after it was replaced ({text})")
    says(text, "replaced")
    replaced.exchange_refused(DENIED)
    other.establish()
    passed("a token without the request id replaces it for good")

    short = _order(west, "short", TTL="1s", **asked)
    _wait_token(west, "short", short, "expired")
    renewed = _order(west, "short", TTL="1s", **asked)
    require(renewed.text != short.text, "an expired token was given out again")
    equal(renewed.peer_id, short.peer_id, "PeerID of the token in its place")
    west.revoke("short")
    status, text = west.call("POST", "/v1/peering/token", {"PeerName": "short", "TTL": "1s", **asked})
    equal(status, 409, f"the status after a revocation ({text})")
    says(text, "revoked")
    passed("an expired token is replaced under its request, a revoked one is not")
