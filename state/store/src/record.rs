//! How rows are kept: a key that sorts as rows are loaded, and a value in JSON.
//!
//! The model knows no encoding, so every row has a twin here. A twin takes its row apart by naming each field: a field
//! that is added to a row and forgotten here does not compile.
//!
//! Rules for changes: a field that is added gets `#[serde(default)]`; unknown fields are ignored, so that a step back
//! to the version before loses them but starts. Anything else needs a new [`FORMAT`] and a reader for the old one.

mod authority;
mod catalog;
mod config;
mod grant;
mod key;
mod opaque;
mod peering;
mod permission;
mod sidecar;
mod text;
mod virtual_address;

pub use key::{decode_key, encode_key};

use crate::storage::StorageError;
use peerway_state::{Row, StoredRow};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The number of the encoding that [`encode`] writes.
pub const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    format: u32,
    create_index: u64,
    modify_index: u64,
    row: RowRecord,
}

/// What is read of a record that cannot be read whole, to say why.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RowRecord {
    Roots(authority::CaRootsRecord),
    CaKey(authority::CaKeyRecord),
    Config(config::ConfigRecord),
    Peering(peering::PeeringRecord),
    Secrets(peering::SecretsRecord),
    Grants(Box<grant::GrantsRecord>),
    Bundle(peering::BundleRecord),
    Node(catalog::NodeRecord),
    Instance(Box<catalog::InstanceRecord>),
    Check(catalog::CheckRecord),
    VirtualAddress(virtual_address::VirtualAddressRecord),
    Audit(grant::AuditRecordRecord),
}

/// The bytes to keep for a row: JSON that begins with the [`FORMAT`]. They hold secrets in the clear when the row
/// does; whoever keeps them must guard them.
pub fn encode(stored: &StoredRow) -> Vec<u8> {
    let record = Record {
        format: FORMAT,
        create_index: stored.create_index,
        modify_index: stored.modify_index,
        row: match &stored.row {
            Row::Roots(roots) => RowRecord::Roots((&**roots).into()),
            Row::CaKey(key) => RowRecord::CaKey((&**key).into()),
            Row::Config(entry) => RowRecord::Config((&**entry).into()),
            Row::Peering(peering) => RowRecord::Peering((&**peering).into()),
            Row::Secrets(key, secrets) => RowRecord::Secrets((key, &**secrets).into()),
            Row::Grants(grants) => RowRecord::Grants(Box::new((&**grants).into())),
            Row::Bundle(bundle) => RowRecord::Bundle((&**bundle).into()),
            Row::Node(node) => RowRecord::Node((&**node).into()),
            Row::Instance(instance) => RowRecord::Instance(Box::new((&**instance).into())),
            Row::Check(check) => RowRecord::Check((&**check).into()),
            Row::VirtualAddress(own) => RowRecord::VirtualAddress((&**own).into()),
            Row::Audit(record) => RowRecord::Audit((&**record).into()),
        },
    };
    // Every map in a record has text for keys and nothing in it can refuse, so this cannot fail; should it ever, the
    // empty value is refused by `decode`.
    serde_json::to_vec(&record).unwrap_or_default()
}

/// The row that [`encode`] made these bytes of. Never panics, whatever the bytes are.
///
/// # Errors
/// [`StorageError::Corrupt`] when the bytes are no record, of a later format, or hold a name that is not valid.
pub fn decode(bytes: &[u8]) -> Result<StoredRow, StorageError> {
    let corrupt = |cause: String| StorageError::Corrupt {
        what: "a stored row".to_owned(),
        cause,
    };
    let other_format = |format: u32| {
        corrupt(format!(
            "it has format {format} and this version of peerway reads format {FORMAT}, start the version that wrote it"
        ))
    };
    let record: Record = match serde_json::from_slice(bytes) {
        Ok(record) => record,
        Err(error) => {
            return Err(match serde_json::from_slice::<Head>(bytes) {
                Ok(head) if head.format != FORMAT => other_format(head.format),
                _ => corrupt(error.to_string()),
            });
        }
    };
    if record.format != FORMAT {
        return Err(other_format(record.format));
    }
    let row = match record.row {
        RowRecord::Roots(roots) => Row::Roots(Arc::new(roots.into())),
        RowRecord::CaKey(key) => Row::CaKey(Arc::new(key.into())),
        RowRecord::Config(entry) => Row::Config(Arc::new(entry.into())),
        RowRecord::Peering(peering) => Row::Peering(Arc::new(peering.into())),
        RowRecord::Secrets(secrets) => {
            let (key, secrets) = secrets.into();
            Row::Secrets(key, Arc::new(secrets))
        }
        RowRecord::Grants(grants) => Row::Grants(Arc::new((*grants).into())),
        RowRecord::Bundle(bundle) => Row::Bundle(Arc::new(bundle.into())),
        RowRecord::Node(node) => Row::Node(Arc::new(node.into())),
        RowRecord::Instance(instance) => Row::Instance(Arc::new((*instance).into())),
        RowRecord::Check(check) => Row::Check(Arc::new(check.into())),
        RowRecord::VirtualAddress(own) => Row::VirtualAddress(Arc::new(own.into())),
        RowRecord::Audit(record) => Row::Audit(Arc::new(record.into())),
    };
    Ok(StoredRow {
        row,
        create_index: record.create_index,
        modify_index: record.modify_index,
    })
}
