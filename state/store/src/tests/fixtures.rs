//! A few rows, storages that count, wait and fail, and futures that are polled by hand.

use crate::{Storage, StorageError, Stored};
use parking_lot::Mutex;
use peerway_model::{Datacenter, Node, NodeKey, NodeName, Origin, Partition};
use peerway_state::{Revision, Row, RowChange, Topic, Transaction};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Waker};

pub(super) fn node_key(partition: &str, name: &str) -> NodeKey {
    NodeKey {
        origin: Origin::Local,
        partition: Partition::new(partition).unwrap(),
        name: NodeName::new(name).unwrap(),
    }
}

pub(super) fn node(partition: &str, name: &str, address: &str) -> Row {
    Row::Node(Arc::new(Node {
        key: node_key(partition, name),
        id: None,
        address: address.to_owned(),
        datacenter: Datacenter::new("dc1").unwrap(),
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        locality: None,
    }))
}

/// Puts a node of this name into this partition.
pub(super) fn put(partition: &str, name: &str) -> Transaction {
    Transaction::new().put(node(partition, name, "10.0.0.1"))
}

/// The topic that [`put`] touches.
pub(super) fn nodes_of(partition: &str) -> Topic {
    Topic::Nodes(Origin::Local, Partition::new(partition).unwrap())
}

/// Polls once, without a task: what is ready is ready, and nothing waits. Unconstrained, because tokio makes a task
/// that has polled often enough wait even for what is ready.
pub(super) fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    pin!(tokio::task::unconstrained(future.as_mut())).poll(&mut Context::from_waker(Waker::noop()))
}

/// How many changes each append had.
pub(super) type Appends = Arc<Mutex<Vec<usize>>>;

/// A storage whose appends wait for the test and do what it says.
pub(super) struct Gated {
    entered: Sender<()>,
    verdicts: Receiver<Result<(), ()>>,
    appends: Appends,
}

/// The test's end of a [`Gated`].
pub(super) struct Gate {
    entered: Receiver<()>,
    verdicts: Sender<Result<(), ()>>,
    pub(super) appends: Appends,
}

pub(super) fn gated() -> (Gated, Gate) {
    let (entered, has_entered) = channel();
    let (verdict, verdicts) = channel();
    let appends = Appends::default();
    let storage = Gated {
        entered,
        verdicts,
        appends: appends.clone(),
    };
    let gate = Gate {
        entered: has_entered,
        verdicts: verdict,
        appends,
    };
    (storage, gate)
}

impl Gate {
    /// Waits until the writer is inside an append.
    pub(super) fn wait_for_append(&self) {
        self.entered.recv().unwrap();
    }

    /// Lets one append succeed or fail, the present one or the next.
    pub(super) fn answer(&self, verdict: Result<(), ()>) {
        self.verdicts.send(verdict).unwrap();
    }
}

impl Storage for Gated {
    fn load(&mut self) -> Result<Stored, StorageError> {
        Ok(Stored::default())
    }

    fn append(&mut self, _: Revision, changes: &[RowChange]) -> Result<(), StorageError> {
        self.appends.lock().push(changes.len());
        // A test that has ended needs no notice.
        let _ = self.entered.send(());
        match self.verdicts.recv() {
            Ok(Ok(())) => Ok(()),
            _ => Err(StorageError::Io {
                doing: "writing to the test".to_owned(),
                cause: "the test says so".to_owned(),
            }),
        }
    }
}
