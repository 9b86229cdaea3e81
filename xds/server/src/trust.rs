//! What a proxy has taken of a change of the root, read from the bytes that it was given and its answers to them.

use crate::piece::Piece;
use peerway_mesh::LEAF_SECRET;
use peerway_model::{CaRoot, InstanceKey};
use peerway_xds_protocol::{DeltaStream, Kind, KindStatus, Versioned};
use std::collections::BTreeMap;

/// What one connected proxy has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyTrust {
    /// The proxy's instance.
    pub proxy: InstanceKey,
    /// Whether everything by which it verifies workloads of this cluster has the new root, or why not.
    pub trusts: Result<(), String>,
    /// Whether the leaf that it shows is one of the new root, or why not.
    pub renewed: Result<(), String>,
}

/// Looks at one stream, whose leaves are signed by `leaf_roots`, by the names of their secrets.
pub(crate) fn look(
    protocol: &DeltaStream<Piece>,
    leaf_roots: &BTreeMap<String, String>,
    old: &CaRoot,
    new: &CaRoot,
) -> (Result<(), String>, Result<(), String>) {
    let status = protocol.status();
    let Some(secrets) = status.kinds.iter().find(|status| status.kind == Kind::Secret) else {
        // Whoever has asked for no certificate so far gets the newest. But it may just have connected and still
        // have those of an earlier stream.
        let settled = if protocol.is_settled() {
            Ok(())
        } else {
            Err("is connected and has not answered for everything yet".to_owned())
        };
        return (settled.clone(), settled);
    };
    let trusts = protocol
        .holding()
        .into_iter()
        .flat_map(|holding| holding.iter(Kind::Secret))
        .filter(|piece| !is_leaf(leaf_roots, piece.name()) && has(piece, old))
        .try_for_each(|piece| {
            if has(piece, new) {
                taken(secrets, piece)
            } else if is_used(secrets, piece.name()) {
                Err(format!("{} was not sent with the new root yet", piece.name()))
            } else {
                Ok(())
            }
        });
    (trusts, renewed(protocol, secrets, leaf_roots, new))
}

fn renewed(
    protocol: &DeltaStream<Piece>,
    secrets: &KindStatus,
    leaf_roots: &BTreeMap<String, String>,
    new: &CaRoot,
) -> Result<(), String> {
    let others = leaf_roots
        .keys()
        .map(String::as_str)
        .filter(|name| *name != LEAF_SECRET);
    for name in [LEAF_SECRET].into_iter().chain(others) {
        if !is_used(secrets, name) {
            continue;
        }
        let leaf = protocol
            .holding()
            .and_then(|holding| holding.get(Kind::Secret, name));
        match leaf {
            Some(leaf) if leaf_roots.get(name) == Some(&new.id) => taken(secrets, leaf)?,
            _ => return Err("was not sent a leaf of the new root yet".to_owned()),
        }
    }
    Ok(())
}

fn is_leaf(leaf_roots: &BTreeMap<String, String>, name: &str) -> bool {
    name == LEAF_SECRET || leaf_roots.contains_key(name)
}

fn is_used(secrets: &KindStatus, name: &str) -> bool {
    secrets.wildcard || secrets.subscribed.iter().any(|subscribed| subscribed == name)
}

/// Whether the proxy took this very version, if it uses the secret at all.
fn taken(secrets: &KindStatus, piece: &Piece) -> Result<(), String> {
    let (name, version) = (piece.name(), piece.version());
    let is_it = |(known, accepted): &(String, String)| known == name && accepted == version;
    if !is_used(secrets, name) || secrets.accepted.iter().any(is_it) {
        return Ok(());
    }
    match secrets
        .refused
        .iter()
        .find(|refusal| refusal.name == name && refusal.version == version)
    {
        Some(refusal) => Err(format!("refused {name}: {}", refusal.reason.message)),
        None => Err(format!("has not taken {name} yet")),
    }
}

/// Whether the encoded secret holds this certificate: it is there as PEM text.
fn has(piece: &Piece, root: &CaRoot) -> bool {
    let pem = root.pem.trim_end().as_bytes();
    !pem.is_empty() && piece.0.bytes.windows(pem.len()).any(|window| window == pem)
}
