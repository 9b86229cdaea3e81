//! A stream of an Envoy: its requests as bytes, in any order, while what it should hold changes.

use crate::Target;
use crate::chunks::{Chunk, join, split};
use peerway_model::NodeName;
use peerway_xds_protocol::{DeltaStream, Holding, Kind, Limits, Versioned};
use peerway_xds_server::parts::read;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One stream.
pub const TARGET: Target = Target {
    name: "xds-stream",
    run,
    seeds,
};

/// Small enough for a fuzzer to reach.
const LIMITS: Limits = Limits {
    names_per_request: 40,
    subscriptions_per_kind: 50,
    name_bytes: 64,
};

#[derive(Clone, Debug)]
struct Item {
    name: Arc<str>,
    version: Arc<str>,
    child: Option<Kind>,
}

impl Versioned for Item {
    fn name(&self) -> &str {
        &self.name
    }
    fn version(&self) -> &str {
        &self.version
    }
    fn child(&self) -> Option<(Kind, &str)> {
        self.child.map(|kind| (kind, &*self.name))
    }
}

/// A holding of one resource a byte: kind, name and version.
fn holding(bytes: &[u8]) -> Holding<Item> {
    let item = |byte: &u8| {
        let kind = Kind::ALL[usize::from(*byte) % Kind::ALL.len()];
        let child = match kind {
            Kind::Cluster => Some(Kind::Endpoints),
            Kind::Listener => Some(Kind::Route),
            _ => None,
        };
        let (name, version) = (format!("n{}", byte / 5 % 7), format!("v{}", byte / 35));
        let item = Item {
            name: name.into(),
            version: version.into(),
            child,
        };
        (kind, item)
    };
    bytes.iter().map(item).collect()
}

fn run(data: &[u8]) {
    let node = NodeName::new("node-1").unwrap();
    let mut stream: DeltaStream<Item> = DeltaStream::new(LIMITS);
    let mut open: Vec<(Kind, String)> = Vec::new();
    for Chunk { tag, bytes } in split(data).take(64) {
        if tag % 4 == 0 {
            stream.set_holding(holding(bytes));
        } else {
            let Ok((_, mut request)) = read(bytes, &node) else {
                continue;
            };
            // A fuzzer does not guess nonces: one form of step answers what is open.
            if tag % 4 == 3
                && let Some((_, nonce)) = open.iter().find(|(kind, _)| *kind == request.kind)
            {
                request.nonce.clone_from(nonce);
            }
            let (kind, nonce) = (request.kind, request.nonce.clone());
            let Ok(events) = stream.on_request(request) else {
                return;
            };
            assert!(events.len() <= 2, "{events:?}");
            open.retain(|(of, open)| !(*of == kind && *open == nonce));
        }
        for response in stream.next_responses() {
            assert!(
                !open.iter().any(|(kind, _)| *kind == response.kind),
                "two unanswered responses"
            );
            let names: BTreeSet<&str> = response.resources.iter().map(Versioned::name).collect();
            assert_eq!(
                names.len(),
                response.resources.len(),
                "a resource is sent twice at once"
            );
            assert!(
                !response.removed.iter().any(|name| names.contains(name.as_str())),
                "sent and removed at once"
            );
            open.push((response.kind, response.nonce));
        }
        for kind in stream.status().kinds {
            assert!(kind.subscribed.len() <= LIMITS.subscriptions_per_kind);
        }
    }
}

/// A field of a protobuf message: a text or an inner message. All that is written here is shorter than 128 bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// A small number as a field.
fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// `envoy.config.core.v3.Node` of an Envoy 1.36.2: id, metadata.node_name and build version.
fn node() -> Vec<u8> {
    let version = [number(1, 1), number(2, 36), number(3, 2)].concat();
    let name = [field(1, b"node_name"), field(2, &field(3, b"node-1"))].concat();
    [
        field(1, b"web-sidecar-proxy"),
        field(3, &field(1, &name)),
        field(8, &field(1, &version)),
    ]
    .concat()
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for kind in Kind::ALL {
        let url = field(2, kind.type_url().as_bytes());
        let known = [field(1, b"n1"), field(2, b"v0")].concat();
        let wanted = [field(3, b"*"), field(3, b"n1"), field(3, b"n2"), field(5, &known)].concat();
        let first = [field(1, &node()), url.clone(), wanted].concat();
        let more = [
            url.clone(),
            field(3, b"n3"),
            field(4, b"n1"),
            field(6, b"00000001"),
        ]
        .concat();
        let error = [number(1, 13), field(2, b"bad")].concat();
        let nack = [url, field(6, b"00000002"), field(7, &error)].concat();
        seeds.push(join([(1, first.as_slice())]));
        seeds.push(join([
            (1, first.as_slice()),
            (0, b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09"),
            (3, &more),
            (0, b"\x25\x26\x27"),
            (3, &nack),
            (3, &more),
        ]));
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_read_and_name_the_proxy() {
        let default = NodeName::new("elsewhere").unwrap();
        for seed in seeds() {
            let first = split(&seed).next().unwrap();
            let (proxy, request) = read(first.bytes, &default).unwrap();
            let proxy = proxy.unwrap();
            assert_eq!(
                (proxy.id.as_str(), proxy.node.name.as_str()),
                ("web-sidecar-proxy", "node-1")
            );
            assert_eq!(request.subscribe, ["*", "n1", "n2"]);
        }
    }
}
