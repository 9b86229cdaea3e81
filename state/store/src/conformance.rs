//! What every [`Storage`] must do, as a suite that its tests run.
//!
//! What a crash leaves is not in here: only the tests of a storage know how to make it crash.

use crate::record::{encode, encode_key};
use crate::storage::{Storage, StorageError, Stored};
use peerway_model::peering::RemoteInfo;
use peerway_model::{
    AuditAction, AuditEvent, AuditRecord, CaKey, Datacenter, Invalid, Node, NodeKey, NodeName, Origin,
    Partition, PeerName, Peering, PeeringGrants, PeeringKey, PeeringRole, PeeringSecrets, PeeringState,
    Requester, Secret,
};
use peerway_state::{Revision, Row, RowChange, RowKey, StoredRow};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows of the case with many rows, in one append.
const MANY: usize = 5_000;
/// Bytes of the case with a large row.
const LARGE_BYTES: usize = 1024 * 1024;
/// Appends of the case with a long history.
const HISTORY: usize = 200;

/// Runs the whole suite. `fresh` makes a new, empty place and gives a function that opens it; that function is
/// called several times for one place, each time after the storage that it gave before is dropped.
///
/// # Panics
/// When the storage breaks a rule; that is the point.
pub fn run<S: Storage, O: FnMut() -> S>(fresh: impl Fn() -> O) {
    a_new_place_is_empty(fresh());
    what_is_appended_is_there_now_and_after_reopening(fresh());
    a_put_replaces_the_whole_row(fresh());
    changes_of_one_append_apply_in_order(fresh());
    deleting_what_is_not_there_is_no_error(fresh());
    the_revision_is_the_last_one_appended(fresh());
    similar_keys_are_different_rows(fresh());
    many_rows_go_into_one_append(fresh());
    a_large_row_comes_back(fresh());
    a_long_history_leaves_what_it_should(fresh());
}

type Contents = BTreeMap<RowKey, Vec<u8>>;

/// What is expected, kept in the plainest way.
#[derive(Default)]
struct Expected {
    revision: Revision,
    rows: Contents,
}

impl Expected {
    /// Appends to the storage and here.
    fn append(&mut self, storage: &mut impl Storage, revision: Revision, changes: &[RowChange]) {
        done(storage.append(revision, changes));
        self.revision = revision;
        for change in changes {
            match change {
                RowChange::Put(stored) => {
                    self.rows.insert(stored.row.key(), encode(stored));
                }
                RowChange::Delete(key) => {
                    self.rows.remove(key);
                }
            }
        }
    }

    fn check(&self, storage: &mut impl Storage) {
        let Stored { revision, rows } = done(storage.load());
        assert_eq!(revision, self.revision, "the revision");
        let count = rows.len();
        let loaded: Contents = rows
            .iter()
            .map(|stored| (stored.row.key(), encode(stored)))
            .collect();
        assert_eq!(loaded.len(), count, "a row came twice");
        assert!(
            loaded.keys().eq(self.rows.keys()),
            "loaded {:?}, expected {:?}",
            loaded.keys(),
            self.rows.keys()
        );
        for (key, bytes) in &loaded {
            // Not the bytes themselves: they may hold secrets, also in tests.
            assert!(self.rows.get(key) == Some(bytes), "{key:?} came back otherwise");
        }
    }
}

fn a_new_place_is_empty<S: Storage>(mut open: impl FnMut() -> S) {
    Expected::default().check(&mut open());
    Expected::default().check(&mut open());
}

fn what_is_appended_is_there_now_and_after_reopening<S: Storage>(mut open: impl FnMut() -> S) {
    let mut expected = Expected::default();
    let mut storage = open();
    expected.append(&mut storage, 1, &[put(node(&Origin::Local, "n1", "a"), 1, 1)]);
    expected.check(&mut storage);
    let rest = [
        put(peering("west"), 2, 2),
        put(secrets("west"), 2, 2),
        put(grants("west"), 2, 2),
        put(audit(1), 2, 2),
        put(audit(10), 2, 2),
        put(ca_key("r1"), 2, 2),
        put(node(&peer("west"), "n1", "b"), 2, 2),
    ];
    expected.append(&mut storage, 2, &rest);
    expected.check(&mut storage);
    drop(storage);
    expected.check(&mut open());
    expected.check(&mut open());
}

