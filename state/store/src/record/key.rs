//! Keys as bytes: the kind and the parts of the key, separated by `#`.
//!
//! `80-instance#local#default#n1#web-1`, `80-instance#peer#west#default#n1#web-1`. A byte up to and including `$` is
//! written as `$` and two hex digits. Both signs sort before every byte that stays as it is, so keys sort as
//! [`RowKey`]s do, except that kinds of config entries sort by name.

use crate::storage::StorageError;
use peerway_model::{
    CheckId, CheckKey, ConfigKey, ConfigKind, InstanceId, InstanceKey, Namespace, NodeKey, NodeName, Origin,
    Partition, PeerName, PeeringKey, ServiceKey, ServiceName,
};
use peerway_state::RowKey;

const SEPARATOR: u8 = b'#';
const ESCAPE: u8 = b'$';

// The numbers give the order in which rows are loaded; a new kind finds a place between two of them.
const ROOTS: &str = "10-roots";
const CA_KEY: &str = "20-ca-key";
const CONFIG: &str = "30-config";
const PEERING: &str = "40-peering";
const SECRETS: &str = "50-secrets";
const GRANTS: &str = "55-grants";
const BUNDLE: &str = "60-bundle";
const NODE: &str = "70-node";
const INSTANCE: &str = "80-instance";
const CHECK: &str = "90-check";
const VIRTUAL_ADDRESS: &str = "92-virtual-address";
const AUDIT: &str = "95-audit";
const LOCAL: &str = "local";
const PEER: &str = "peer";

/// The bytes that a row is kept under. Different keys have different bytes, no key's bytes begin another's of the
/// same kind, and the bytes are valid UTF-8, printable when the names in them are.
pub fn encode_key(key: &RowKey) -> Vec<u8> {
    match key {
        RowKey::Roots => joined(&[ROOTS]),
        RowKey::CaKey(root_id) => joined(&[CA_KEY, root_id]),
        RowKey::Config(ConfigKey {
            kind,
            partition,
            namespace,
            name,
        }) => joined(&[CONFIG, kind.as_str(), partition.as_str(), namespace, name]),
        RowKey::Peering(key) => of_peering(PEERING, key),
        RowKey::Secrets(key) => of_peering(SECRETS, key),
        RowKey::Grants(key) => of_peering(GRANTS, key),
        RowKey::Bundle(key) => of_peering(BUNDLE, key),
        RowKey::Node(key) => on_node(NODE, key, None),
        RowKey::Instance(InstanceKey { node, id }) => on_node(INSTANCE, node, Some(id.as_str())),
        RowKey::Check(CheckKey { node, id }) => on_node(CHECK, node, Some(id.as_str())),
        RowKey::VirtualAddress(key) => of_service(VIRTUAL_ADDRESS, key),
        // As many digits as the largest number has, so that keys sort as numbers do.
        RowKey::Audit(number) => joined(&[AUDIT, &format!("{number:020}")]),
    }
}

/// The key that [`encode_key`] made these bytes of. Never panics, whatever the bytes are.
///
/// # Errors
/// [`StorageError::Corrupt`] when `encode_key` makes these bytes of no key.
pub fn decode_key(bytes: &[u8]) -> Result<RowKey, StorageError> {
    parse(bytes).map_err(|cause| StorageError::Corrupt {
        what: format!("the key {:?}", String::from_utf8_lossy(bytes)),
        cause,
    })
}

fn of_peering(kind: &str, key: &PeeringKey) -> Vec<u8> {
    joined(&[kind, key.partition.as_str(), key.name.as_str()])
}

fn on_node(kind: &str, node: &NodeKey, id: Option<&str>) -> Vec<u8> {
    let mut parts = vec![kind];
    match &node.origin {
        Origin::Local => parts.push(LOCAL),
        Origin::Peer(peer) => parts.extend([PEER, peer.as_str()]),
    }
    parts.extend([node.partition.as_str(), node.name.as_str()]);
    parts.extend(id);
    joined(&parts)
}

fn of_service(kind: &str, key: &ServiceKey) -> Vec<u8> {
    let mut parts = vec![kind];
    match &key.origin {
        Origin::Local => parts.push(LOCAL),
        Origin::Peer(peer) => parts.extend([PEER, peer.as_str()]),
    }
    parts.extend([key.partition.as_str(), key.namespace.as_str(), key.name.as_str()]);
    joined(&parts)
}

fn joined(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            bytes.push(SEPARATOR);
        }
        for &byte in part.as_bytes() {
            if byte <= ESCAPE {
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 0xf)];
                bytes.extend([ESCAPE, digit(byte >> 4), digit(byte)]);
            } else {
                bytes.push(byte);
            }
        }
    }
    bytes
}

