//! Who must confirm a rotation of the root, and what they have confirmed: the registered proxies, by what their
//! streams say, and the peers, by what they answered to the trust bundle.

use peerway_certs::Witnesses;
use peerway_model::{CaRoot, CaRoots, InstanceKey, Peering, PeeringRole, Rotation, Witness, WitnessKind};
use peerway_peering_link::Link;
use peerway_state::Snapshot;
use peerway_store::Reader;
use peerway_xds_server::{Gate, ProxyTrust};
use std::collections::BTreeMap;

/// What a proxy loses when a rotation goes on without it.
const PROXY_LOSES: &str =
    "once the old root is gone, its calls fail until it is connected and has taken the new certificates";
/// What a peer loses when the old root vouches for the new one: it verifies this cluster either way.
const PEER_TRUSTS_OLD: &str =
    "nothing fails; until it is connected again it goes on trusting the old root, whoever holds its key";
/// What a peer that dials us loses when the old root does not vouch for the new one.
const DIALER_LOSES: &str = "it cannot verify this cluster any more and needs a new token (peering generate-token here, establish there)";
/// What a peer that we dial loses when the old root does not vouch for the new one.
const ACCEPTOR_LOSES: &str = "calls between the clusters fail until it has received the new trust bundle";

/// The answers of everybody.
pub(crate) struct Everybody {
    pub(crate) gate: Gate,
    pub(crate) link: Link,
    pub(crate) reader: Reader,
}

impl Witnesses for Everybody {
    fn witnesses(&self, roots: &CaRoots, rotation: &Rotation) -> Vec<Witness> {
        let (Some(old), Some(new)) = (roots.root(&rotation.old_root), roots.root(&rotation.new_root)) else {
            return Vec::new();
        };
        let snapshot = self.reader.snapshot();
        let mut witnesses = self.proxies(&snapshot, old, new);
        let bridged = !new.bridges.is_empty();
        let live = snapshot.peerings().filter(|peering| peering.is_live());
        // Nothing hangs on a token that nobody has used: whoever does verifies this server by the old root, which
        // vouches for the new one, and gets the bundle with the first message.
        let matter = live.filter(|peering| !(bridged && is_unused(&snapshot, peering)));
        witnesses.extend(matter.map(|peering| self.peer(&snapshot, peering, new)));
        witnesses
    }
}

impl Everybody {
    /// Every registered proxy, and every other one that is connected.
    fn proxies(&self, snapshot: &Snapshot, old: &CaRoot, new: &CaRoot) -> Vec<Witness> {
        let mut connected: BTreeMap<InstanceKey, Vec<ProxyTrust>> = BTreeMap::new();
        for trust in self.gate.trusts(old, new) {
            connected.entry(trust.proxy.clone()).or_default().push(trust);
        }
        let mut witnesses = Vec::new();
        for instance in snapshot
            .local_instances()
            .filter(|instance| instance.kind.is_proxy())
        {
            let streams = connected.remove(&instance.key).unwrap_or_default();
            if streams.is_empty() {
                let away = "is not connected: start it, or deregister it if it is gone".to_owned();
                witnesses.push(proxy(&instance.key, Err(away.clone()), Err(away)));
            }
            witnesses.extend(streams.into_iter().map(answer));
        }
        witnesses.extend(connected.into_values().flatten().map(answer));
        witnesses
    }

    fn peer(&self, snapshot: &Snapshot, peering: &Peering, new: &CaRoot) -> Witness {
        let status = self.link.status(&peering.key);
        let bridged = !new.bridges.is_empty();
        let sent = status
            .sent_bundle
            .filter(|sent| sent.bundle.root_pems.contains(&new.pem));
        let trusts = match sent.map(|sent| sent.answer) {
            Some(Some(Ok(()))) => Ok(()),
            Some(Some(Err(reason))) => Err(format!("refused the trust bundle: {reason}")),
            _ if status.connected => Err("has not answered to the trust bundle yet".to_owned()),
            _ if is_unused(snapshot, peering) => Err(
                "its token is not used yet: let the peer use it, or delete the peering and make a new one"
                    .to_owned(),
            ),
            _ => Err(match status.last_error {
                Some(error) => format!("is not connected: {error}"),
                None => "is not connected".to_owned(),
            }),
        };
        Witness {
            kind: WitnessKind::Peer,
            name: if peering.key.partition.is_default() {
                peering.key.name.to_string()
            } else {
                format!("{}/{}", peering.key.partition, peering.key.name)
            },
            id: peering.id.clone(),
            trusts,
            renewed: Ok(()),
            loses: match peering.role {
                _ if bridged => PEER_TRUSTS_OLD,
                PeeringRole::Acceptor => DIALER_LOSES,
                PeeringRole::Dialer => ACCEPTOR_LOSES,
            },
        }
    }
}

/// Whether an acceptor's token was not used yet.
pub(crate) fn is_unused(snapshot: &Snapshot, peering: &Peering) -> bool {
    peering.role == PeeringRole::Acceptor
        && snapshot
            .secrets(&peering.key)
            .is_none_or(|secrets| secrets.pending_stream.is_none() && secrets.active_stream.is_none())
}

fn answer(trust: ProxyTrust) -> Witness {
    proxy(&trust.proxy, trust.trusts, trust.renewed)
}

fn proxy(key: &InstanceKey, trusts: Result<(), String>, renewed: Result<(), String>) -> Witness {
    let name = format!("{} on {}", key.id, key.node.name);
    Witness {
        kind: WitnessKind::Proxy,
        id: name.clone(),
        name,
        trusts,
        renewed,
        loses: PROXY_LOSES,
    }
}