fn a_put_replaces_the_whole_row<S: Storage>(mut open: impl FnMut() -> S) {
    let mut expected = Expected::default();
    let mut storage = open();
    for revision in 1..=3 {
        let row = node(&Origin::Local, "n1", &revision.to_string());
        expected.append(&mut storage, revision, &[put(row, 1, revision)]);
    }
    drop(storage);
    expected.check(&mut open());
}

fn changes_of_one_append_apply_in_order<S: Storage>(mut open: impl FnMut() -> S) {
    let mut expected = Expected::default();
    let mut storage = open();
    let (one, two) = (node(&Origin::Local, "n1", "a"), node(&Origin::Local, "n2", "a"));
    let changes = [
        put(one.clone(), 1, 1),
        RowChange::Delete(one.key()),
        put(node(&Origin::Local, "n1", "b"), 2, 2),
        put(two.clone(), 2, 2),
        RowChange::Delete(two.key()),
    ];
    expected.append(&mut storage, 2, &changes);
    assert_eq!(expected.rows.len(), 1);
    expected.check(&mut storage);
    drop(storage);
    let mut storage = open();
    expected.check(&mut storage);
    expected.append(&mut storage, 3, &[RowChange::Delete(one.key())]);
    drop(storage);
    expected.check(&mut open());
}

fn deleting_what_is_not_there_is_no_error<S: Storage>(mut open: impl FnMut() -> S) {
    let mut expected = Expected::default();
    let absent = node(&Origin::Local, "n1", "a").key();
    expected.append(&mut open(), 1, &[RowChange::Delete(absent)]);
    expected.check(&mut open());
}

fn the_revision_is_the_last_one_appended<S: Storage>(mut open: impl FnMut() -> S) {
    let mut expected = Expected::default();
    // Commits that share an append leave gaps; the last is one that no narrower integer holds.
    for revision in [1, 2, 17, u64::from(u32::MAX) + 1, u64::MAX] {
        let mut storage = open();
        expected.append(
            &mut storage,
            revision,
            &[put(node(&Origin::Local, "n1", "a"), 1, revision)],
        );
        expected.check(&mut storage);
        drop(storage);
        expected.check(&mut open());
    }
}

fn similar_keys_are_different_rows<S: Storage>(mut open: impl FnMut() -> S) {
    let mut changes = Vec::new();
    for name in [
        "a", "a b", "a#b", "a$23b", "a$b", "ab", "A", "a ", " a", "a\u{e4}", "#", "$", "local", "peer",
    ] {
        for origin in [Origin::Local, peer("a"), peer("local")] {
            changes.push(put(node(&origin, name, name), 1, 1));
        }
    }
    for name in ["a", "a-b", "local"] {
        changes.extend([put(peering(name), 1, 1), put(secrets(name), 1, 1)]);
    }
    for id in ["", "a", "aa:bb", "a#b"] {
        changes.push(put(ca_key(id), 1, 1));
    }
    let mut expected = Expected::default();
    expected.append(&mut open(), 1, &changes);
    assert_eq!(expected.rows.len(), changes.len());
    expected.check(&mut open());
    // In the other order, one by one, with one of each pair of neighbours deleted.
    let keys: Vec<RowKey> = expected.rows.keys().rev().cloned().collect();
    let mut storage = open();
    for (revision, key) in (2..).zip(keys.into_iter().step_by(2)) {
        expected.append(&mut storage, revision, &[RowChange::Delete(key)]);
    }
    expected.check(&mut storage);
    drop(storage);
    expected.check(&mut open());
}

fn many_rows_go_into_one_append<S: Storage>(mut open: impl FnMut() -> S) {
    let mut expected = Expected::default();
    let rows: Vec<Row> = (0..MANY)
        .map(|number| node(&Origin::Local, &format!("n{number}"), "a"))
        .collect();
    let puts: Vec<RowChange> = rows.iter().map(|row| put(row.clone(), 1, 1)).collect();
    expected.append(&mut open(), 1, &puts);
    expected.check(&mut open());
    let deletes: Vec<RowChange> = rows
        .iter()
        .step_by(2)
        .map(|row| RowChange::Delete(row.key()))
        .collect();
    expected.append(&mut open(), 2, &deletes);
    expected.check(&mut open());
}

