//! The bodies of the HTTP API that are not config entries: registrations and what makes peerings and roots.

use crate::Target;
use crate::world::WORLD;
use peerway_api_types::peering::{establish_body_from_json, token_body_from_json};
use peerway_api_types::rotation::ca_config_from_json;
use peerway_api_types::{json_object, service_registration_from_json};
use peerway_model::{NodeKey, NodeName, Origin, Partition, Tenancy};
use peerway_state::{Row, StoredRow, Transaction, apply};
use peerway_store::record;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One body, read as each of them.
pub const TARGET: Target = Target {
    name: "registration",
    run,
    seeds,
};

fn run(data: &[u8]) {
    let Ok(value) = json_object(data) else { return };
    if let Ok(body) = token_body_from_json(&value, &Partition::default()) {
        assert!(!body.peer.as_str().is_empty());
    }
    let _ = establish_body_from_json(&value, &Partition::default());
    let _ = ca_config_from_json(&value);
    let Ok(registration) = service_registration_from_json(&value, &Tenancy::default()) else {
        return;
    };
    let node = NodeKey {
        origin: Origin::Local,
        partition: Partition::default(),
        name: NodeName::new("node-1").unwrap(),
    };
    let Ok(instances) = registration.instances(&node, &BTreeSet::new(), None) else {
        return;
    };
    let mut transaction = Transaction::new();
    for instance in instances {
        let bytes = record::encode(&StoredRow {
            row: Row::Instance(Arc::new(instance.clone())),
            create_index: 1,
            modify_index: 1,
        });
        let kept = record::decode(&bytes).expect("a kept instance cannot be read");
        let Row::Instance(again) = kept.row else {
            panic!("it became another row")
        };
        assert_eq!(*again, instance);
        transaction = transaction.put(Row::Instance(Arc::new(instance)));
    }
    let mut snapshot = WORLD.clone();
    let revision = snapshot.revision() + 1;
    let _ = apply(&mut snapshot, &transaction, revision);
}

fn seeds() -> Vec<Vec<u8>> {
    let bodies = include_str!("../../seeds/registration/bodies.jsonl");
    bodies.lines().map(|line| line.as_bytes().to_vec()).collect()
}
