//! `/v1/catalog/register` and `/v1/catalog/deregister`: nodes that no agent speaks for, with what is on them. What is
//! outside the mesh is registered like this.

use crate::agent::{is_server, unhurried};
use crate::answer::{json, with_change};
use crate::ask::{Ask, read_body};
use crate::refusal::Refusal;
use crate::routes::{App, Shared};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use peerway_api_types::registration::{
    CatalogDeregistration, CatalogRegistration, CheckRegistration, Deregistered, NodeRegistration,
    catalog_deregistration_from_json, catalog_registration_from_json,
};
use peerway_model::{Check, CheckKey, Instance, InstanceKey, Invalid, Node, NodeKey, Origin};
use peerway_state::{Row, RowKey, Snapshot, Transaction};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) async fn register(State(app): State<App>, ask: Ask, body: Body) -> Result<Response, Refusal> {
    let value = read_body(body).await?;
    let datacenter = &app.parts.node.datacenter;
    let registration =
        catalog_registration_from_json(&value, &ask.tenancy()?, datacenter).map_err(Refusal::body)?;
    unhurried(async move {
        let _turn = app.registering.lock().await;
        let snapshot = app.parts.reader.snapshot();
        let transaction = app.cataloguing(&snapshot, &registration).map_err(Refusal::body)?;
        let committed = app.parts.writer.commit(transaction).await?;
        Ok(with_change(json(&ask, &true)?, committed.revision))
    })
    .await
}

/// What is not there is gone already.
pub(crate) async fn deregister(State(app): State<App>, ask: Ask, body: Body) -> Result<Response, Refusal> {
    let value = read_body(body).await?;
    let datacenter = &app.parts.node.datacenter;
    let what =
        catalog_deregistration_from_json(&value, &ask.tenancy()?, datacenter).map_err(Refusal::body)?;
    let key = app.leaving(what).map_err(Refusal::body)?;
    unhurried(async move {
        let _turn = app.registering.lock().await;
        let committed = app.parts.writer.commit(Transaction::new().delete(key)).await?;
        Ok(with_change(json(&ask, &true)?, committed.revision))
    })
    .await
}

impl Shared {
    fn cataloguing(
        &self,
        snapshot: &Snapshot,
        registration: &CatalogRegistration,
    ) -> Result<Transaction, Invalid> {
        let node = NodeKey {
            origin: Origin::Local,
            partition: registration.tenancy.partition.clone(),
            name: registration.node.name.clone(),
        };
        let mut transaction = Transaction::new();
        if let Some(row) = self.node_row(snapshot, &node, &registration.node)? {
            transaction = transaction.put(Row::Node(Arc::new(row)));
        }
        let own = match &registration.service {
            None => None,
            // Nothing is free or taken on a node that gives out no ports.
            Some(service) => service
                .instances(&node, &BTreeSet::new(), None)
                .map_err(|error| error.within("Service"))?
                .into_iter()
                .next(),
        };
        let checks: Vec<Check> = registration
            .checks
            .iter()
            .map(|check| check_row(snapshot, &node, own.as_ref(), check))
            .collect::<Result<_, _>>()?;
        if let Some(instance) = own {
            transaction = transaction.put(Row::Instance(Arc::new(instance)));
        }
        Ok(checks.into_iter().fold(transaction, |transaction, check| {
            transaction.put(Row::Check(Arc::new(check)))
        }))
    }

    /// The node as it is to be written, if it is.
    fn node_row(
        &self,
        snapshot: &Snapshot,
        key: &NodeKey,
        given: &NodeRegistration,
    ) -> Result<Option<Node>, Invalid> {
        let known = snapshot.node(key).is_some();
        let ours = &self.parts.node;
        if given.name == ours.key.name {
            if given.address != ours.address {
                return Err(Invalid::new(
                    "Address",
                    format!(
                        "is not that of {:?}, which is this server's own node and has {}: choose another name for the node",
                        given.name.as_str(),
                        ours.address
                    ),
                ));
            }
            return Ok((!known).then(|| Node {
                key: key.clone(),
                ..ours.clone()
            }));
        }
        if known && given.skip_update {
            return Ok(None);
        }
        Ok(Some(Node {
            key: key.clone(),
            id: given.id.clone(),
            address: given.address.clone(),
            datacenter: ours.datacenter.clone(),
            tagged_addresses: given.tagged_addresses.clone(),
            meta: given.meta.clone(),
            locality: given.locality.clone(),
        }))
    }

    fn leaving(&self, what: CatalogDeregistration) -> Result<RowKey, Invalid> {
        let CatalogDeregistration {
            partition,
            node,
            what,
        } = what;
        let is_own = node == self.parts.node.key.name;
        let node = NodeKey {
            origin: Origin::Local,
            partition,
            name: node,
        };
        Ok(match what {
            Deregistered::Check(id) => RowKey::Check(CheckKey { node, id }),
            Deregistered::Instance(id) => {
                let key = InstanceKey { node, id };
                if is_own && is_server(&key) {
                    return Err(Invalid::new("ServiceID", "is this server itself, which stays"));
                }
                RowKey::Instance(key)
            }
            Deregistered::Node if is_own => {
                return Err(Invalid::new(
                    "Node",
                    "is this server's own node, which stays: give a ServiceID or a CheckID",
                ));
            }
            Deregistered::Node => RowKey::Node(node),
        })
    }
}

/// A check of the node, or of an instance that is registered with it or was before.
fn check_row(
    snapshot: &Snapshot,
    node: &NodeKey,
    own: Option<&Instance>,
    check: &CheckRegistration,
) -> Result<Check, Invalid> {
    let service = match &check.instance {
        None => None,
        Some(id) => {
            let key = InstanceKey {
                node: node.clone(),
                id: id.clone(),
            };
            let instance = own.filter(|own| own.key == key);
            let instance = instance.or_else(|| snapshot.instance(&key).map(|held| &*held.row));
            let Some(instance) = instance else {
                return Err(Invalid::new(
                    "Checks.ServiceID",
                    format!(
                        "is {:?}, which is not registered on {:?}: register it first or with the check",
                        id.as_str(),
                        node.name.as_str()
                    ),
                ));
            };
            Some((instance.namespace.clone(), instance.service.clone()))
        }
    };
    Ok(Check {
        key: CheckKey {
            node: node.clone(),
            id: check.id.clone(),
        },
        name: check.name.clone(),
        status: check.status,
        notes: check.notes.clone(),
        output: check.output.clone(),
        instance: check.instance.clone(),
        service,
    })
}