fn a_large_row_comes_back<S: Storage>(mut open: impl FnMut() -> S) {
    let mut expected = Expected::default();
    let large = node(&Origin::Local, "n1", &"x".repeat(LARGE_BYTES));
    expected.append(&mut open(), 1, &[put(large, 1, 1)]);
    expected.check(&mut open());
    expected.append(&mut open(), 2, &[put(node(&Origin::Local, "n1", "small"), 1, 2)]);
    expected.check(&mut open());
}

fn a_long_history_leaves_what_it_should<S: Storage>(mut open: impl FnMut() -> S) {
    let mut expected = Expected::default();
    let mut storage = open();
    // A fixed sequence (linear congruential, Knuth's constants): the same history in every run.
    let mut state: u64 = 1;
    let mut next = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut revision = 0;
    for round in 0..HISTORY {
        revision += 1 + next(3);
        let changes: Vec<RowChange> = (0..1 + next(8))
            .map(|_| {
                let row = node(&Origin::Local, &format!("n{}", next(40)), &next(1000).to_string());
                if next(4) == 0 {
                    RowChange::Delete(row.key())
                } else {
                    put(row, revision, revision)
                }
            })
            .collect();
        expected.append(&mut storage, revision, &changes);
        if round % 20 == 0 {
            drop(storage);
            storage = open();
            expected.check(&mut storage);
        }
    }
    let mut sorted: Vec<Vec<u8>> = expected.rows.keys().map(encode_key).collect();
    sorted.dedup();
    assert_eq!(sorted.len(), expected.rows.len(), "two keys have one encoding");
    drop(storage);
    expected.check(&mut open());
}

fn put(row: Row, create_index: u64, modify_index: u64) -> RowChange {
    RowChange::Put(StoredRow {
        row,
        create_index,
        modify_index,
    })
}

fn peer(name: &str) -> Origin {
    Origin::Peer(valid(PeerName::new(name)))
}

fn peering_key(name: &str) -> PeeringKey {
    PeeringKey {
        partition: Partition::default(),
        name: valid(PeerName::new(name)),
    }
}

fn node(origin: &Origin, name: &str, content: &str) -> Row {
    Row::Node(Arc::new(Node {
        key: NodeKey {
            origin: origin.clone(),
            partition: Partition::default(),
            name: valid(NodeName::new(name)),
        },
        id: None,
        address: "10.0.0.1".to_owned(),
        datacenter: valid(Datacenter::new("dc1")),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::from([("content".to_owned(), content.to_owned())]),
        locality: None,
    }))
}

fn peering(name: &str) -> Row {
    Row::Peering(Arc::new(Peering {
        key: peering_key(name),
        id: name.to_owned(),
        role: PeeringRole::Dialer,
        state: PeeringState::Establishing,
        meta: BTreeMap::new(),
        remote_id: None,
        ca_pems: Vec::new(),
        server_name: None,
        server_addresses: Vec::new(),
        manual_addresses: Vec::new(),
        external_addresses: Vec::new(),
        remote: RemoteInfo::default(),
        deleted_at: None,
    }))
}

fn grants(name: &str) -> Row {
    Row::Grants(Arc::new(PeeringGrants::new(peering_key(name))))
}

fn audit(number: u64) -> Row {
    Row::Audit(Arc::new(AuditRecord {
        number,
        event: AuditEvent {
            at: 1,
            action: AuditAction::Made,
            peering: peering_key("west"),
            accessor: "accessor".to_owned(),
            by: Requester::default(),
            detail: String::new(),
        },
    }))
}

fn secrets(name: &str) -> Row {
    let secrets = PeeringSecrets {
        establishment: None,
        pending_stream: Some(Secret::new("pending")),
        active_stream: Some(Secret::new(name)),
        revoked: Vec::new(),
    };
    Row::Secrets(peering_key(name), Arc::new(secrets))
}

fn ca_key(root_id: &str) -> Row {
    Row::CaKey(Arc::new(CaKey {
        root_id: root_id.to_owned(),
        pem: Secret::new(format!("key of {root_id}\n")),
    }))
}

fn valid<T>(made: Result<T, Invalid>) -> T {
    match made {
        Ok(value) => value,
        Err(invalid) => unreachable!("a name of the suite is not valid: {invalid}"),
    }
}

/// What the storage gave.
fn done<T>(result: Result<T, StorageError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => unreachable!("a storage must not fail here: {error}"),
    }
}
