//! What writers, readers and storages may rely on.

mod chain_rows;
mod commits;
mod edge_rows;
mod feeds;
mod fixtures;
mod grants;
mod records;
mod rows;
mod setting_rows;
mod token_rows;

use crate::{MemoryStorage, conformance};

#[test]
fn memory_conforms() {
    conformance::run(|| {
        let kept = MemoryStorage::default();
        move || kept.clone()
    });
}
