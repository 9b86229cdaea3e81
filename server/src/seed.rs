//! What a server writes before it serves: its own node, and what its settings file lists.

use peerway_api_types::{config_entry_from_json, service_registration_from_json};
use peerway_model::key::{NodeKey, Origin, Tenancy};
use peerway_model::name::Partition;
use peerway_model::server::{server_instance, server_service};
use peerway_model::{ConfigEntry, InstanceKey, Invalid, Node};
use peerway_state::{Row, RowKey, Snapshot, Transaction};
use peerway_store::{CommitError, Reader, Writer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use thiserror::Error;

use crate::Settings;

/// What a settings file lists could not be written.
#[derive(Debug, Error)]
pub enum SeedError {
    /// An item is wrong.
    #[error("{list}[{index}]: {cause}")]
    Item {
        /// The setting.
        list: &'static str,
        /// Which item of it, from 0.
        index: usize,
        /// What is wrong with it.
        cause: Invalid,
    },
    /// This server's own row is wrong.
    #[error("cannot describe this server: {0}")]
    Server(Invalid),
    /// The store refused it.
    #[error("cannot write what the settings list: {0}")]
    Commit(#[from] CommitError),
}

/// The key of this server's node.
fn node_key(settings: &Settings) -> NodeKey {
    NodeKey {
        origin: Origin::Local,
        partition: Partition::default(),
        name: settings.node_name.clone(),
    }
}

/// The row of this server's node; it keeps the id that it was given first.
pub(crate) fn node(settings: &Settings, snapshot: &Snapshot) -> Node {
    let key = node_key(settings);
    let id = snapshot.node(&key).and_then(|node| node.id.clone());
    let tagged = |tag: &str, addr: IpAddr| (tag.to_owned(), addr.to_string());
    Node {
        key,
        id: Some(id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string())),
        address: settings.advertise_addr.to_string(),
        datacenter: settings.datacenter.clone(),
        tagged_addresses: BTreeMap::from([
            tagged("lan", settings.advertise_addr),
            tagged("wan", settings.advertise_addr_wan),
        ]),
        meta: BTreeMap::new(),
        locality: settings.locality.clone(),
    }
}

/// What removes the row of a server of another name: state belongs to one server, which has had that name before.
fn former(snapshot: &Snapshot, own: &InstanceKey) -> Result<Vec<RowKey>, Invalid> {
    let service = server_service()?;
    Ok(snapshot
        .instances_of(&service)
        .filter(|server| server.key != *own)
        .map(|server| RowKey::Instance(server.key.clone()))
        .collect())
}

/// Writes the node, this server's own instance of the service `consul`, bootstrap entries that do not exist yet, and services.
///
/// `grpc_tls` is the port of the peering endpoint, if there is one.
///
/// # Errors
/// The first item that is wrong; nothing is written then.
pub(crate) async fn seed(
    settings: &Settings,
    grpc_tls: Option<u16>,
    writer: &Writer,
    reader: &Reader,
) -> Result<(), SeedError> {
    let snapshot = reader.snapshot();
    let node = node(settings, &snapshot);
    let key = node.key.clone();
    let mut transaction = Transaction::new().put(Row::Node(Arc::new(node)));
    let own = server_instance(&key, grpc_tls).map_err(SeedError::Server)?;
    for row in former(&snapshot, &own.key).map_err(SeedError::Server)? {
        transaction = transaction.delete(row);
    }
    transaction = transaction.put(Row::Instance(Arc::new(own)));
    for (index, value) in settings.bootstrap.iter().enumerate() {
        let item = |cause| SeedError::Item {
            list: "config_entries.bootstrap",
            index,
            cause,
        };
        let entry = config_entry_from_json(value, &Tenancy::default()).map_err(item)?;
        entry.validate().map_err(item)?;
        if let ConfigEntry::InlineCertificate(own) = &entry {
            peerway_certs::check_certificate(&own.certificate, &own.key).map_err(item)?;
        }
        if snapshot.config(&entry.key()).is_none() {
            transaction = transaction.put(Row::Config(Arc::new(entry)));
        }
    }
    for (index, value) in settings.services.iter().enumerate() {
        let item = |cause| SeedError::Item {
            list: "services",
            index,
            cause,
        };
        for instance in instances(value, &key, &snapshot, &transaction).map_err(item)? {
            transaction = transaction.put(Row::Instance(Arc::new(instance)));
        }
    }
    writer.commit(transaction).await?;
    Ok(())
}

/// The instances that one listed service becomes; ports given to sidecars are free on the node and in this
/// transaction, and a sidecar that exists keeps its port.
fn instances(
    value: &Value,
    node: &NodeKey,
    snapshot: &Snapshot,
    transaction: &Transaction,
) -> Result<Vec<peerway_model::Instance>, Invalid> {
    let service = service_registration_from_json(value, &Tenancy::default())?;
    let planned = transaction.ops.iter().filter_map(|op| match op {
        peerway_state::Op::Put(Row::Instance(instance)) => Some(instance.port),
        _ => None,
    });
    let taken = snapshot
        .instances_on(node)
        .map(|instance| instance.port)
        .chain(planned)
        .collect();
    let sidecar = peerway_api_types::ServiceRegistration::sidecar_id(&service.id)?;
    let kept = snapshot
        .instance(&peerway_model::InstanceKey {
            node: node.clone(),
            id: sidecar,
        })
        .map(|instance| instance.port);
    service.instances(node, &taken, kept)
}
