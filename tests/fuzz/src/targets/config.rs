//! A config entry as JSON or HCL.

use crate::Target;
use crate::world::WORLD;
use peerway_api_types::{config_entry_from_json, config_entry_to_json, hcl, json_object};
use peerway_model::Tenancy;
use peerway_state::{Row, StoredRow, Transaction, apply};
use peerway_store::record;
use std::sync::Arc;

/// One entry. Text that does not begin as a JSON object is read as HCL.
pub const TARGET: Target = Target {
    name: "config-entry",
    run,
    seeds,
};

/// One entry of each kind a line, and the demo's.
const ENTRIES: &str = include_str!("../../seeds/config/entries.jsonl");

fn run(data: &[u8]) {
    let value = match json_object(data) {
        Ok(value) => value,
        Err(_) => match std::str::from_utf8(data).map(hcl::parse) {
            Ok(Ok(value)) => value,
            _ => return,
        },
    };
    let Ok(entry) = config_entry_from_json(&value, &Tenancy::default()) else {
        return;
    };
    let written = config_entry_to_json(&entry, None);
    let again = config_entry_from_json(&written, &Tenancy::default())
        .unwrap_or_else(|error| panic!("its own JSON is refused: {error}: {written}"));
    // Not the entries: sources are written in the order of their precedence.
    assert_eq!(config_entry_to_json(&again, None), written);
    // Kept and found again as the same.
    let bytes = record::encode(&StoredRow {
        row: Row::Config(Arc::new(entry.clone())),
        create_index: 1,
        modify_index: 2,
    });
    let kept = record::decode(&bytes).expect("a kept entry cannot be read");
    assert_eq!(record::encode(&kept), bytes);
    let Row::Config(kept) = kept.row else {
        panic!("it became another row")
    };
    assert_eq!(*kept, entry);
    let key = entry.key();
    let key_bytes = record::encode_key(&peerway_state::RowKey::Config(key.clone()));
    assert_eq!(
        record::decode_key(&key_bytes).expect("its own key cannot be read"),
        peerway_state::RowKey::Config(key)
    );
    let mut snapshot = WORLD.clone();
    let revision = snapshot.revision() + 1;
    let _ = apply(
        &mut snapshot,
        &Transaction::new().put(Row::Config(Arc::new(entry))),
        revision,
    );
}

/// The checked-in entries.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = ENTRIES.lines().map(|line| line.as_bytes().to_vec()).collect();
    for text in [
        include_str!("../../../../demo/west/exported-services.hcl"),
        include_str!("../../../../demo/west/service-intentions.hcl"),
    ] {
        seeds.push(text.as_bytes().to_vec());
    }
    seeds
}
