//! The default storage: all rows in one file of an embedded database, in a folder of their own.
//!
//! The file holds the private keys of the cluster's roots and the secrets of its peerings, so the folder and the file
//! are closed to everybody else before anything is written. One process at a time has them.

mod folder;
mod storage;

pub use folder::FILE;
pub use storage::{CACHE_BYTES, FORMAT, RedbStorage};
