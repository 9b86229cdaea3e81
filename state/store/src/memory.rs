//! A storage that forgets when the process ends, for tests and `-dev`.

use crate::storage::{Storage, StorageError, Stored};
use parking_lot::Mutex;
use peerway_state::{Revision, RowChange, RowKey, StoredRow};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows in memory. Clones share them, so that a test can open a store again on what an earlier one kept.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    revision: Revision,
    rows: BTreeMap<RowKey, StoredRow>,
}

impl Storage for MemoryStorage {
    fn load(&mut self) -> Result<Stored, StorageError> {
        let kept = self.kept.lock();
        Ok(Stored {
            revision: kept.revision,
            rows: kept.rows.values().cloned().collect(),
        })
    }

    fn append(&mut self, revision: Revision, changes: &[RowChange]) -> Result<(), StorageError> {
        let mut kept = self.kept.lock();
        for change in changes {
            match change {
                RowChange::Put(stored) => {
                    kept.rows.insert(stored.row.key(), stored.clone());
                }
                RowChange::Delete(key) => {
                    kept.rows.remove(key);
                }
            }
        }
        kept.revision = revision;
        Ok(())
    }
}
