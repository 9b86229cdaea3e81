//! Kills a process in the middle of its commits, again and again on the same folder, and looks at what is left.
//!
//! The process is this test binary, started once more: [`child`] is its work when the environment says so.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of a test fail it by a panic, as the test itself does"
)]

use peerway_model::{
    Check, CheckId, CheckKey, CheckStatus, Datacenter, Instance, InstanceId, InstanceKey, Namespace, Node,
    NodeKey, NodeName, Origin, Partition, ServiceKind, ServiceName, Weights,
};
use peerway_redb::RedbStorage;
use peerway_state::{Revision, Row, RowKey, Snapshot, Transaction};
use peerway_store::{Storage, StorageError, Store, open};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Names the data folder to the process that is to be killed.
const FOLDER: &str = "PEERWAY_CRASH_TEST_FOLDER";
/// How often it is killed.
const ROUNDS: u64 = 20;
/// Tasks that commit at the same time, so that appends hold several commits.
const TASKS: usize = 6;
/// The process is killed after at most this many acknowledgements.
const MOST_ACKNOWLEDGED: u64 = 120;

fn node_key(task: usize, side: &str) -> NodeKey {
    NodeKey {
        origin: Origin::Local,
        partition: Partition::default(),
        name: NodeName::new(&format!("{side}-{task}")).unwrap(),
    }
}

fn check_key(task: usize) -> CheckKey {
    CheckKey {
        node: node_key(task, "left"),
        id: CheckId::new("odd").unwrap(),
    }
}

fn numbered(key: NodeKey, number: u64) -> Row {
    Row::Node(Arc::new(Node {
        key,
        id: None,
        address: "10.0.0.1".to_owned(),
        datacenter: Datacenter::new("dc1").unwrap(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::from([("number".to_owned(), number.to_string())]),
        locality: None,
    }))
}

fn instance(task: usize, number: u64) -> Row {
    Row::Instance(Arc::new(Instance {
        key: InstanceKey {
            node: node_key(task, "left"),
            id: InstanceId::new("i1").unwrap(),
        },
        namespace: Namespace::default(),
        service: ServiceName::new("web").unwrap(),
        kind: ServiceKind::Typical,
        tags: vec![number.to_string()],
        address: String::new(),
        port: 80,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        weights: Weights::default(),
        enable_tag_override: false,
        proxy: None,
        gateway_config: BTreeMap::new(),
        peer_meta: None,
        locality: None,
    }))
}

fn check(task: usize) -> Row {
    Row::Check(Arc::new(Check {
        key: check_key(task),
        name: String::new(),
        status: CheckStatus::Passing,
        notes: String::new(),
        output: String::new(),
        instance: None,
        service: None,
    }))
}

/// Two nodes and an instance that carry the same number, and a check that is there exactly when it is odd.
fn step(task: usize, number: u64) -> Transaction {
    let transaction = Transaction::new()
        .put(numbered(node_key(task, "left"), number))
        .put(instance(task, number))
        .put(numbered(node_key(task, "right"), number));
    if number % 2 == 1 {
        transaction.put(check(task))
    } else {
        transaction.delete(RowKey::Check(check_key(task)))
    }
}

/// The number of a task, after a look at everything that must agree with it.
fn whole_number(snapshot: &Snapshot, task: usize) -> u64 {
    let number_of = |side| {
        let node = snapshot.node(&node_key(task, side))?;
        node.meta["number"].parse::<u64>().ok()
    };
    let (left, right) = (number_of("left"), number_of("right"));
    assert_eq!(left, right, "half a commit of task {task}");
    let tags: Vec<String> = snapshot
        .instances_on(&node_key(task, "left"))
        .flat_map(|instance| instance.tags.clone())
        .collect();
    let number = left.unwrap_or(0);
    let expected: Vec<String> = left.iter().map(u64::to_string).collect();
    assert_eq!(tags, expected, "half a commit of task {task}");
    let checks = snapshot.checks_on(&node_key(task, "left")).count() as u64;
    assert_eq!(checks, number % 2, "half a commit of task {task}");
    number
}

fn open_store(folder: &Path) -> Store {
    open(RedbStorage::open(folder).unwrap()).unwrap()
}

/// Commits until it is killed, and says what was acknowledged, a line each.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let store = open_store(Path::new(&folder));
    let snapshot = store.reader.snapshot();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let writer = store.writer.clone();
            let first = whole_number(&snapshot, task) + 1;
            runtime.spawn(async move {
                for number in first.. {
                    let committed = writer.commit(step(task, number)).await.unwrap();
                    // One write a line, so that the parent never sees the half of one as a whole.
                    let line = format!("\nacknowledged {task} {number} {}\n", committed.revision);
                    let mut out = std::io::stdout();
                    if out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_err() {
                        // The parent is gone; nobody will kill us.
                        return;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
}

/// The last number of each task and the last revision that were acknowledged.
#[derive(Default)]
struct Acknowledged {
    numbers: [u64; TASKS],
    revision: Revision,
}

impl Acknowledged {
    /// Reads a line of the child; whether it was one.
    fn read(&mut self, line: &str) -> bool {
        let Some(rest) = line.strip_prefix("acknowledged ") else {
            return false;
        };
        let numbers: Vec<u64> = rest.split(' ').map(|number| number.parse().unwrap()).collect();
        let [task, number, revision] = numbers[..] else {
            unreachable!("a line of the child has three numbers");
        };
        self.numbers[task as usize] = number;
        self.revision = self.revision.max(revision);
        true
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill_and_nothing_is_half() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // Spread over the range; the kill itself then hits wherever the writer happens to be.
        let mut left = 1 + (round * 37 + 5) % MOST_ACKNOWLEDGED;
        let mut killed = false;
        loop {
            line.clear();
            if out.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                break;
            }
            if !acknowledged.read(line.trim_end()) || killed {
                continue;
            }
            left -= 1;
            if left == 0 {
                let second = RedbStorage::open(dir.path());
                assert!(matches!(second, Err(StorageError::InUse { .. })), "round {round}");
                child.kill().unwrap();
                // What it had said before is still in the pipe and counts.
                killed = true;
            }
        }
        child.wait().unwrap();
        assert!(killed, "the child ended by itself in round {round}");

        let mut storage = RedbStorage::open(dir.path()).unwrap();
        let revision = storage.load().unwrap().revision;
        drop(storage);
        let store = open_store(dir.path());
        let snapshot = store.reader.snapshot();
        assert_eq!(snapshot.revision(), revision);
        assert!(revision >= acknowledged.revision, "round {round}");
        let mut sum = 0;
        for (task, told) in acknowledged.numbers.into_iter().enumerate() {
            let number = whole_number(&snapshot, task);
            // A task has one commit under way at most.
            assert!(
                number == told || number == told + 1,
                "round {round}: task {task} was told {told} and has {number}"
            );
            acknowledged.numbers[task] = number;
            sum += number;
        }
        // Every commit has one revision, so the two counts agree.
        assert_eq!(sum, revision, "round {round}");
        store.close();
    }
    assert!(acknowledged.revision > ROUNDS);
}
