//! The running store: one Writer, cheap Readers, a Feed of changes, and the Storage port behind it.
//!
//! A commit is applied in memory by `state::apply`, made durable by the [`Storage`], then published. Commits that
//! wait at the same time share one durable append.

mod feed;
mod memory;
mod open;
mod storage;
mod writer;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod record;

pub use feed::{Feed, FeedEvent, Reader};
pub use memory::MemoryStorage;
pub use open::{OpenError, Store, open};
pub use storage::{Storage, StorageError, Stored};
pub use writer::{CommitError, Committed, MAX_GROUP, QUEUE, Writer};

#[cfg(test)]
mod tests;