fn parse(bytes: &[u8]) -> Result<RowKey, String> {
    let parts = bytes
        .split(|byte| *byte == SEPARATOR)
        .map(unescape)
        .collect::<Result<Vec<String>, String>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        [ROOTS] => Ok(RowKey::Roots),
        [CA_KEY, root_id] => Ok(RowKey::CaKey((*root_id).to_owned())),
        [CONFIG, kind, partition, namespace, name] => Ok(RowKey::Config(ConfigKey {
            kind: named(ConfigKind::parse(kind))?,
            partition: named(Partition::new(partition))?,
            namespace: (*namespace).to_owned(),
            name: (*name).to_owned(),
        })),
        [PEERING, rest @ ..] => peering(rest).map(RowKey::Peering),
        [SECRETS, rest @ ..] => peering(rest).map(RowKey::Secrets),
        [GRANTS, rest @ ..] => peering(rest).map(RowKey::Grants),
        [BUNDLE, rest @ ..] => peering(rest).map(RowKey::Bundle),
        [NODE, rest @ ..] => node(rest).map(RowKey::Node),
        [INSTANCE, rest @ .., id] => Ok(RowKey::Instance(InstanceKey {
            node: node(rest)?,
            id: named(InstanceId::new(id))?,
        })),
        [CHECK, rest @ .., id] => Ok(RowKey::Check(CheckKey {
            node: node(rest)?,
            id: named(CheckId::new(id))?,
        })),
        [VIRTUAL_ADDRESS, rest @ ..] => service(rest).map(RowKey::VirtualAddress),
        [AUDIT, number] => numbered(number).map(RowKey::Audit),
        _ => Err("no kind of row has such a key".to_owned()),
    }
}

fn numbered(digits: &str) -> Result<u64, String> {
    let number: u64 = digits.parse().map_err(|_| "it is not a number".to_owned())?;
    if format!("{number:020}") == digits {
        Ok(number)
    } else {
        Err("a number has twenty digits".to_owned())
    }
}

fn peering(parts: &[&str]) -> Result<PeeringKey, String> {
    match parts {
        [partition, name] => Ok(PeeringKey {
            partition: named(Partition::new(partition))?,
            name: named(PeerName::new(name))?,
        }),
        _ => Err("a peering has a partition and a name".to_owned()),
    }
}

fn origin<'a, 'b>(parts: &'b [&'a str]) -> Result<(Origin, &'b [&'a str]), String> {
    match parts {
        [LOCAL, rest @ ..] => Ok((Origin::Local, rest)),
        [PEER, peer, rest @ ..] => Ok((Origin::Peer(named(PeerName::new(peer))?), rest)),
        _ => Err("an origin is local or a peer".to_owned()),
    }
}

fn service(parts: &[&str]) -> Result<ServiceKey, String> {
    let (origin, rest) = origin(parts)?;
    match rest {
        [partition, namespace, name] => Ok(ServiceKey {
            origin,
            partition: named(Partition::new(partition))?,
            namespace: named(Namespace::new(namespace))?,
            name: named(ServiceName::new(name))?,
        }),
        _ => Err("a service has a partition, a namespace and a name".to_owned()),
    }
}

fn node(parts: &[&str]) -> Result<NodeKey, String> {
    let (origin, rest) = origin(parts)?;
    match rest {
        [partition, name] => Ok(NodeKey {
            origin,
            partition: named(Partition::new(partition))?,
            name: named(NodeName::new(name))?,
        }),
        _ => Err("a node has a partition and a name".to_owned()),
    }
}

fn named<T>(made: Result<T, peerway_model::Invalid>) -> Result<T, String> {
    made.map_err(|invalid| invalid.to_string())
}

/// The text of a part. Only what `joined` writes is accepted, so that no key has two spellings.
fn unescape(part: &[u8]) -> Result<String, String> {
    let mut text = Vec::with_capacity(part.len());
    let mut rest = part;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte > ESCAPE {
            text.push(byte);
            continue;
        }
        let (Some(value), true) = (rest.get(..2).and_then(hex), byte == ESCAPE) else {
            return Err("a byte up to '$' must be written as '$' and two hex digits".to_owned());
        };
        if value > ESCAPE {
            return Err("only a byte up to '$' is written as hex digits".to_owned());
        }
        text.push(value);
        rest = &rest[2..];
    }
    String::from_utf8(text).map_err(|_| "it is not valid UTF-8".to_owned())
}

fn hex(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | digit)
    })
}
