//! The port behind which rows are kept.

use peerway_state::{Revision, RowChange, StoredRow};
use thiserror::Error;

/// Everything that a storage holds.
#[derive(Debug, Default)]
pub struct Stored {
    /// The last revision that was appended; 0 when nothing ever was.
    pub revision: Revision,
    /// All rows, in any order.
    pub rows: Vec<StoredRow>,
}

/// Why a storage could not do its work.
#[derive(Debug, Error)]
pub enum StorageError {
    /// Reading or writing failed.
    #[error("{doing}: {cause}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// Why it failed.
        cause: String,
    },
    /// Another process has the data folder.
    #[error("the data folder {path} is in use by another process, stop that one or choose another data_dir")]
    InUse {
        /// The folder.
        path: String,
    },
    /// What is kept cannot be understood.
    #[error("{what} cannot be read: {cause}")]
    Corrupt {
        /// Which record.
        what: String,
        /// Why.
        cause: String,
    },
}

/// Keeps rows durably. Calls block and come from one thread at a time.
///
/// After `append` has returned, every later `load`, also after a crash, sees all of its changes; a crash before that
/// leaves all or nothing of them. Every implementation passes the suite in `conformance` (feature `conformance`); one
/// that outlives the process has crash tests too. [`crate::record`] has the bytes to keep.
pub trait Storage: Send + 'static {
    /// Everything that is kept.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    fn load(&mut self) -> Result<Stored, StorageError>;

    /// Keeps `changes`, in order, and `revision` as the last one, all or nothing and durably.
    ///
    /// # Errors
    /// When it is not certain that they are kept; the store stops accepting writes then.
    fn append(&mut self, revision: Revision, changes: &[RowChange]) -> Result<(), StorageError>;
}
