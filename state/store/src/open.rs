//! Opening a store.

use crate::feed::{Publisher, Reader};
use crate::storage::{Storage, StorageError};
use crate::writer::{self, Writer};
use peerway_state::{Refused, load};
use thiserror::Error;

/// An open store. It closes when every [`Writer`] is gone.
pub struct Store {
    /// For whoever may write.
    pub writer: Writer,
    /// For everybody.
    pub reader: Reader,
    thread: std::thread::JoinHandle<()>,
}

/// Why a store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The storage could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The rows do not fit together.
    #[error("the stored rows do not fit together: {0}")]
    Inconsistent(Refused),
    /// The writer's thread could not be started.
    #[error("the store's thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// Loads what `storage` keeps and starts the writer.
///
/// # Errors
/// See [`OpenError`].
pub fn open(mut storage: impl Storage) -> Result<Store, OpenError> {
    let stored = storage.load()?;
    let snapshot = load(stored.rows, stored.revision).map_err(OpenError::Inconsistent)?;
    let publisher = Publisher::new(snapshot.clone());
    let reader = publisher.reader();
    let (writer, thread) = writer::start(storage, snapshot, publisher)?;
    Ok(Store {
        writer,
        reader,
        thread,
    })
}

impl Store {
    /// Drops this store's own Writer and waits until all others are gone and the storage is closed.
    pub fn close(self) {
        drop(self.writer);
        drop(self.reader);
        // A writer that panicked has said so on standard error; there is nothing left to close.
        let _ = self.thread.join();
    }
}
