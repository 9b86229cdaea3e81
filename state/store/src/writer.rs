//! Writing: a queue, one thread that applies and keeps, and an answer for each transaction.

use crate::feed::Publisher;
use crate::storage::{Storage, StorageError};
use peerway_runtime::telemetry;
use peerway_state::{ChangeSet, Refused, Revision, RowChange, Snapshot, Transaction, apply};
use prometheus::{IntCounter, IntGauge};
use std::sync::{Arc, LazyLock};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

/// Transactions that may wait; a writer that finds the queue full waits for a place.
pub const QUEUE: usize = 1024;
/// Transactions that share one durable append.
pub const MAX_GROUP: usize = 256;

static COMMITS: LazyLock<IntCounter> =
    LazyLock::new(|| telemetry::counter("peerway_state_commits_total", "transactions committed"));
static REVISION: LazyLock<IntGauge> = LazyLock::new(|| {
    telemetry::gauge(
        "peerway_state_snapshot_revision",
        "revision of the newest snapshot",
    )
});

/// What a commit led to.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The revision; that of the newest earlier commit when the transaction changed nothing.
    pub revision: Revision,
    /// Whether anything changed.
    pub changed: bool,
}

/// Why a transaction was not committed.
#[derive(Debug, Error)]
pub enum CommitError {
    /// It was refused and nothing was changed.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// The storage failed; the store takes no more writes until it is opened again.
    #[error("the store cannot write: {0}")]
    Storage(Arc<StorageError>),
    /// The store has stopped.
    #[error("the store has stopped")]
    Closed,
}

struct Request {
    transaction: Transaction,
    answer: oneshot::Sender<Result<Committed, CommitError>>,
}

/// Commits transactions. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::Sender<Request>,
}

impl Writer {
    /// Commits `transaction` durably; when this returns, every reader can see it.
    ///
    /// # Errors
    /// See [`CommitError`]. After `Closed` or `Storage` the transaction may or may not be durable.
    pub async fn commit(&self, transaction: Transaction) -> Result<Committed, CommitError> {
        let (answer, wait) = oneshot::channel();
        self.queue
            .send(Request { transaction, answer })
            .await
            .map_err(|_| CommitError::Closed)?;
        wait.await.map_err(|_| CommitError::Closed)?
    }
}

/// Starts the thread that owns the storage; it ends when the last Writer is gone.
pub(crate) fn start(
    mut storage: impl Storage,
    mut snapshot: Snapshot,
    publisher: Publisher,
) -> std::io::Result<(Writer, std::thread::JoinHandle<()>)> {
    let (queue, mut requests) = mpsc::channel::<Request>(QUEUE);
    REVISION.set(i64::try_from(snapshot.revision()).unwrap_or(i64::MAX));
    let thread = std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || {
            let mut broken: Option<Arc<StorageError>> = None;
            while let Some(first) = requests.blocking_recv() {
                let mut group = vec![first];
                while group.len() < MAX_GROUP {
                    match requests.try_recv() {
                        Ok(more) => group.push(more),
                        Err(_) => break,
                    }
                }
                if let Some(error) = &broken {
                    for request in group {
                        let _ = request.answer.send(Err(CommitError::Storage(error.clone())));
                    }
                    continue;
                }
                if let Err(error) = commit_group(&mut storage, &mut snapshot, &publisher, group) {
                    tracing::error!(%error, "storage failed, no more writes are taken");
                    broken = Some(error);
                }
            }
        })?;
    Ok((Writer { queue }, thread))
}

/// Applies a group in memory, keeps it in one append, then publishes it and answers everyone.
fn commit_group(
    storage: &mut impl Storage,
    snapshot: &mut Snapshot,
    publisher: &Publisher,
    group: Vec<Request>,
) -> Result<(), Arc<StorageError>> {
    let mut next = snapshot.clone();
    let mut rows: Vec<RowChange> = Vec::new();
    let mut changes = ChangeSet::default();
    let mut answers = Vec::with_capacity(group.len());
    for request in group {
        let revision = next.revision() + 1;
        let result = match apply(&mut next, &request.transaction, revision) {
            Ok(applied) => {
                let changed = !applied.rows.is_empty();
                rows.extend(applied.rows);
                changes.merge(&applied.changes);
                Ok(Committed {
                    revision: next.revision(),
                    changed,
                })
            }
            Err(refused) => Err(CommitError::Refused(refused)),
        };
        answers.push((request.answer, result));
    }
    if !rows.is_empty()
        && let Err(error) = storage.append(next.revision(), &rows)
    {
        let error = Arc::new(error);
        for (answer, _) in answers {
            let _ = answer.send(Err(CommitError::Storage(error.clone())));
        }
        return Err(error);
    }
    if !rows.is_empty() {
        *snapshot = next.clone();
        REVISION.set(i64::try_from(next.revision()).unwrap_or(i64::MAX));
        publisher.publish(next, changes);
    }
    for (answer, result) in answers {
        if result.as_ref().is_ok_and(|committed| committed.changed) {
            COMMITS.inc();
        }
        // A caller that went away has its commit all the same.
        let _ = answer.send(result);
    }
    Ok(())
}
