//! Who has taken which change: the proxies by their streams, the peers by what they have answered to what is exported
//! to them.

use crate::rotation::is_unused;
use peerway_api_server::Receipts;
use peerway_model::{
    Instance, InstanceKey, LastRefusal, PeerReceipt, Peering, ProxyConnection, ProxyReport, Receipt,
    ReceiptState,
};
use peerway_peering_link::Link;
use peerway_state::{Revision, Snapshot};
use peerway_store::Reader;
use peerway_xds_server::{Gate, ProxyStatus};
use std::collections::BTreeMap;

/// Everybody who takes changes.
pub(crate) struct Takers {
    pub(crate) gate: Gate,
    pub(crate) link: Link,
    pub(crate) reader: Reader,
}

impl Receipts for Takers {
    fn receipt(&self, change: Revision) -> Receipt {
        let snapshot = self.reader.snapshot();
        let live = snapshot.peerings().filter(|peering| peering.is_live());
        Receipt {
            proxies: self.gate.receipts(change),
            peers: live
                .map(|peering| self.peer(&snapshot, peering, change))
                .collect(),
        }
    }

    fn proxies(&self) -> Vec<ProxyReport> {
        let mut connected: BTreeMap<InstanceKey, Vec<ProxyStatus>> = BTreeMap::new();
        for status in self.gate.statuses() {
            connected.entry(status.proxy.clone()).or_default().push(status);
        }
        let snapshot = self.reader.snapshot();
        let mut reports = Vec::new();
        for instance in snapshot
            .local_instances()
            .filter(|instance| instance.kind.is_proxy())
        {
            let streams = connected.remove(&instance.key).unwrap_or_default();
            if streams.is_empty() {
                reports.push(report(&instance.key, Some(instance), None));
            }
            let streams = streams.into_iter();
            reports.extend(streams.map(|status| report(&instance.key, Some(instance), Some(status))));
        }
        for (proxy, streams) in connected {
            reports.extend(
                streams
                    .into_iter()
                    .map(|status| report(&proxy, None, Some(status))),
            );
        }
        reports
    }
}

impl Takers {
    /// What a peer has answered for. One that is cut off has had what it answered for before.
    fn peer(&self, snapshot: &Snapshot, peering: &Peering, change: Revision) -> PeerReceipt {
        let status = self.link.status(&peering.key);
        let revision = status.freshness.delivery.acked_revision;
        let answered = revision.is_some_and(|revision| revision >= change);
        let mut refusals = status.freshness.delivery.rejected.iter();
        let (state, reason) = match (answered, refusals.next()) {
            (true, None) => (ReceiptState::Applied, String::new()),
            (true, Some((what, rejection))) => (
                ReceiptState::Refused,
                format!("refused {what}: {}", rejection.reason),
            ),
            (false, _) if status.connected => (
                ReceiptState::Pending,
                "has not answered for everything yet".to_owned(),
            ),
            (false, _) if is_unused(snapshot, peering) => (
                ReceiptState::Disconnected,
                "has not used its token yet: it gets everything once it has".to_owned(),
            ),
            (false, _) => (
                ReceiptState::Pending,
                match status.last_error {
                    Some(error) => format!("is not connected: {error}"),
                    None => "is not connected".to_owned(),
                },
            ),
        };
        PeerReceipt {
            peering: peering.key.clone(),
            state,
            reason,
            revision,
        }
    }
}

fn report(proxy: &InstanceKey, instance: Option<&Instance>, status: Option<ProxyStatus>) -> ProxyReport {
    ProxyReport {
        proxy: proxy.clone(),
        registered: instance.map(|instance| {
            let service = instance
                .destination_key()
                .unwrap_or_else(|| instance.service_key());
            (instance.kind, service)
        }),
        connection: status.map(connection),
    }
}

fn connection(status: ProxyStatus) -> ProxyConnection {
    let (major, minor, patch) = status.envoy_version;
    ProxyConnection {
        envoy_version: format!("{major}.{minor}.{patch}"),
        since: status.connected_since.as_millis(),
        settled: status.settled,
        revision: status.revision,
        pushes: status.pushes,
        acks: status.acks,
        nacks: status.nacks,
        refused: status.refused,
        last_refusal: status.last_nack.map(|nack| LastRefusal {
            kind: nack.kind.label(),
            names: nack.resources.into_iter().map(|(name, _)| name).collect(),
            reason: nack.reason.message,
            at: nack.at.as_millis(),
        }),
    }
}
