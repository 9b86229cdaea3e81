//! The suite that every storage must pass.

use peerway_redb::RedbStorage;
use peerway_store::conformance;

#[test]
fn redb_conforms() {
    conformance::run(|| {
        let dir = tempfile::tempdir().unwrap();
        move || RedbStorage::open(dir.path()).unwrap()
    });
}
