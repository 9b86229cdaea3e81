//! A stored row and its key, as a damaged or older file may have them.

use crate::Target;
use crate::world::{ATTACKER, WORLD, peering};
use peerway_model::{ConfigKind, Origin, Partition};
use peerway_state::{Row, RowKey, StoredRow, load};
use peerway_store::record::{decode, decode_key, encode, encode_key};

/// One row or key. A first byte below 128: the rest is a row; else the rest is a key.
pub const TARGET: Target = Target {
    name: "stored-row",
    run,
    seeds,
};

fn run(data: &[u8]) {
    let Some((form, rest)) = data.split_first() else {
        return;
    };
    if *form >= 128 {
        if let Ok(key) = decode_key(rest) {
            assert_eq!(encode_key(&key), rest, "two forms of the key {key:?}");
        }
        return;
    }
    let Ok(row) = decode(rest) else { return };
    let written = encode(&row);
    let again = decode(&written).expect("what was written cannot be read");
    assert_eq!(encode(&again), written, "written twice, two forms");
    let key = row.row.key();
    assert_eq!(
        decode_key(&encode_key(&key)).expect("its key cannot be read"),
        key
    );
    let _ = load([row], 9);
}

/// One row of each kind.
fn rows() -> Vec<Row> {
    let world = &*WORLD;
    let them = peering(ATTACKER);
    let mut rows: Vec<Row> = world
        .roots()
        .map(|row| Row::Roots(row.row.clone()))
        .into_iter()
        .collect();
    rows.extend(
        ConfigKind::ALL
            .into_iter()
            .flat_map(|kind| world.configs(kind))
            .map(|row| Row::Config(row.row.clone())),
    );
    rows.extend(world.peering(&them).map(|row| Row::Peering(row.row.clone())));
    rows.extend(
        world
            .secrets(&them)
            .map(|row| Row::Secrets(them.clone(), row.row.clone())),
    );
    rows.extend(world.grants().map(|row| Row::Grants(row.row.clone())));
    rows.extend(world.audit().map(|row| Row::Audit(row.row.clone())));
    rows.extend(world.bundles().map(|row| Row::Bundle(row.row.clone())));
    for node in world.nodes(&Origin::Local, &Partition::default()) {
        rows.push(Row::Node(node.row.clone()));
        rows.extend(
            world
                .instances_on(&node.key)
                .map(|row| Row::Instance(row.row.clone())),
        );
        rows.extend(world.checks_on(&node.key).map(|row| Row::Check(row.row.clone())));
    }
    rows
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    let mut rows = rows();
    // The config entries of the other target, kept.
    for entry in crate::targets::config::seeds() {
        let value = peerway_api_types::json_object(&entry);
        let entry =
            value.and_then(|value| peerway_api_types::config_entry_from_json(&value, &Default::default()));
        rows.extend(entry.map(|entry| Row::Config(entry.into())));
    }
    for row in rows {
        let mut key = vec![255];
        key.extend(encode_key(&row.key()));
        seeds.push(key);
        let mut bytes = vec![0];
        bytes.extend(encode(&StoredRow {
            row,
            create_index: 3,
            modify_index: 5,
        }));
        seeds.push(bytes);
    }
    let mut key = vec![255];
    key.extend(encode_key(&RowKey::CaKey("aa:bb".to_owned())));
    seeds.push(key);
    seeds
}
