"""The HTTP API of the Peerway under test."""

import json
import urllib.error
import urllib.request

from report import LIMIT, Failed, equal, eventually, require


class Peerway:
    """One running Peerway."""

    def __init__(self, http, datacenter):
        self.http, self.datacenter = http, datacenter

    def call(self, method, path, body=None):
        """The status and the text of an answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.http}{path}", data=data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=LIMIT) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ok(self, method, path, body=None):
        """The JSON of an answer that has to be 200; None for an empty one."""
        status, text = self.call(method, path, body)
        require(status == 200, f"{method} {path} answered {status}: {text}")
        return json.loads(text) if text.strip() else None

    def headers(self, path):
        """The headers of an answer that has to be 200."""
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=LIMIT) as answer:
            return answer.headers

    def trust_domain(self):
        """The trust domain of this cluster."""
        return self.ok("GET", "/v1/connect/ca/roots")["TrustDomain"]

    def roots(self):
        """The PEM texts of this cluster's roots."""
        return [root["RootCert"] for root in self.ok("GET", "/v1/connect/ca/roots")["Roots"]]

    def token(self, name, **terms):
        """A new token for a peer."""
        return self.ok("POST", "/v1/peering/token", {"PeerName": name, **terms})["PeeringToken"]

    def tokens(self, name):
        """The tokens of a peering, without their secrets."""
        return self.ok("GET", f"/v1/peerway/peering-tokens/{name}")

    def revoke(self, name):
        """Revokes all tokens of a peering."""
        return self.ok("DELETE", f"/v1/peerway/peering-tokens/{name}?all")["Revoked"]

    def establish(self, name, token):
        """Status and text of using a token."""
        return self.call("POST", "/v1/peering/establish", {"PeerName": name, "PeeringToken": token})

    def peering(self, name):
        """A peering, or None."""
        status, text = self.call("GET", f"/v1/peering/{name}")
        if status == 404:
            return None
        require(status == 200, f"peering {name} answered {status}: {text}")
        return json.loads(text)

    def wait_state(self, name, state):
        """Waits until a peering is in a state; the peering."""

        def look():
            peering = self.peering(name)
            found = peering and peering["State"]
            if found != state:
                raise Failed(f"it is {found}")
            return peering or True

        return eventually(f"peering {name} to be {state}", look)

    def delete(self, name):
        """Deletes a peering."""
        status, text = self.call("DELETE", f"/v1/peering/{name}")
        require(status == 200, f"deleting {name} answered {status}: {text}")

    def imported(self, service, peer, kind="service"):
        """Instances of a service that a peer exports."""
        return self.ok("GET", f"/v1/health/{kind}/{service}?peer={peer}")

    def wait_imported(self, service, peer, ids):
        """Waits until exactly these instances are imported; the instances."""

        def look():
            found = self.imported(service, peer)
            equal(sorted(one["Service"]["ID"] for one in found), sorted(ids), f"instances of {service}")
            return found or True

        return eventually(f"{service} of {peer}", look)

    def local(self):
        """Everything local that a peer must not be able to touch."""
        services = self.ok("GET", "/v1/catalog/services")
        health = {name: self.ok("GET", f"/v1/health/service/{name}") for name in services}
        return {
            "agent": self.ok("GET", "/v1/agent/services"),
            "catalog": services,
            "health": health,
            "roots": self.ok("GET", "/v1/connect/ca/roots"),
        }

    def register(self, body):
        """Registers a service."""
        self.ok("PUT", "/v1/agent/service/register", body)

    def export(self, *services):
        """Writes who may see what: (service, peer) pairs."""
        entries = {}
        for service, peer in services:
            entries.setdefault(service, []).append({"Peer": peer})
        listed = [{"Name": name, "Consumers": peers} for name, peers in entries.items()]
        self.ok("PUT", "/v1/config", {"Kind": "exported-services", "Name": "default", "Services": listed})
