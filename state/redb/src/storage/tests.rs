//! The file itself: what a power cut may leave of it, and files that are not ours.

use super::*;
use peerway_model::{Datacenter, Node, NodeKey, NodeName, Origin, Partition};
use peerway_state::{Row, StoredRow};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What a backend was asked to do since its last sync, and the bytes that were surely kept by it.
#[derive(Default)]
struct Disk {
    /// What a read sees.
    now: Vec<u8>,
    /// What the last sync made durable.
    durable: Vec<u8>,
    /// What came after; any part of it may or may not have reached the disk when the power goes.
    pending: Vec<Step>,
    /// Every state that a power cut could have left, as it was taken, and the revision acknowledged by then.
    cuts: Vec<(Revision, Vec<u8>)>,
    acknowledged: Revision,
    /// A small generator, for which steps survive a cut.
    random: u64,
}

#[derive(Clone)]
enum Step {
    Length(usize),
    Write(usize, Vec<u8>),
}

impl Step {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Step::Length(length) => bytes.resize(*length, 0),
            Step::Write(at, data) => {
                let end = at + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(data);
            }
        }
    }
}

impl Disk {
    fn next(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }

    /// The power goes now: some of what is pending is kept, in any combination, a write perhaps in part.
    fn cut(&mut self) {
        let mut bytes = self.durable.clone();
        for step in self.pending.clone() {
            match (self.next() % 4, step) {
                // Lengths are the file system's own records and kept in order by its journal.
                (_, step @ Step::Length(_)) => step.apply(&mut bytes),
                (0 | 1, step) => step.apply(&mut bytes),
                (2, Step::Write(at, data)) => {
                    // Torn at a sector.
                    let kept = (self.next() as usize % (data.len() / 512 + 1)) * 512;
                    Step::Write(at, data[..kept.min(data.len())].to_vec()).apply(&mut bytes);
                }
                _ => {}
            }
        }
        self.cuts.push((self.acknowledged, bytes));
    }

    fn step(&mut self, step: Step) {
        step.apply(&mut self.now);
        self.pending.push(step);
        self.cut();
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Disk>>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl StorageBackend for Shared {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let disk = self.0.lock().unwrap();
        let start = offset as usize;
        let bytes = disk.now.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> std::io::Result<()> {
        self.0.lock().unwrap().step(Step::Length(length as usize));
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.cut();
        disk.pending.clear();
        disk.durable = disk.now.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        let step = Step::Write(offset as usize, data.to_vec());
        self.0.lock().unwrap().step(step);
        Ok(())
    }
}

fn on(disk: &Shared) -> RedbStorage {
    let in_use = || unreachable!("nobody else has it");
    RedbStorage::with_backend(disk.clone(), "test".to_owned(), in_use).unwrap()
}

fn put(name: &str, number: u64) -> RowChange {
    RowChange::Put(StoredRow {
        row: Row::Node(Arc::new(Node {
            key: NodeKey {
                origin: Origin::Local,
                partition: Partition::default(),
                name: NodeName::new(name).unwrap(),
            },
            id: None,
            address: "x".repeat(200),
            datacenter: Datacenter::new("dc1").unwrap(),
            tagged_addresses: BTreeMap::new(),
            meta: BTreeMap::from([("number".to_owned(), number.to_string())]),
            locality: None,
        })),
        create_index: 1,
        modify_index: number,
    })
}

#[test]
fn a_power_cut_at_any_write_leaves_whole_appends_only() {
    const ROWS_EACH: u64 = 8;
    let disk = Shared::default();
    let mut storage = on(&disk);
    for revision in 1..=25 {
        // Every append changes all rows; a mixture of two is seen at once.
        let changes: Vec<RowChange> = (0..ROWS_EACH)
            .map(|row| put(&format!("n{row}"), revision))
            .collect();
        storage.append(revision, &changes).unwrap();
        disk.0.lock().unwrap().acknowledged = revision;
    }
    drop(storage);
    let cuts = std::mem::take(&mut disk.0.lock().unwrap().cuts);
    assert!(cuts.len() > 100, "{} cuts", cuts.len());
    for (acknowledged, bytes) in cuts {
        // A cut before the new file was complete loses nothing that anybody was told of.
        let after = Shared::default();
        {
            let mut disk = after.0.lock().unwrap();
            disk.now = bytes.clone();
            disk.durable = bytes;
        }
        let in_use = || unreachable!("nobody else has it");
        let opened = RedbStorage::with_backend(after, "test".to_owned(), in_use);
        let stored = match opened {
            Ok(mut storage) => storage.load().unwrap(),
            Err(error) if acknowledged == 0 => {
                // An unfinished new file may be unreadable: it never held a commit.
                assert!(
                    matches!(error, StorageError::Corrupt { .. } | StorageError::Io { .. }),
                    "{error}"
                );
                continue;
            }
            Err(error) => unreachable!("after revision {acknowledged}: {error}"),
        };
        assert!(stored.revision >= acknowledged && stored.revision <= acknowledged + 1);
        let expected = if stored.revision == 0 {
            0
        } else {
            ROWS_EACH as usize
        };
        assert_eq!(stored.rows.len(), expected);
        assert!(stored.rows.iter().all(|row| row.modify_index == stored.revision));
    }
}

#[test]
fn a_file_of_another_format_is_refused_with_both_numbers() {
    let disk = Shared::default();
    let storage = on(&disk);
    let write = storage.database.begin_write().unwrap();
    write
        .open_table(META)
        .unwrap()
        .insert(META_FORMAT, FORMAT + 1)
        .unwrap();
    write.commit().unwrap();
    drop(storage);
    let in_use = || unreachable!("nobody else has it");
    let Err(error) = RedbStorage::with_backend(disk, "test".to_owned(), in_use) else {
        unreachable!("another format");
    };
    let told = error.to_string();
    assert!(
        told.contains("test") && told.contains("format 2") && told.contains("format 1"),
        "{told}"
    );
}

#[test]
fn a_row_that_cannot_be_read_is_named() {
    let disk = Shared::default();
    let mut storage = on(&disk);
    let RowChange::Put(row) = put("n1", 1) else {
        unreachable!("the fixture is a put");
    };
    let other = encode_key(&row.row.key());
    for (bytes, expected) in [
        (b"{}".to_vec(), "n1"),
        (
            encode(&{
                let RowChange::Put(row) = put("n2", 1) else {
                    unreachable!("the fixture is a put");
                };
                row
            }),
            "n2",
        ),
    ] {
        let write = storage.database.begin_write().unwrap();
        write
            .open_table(ROWS)
            .unwrap()
            .insert(other.as_slice(), bytes.as_slice())
            .unwrap();
        write.commit().unwrap();
        let told = storage.load().unwrap_err().to_string();
        assert!(
            told.contains("test") && told.contains("n1") && told.contains(expected),
            "{told}"
        );
    }
}
