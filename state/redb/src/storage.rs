//! Rows in redb tables.

use crate::folder;
use peerway_state::{Revision, RowChange, RowKey};
use peerway_store::record::{decode, decode_key, encode, encode_key};
use peerway_store::{Storage, StorageError, Stored};
use redb::backends::FileBackend;
use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
};
use std::path::Path;

/// The number of the layout of the tables; the rows in them have their own.
pub const FORMAT: u64 = 1;
/// Memory for pages of the file, in bytes. Small: rows are read once, at the start, and live in snapshots after that.
pub const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Rows by [`encode_key`].
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
/// Numbers about the whole.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const META_FORMAT: &str = "format";
const META_REVISION: &str = "revision";

/// A [`Storage`] in one file. Every append is one transaction of the database, and durable when it returns.
pub struct RedbStorage {
    database: Database,
    /// What the storage is called in errors.
    path: String,
}

impl RedbStorage {
    /// Opens the storage in the data folder `dir` and makes both where they are missing. The folder gets mode 0700,
    /// the file 0600, before anything is written.
    ///
    /// # Errors
    /// [`StorageError::InUse`] when a process has it open already, this one included; [`StorageError::Corrupt`] when
    /// the file is not ours or of another format; [`StorageError::Io`] when the folder cannot be made, closed to other
    /// users, or written.
    pub fn open(dir: &Path) -> Result<Self, StorageError> {
        let (path, file) = folder::prepare(dir)?;
        let path = path.display().to_string();
        let in_use = || StorageError::InUse {
            path: dir.display().to_string(),
        };
        let backend = FileBackend::new(file).map_err(|error| opening(error, &path, in_use))?;
        Self::with_backend(backend, path, in_use)
    }

    /// Opens the storage on any bytes; `in_use` says that somebody has them.
    pub(crate) fn with_backend(
        backend: impl StorageBackend,
        path: String,
        in_use: impl Fn() -> StorageError,
    ) -> Result<Self, StorageError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let told = path.clone();
        builder.set_repair_callback(move |repair| {
            let percent = (repair.progress() * 100.0).round();
            tracing::info!(file = %told, percent, "the last stop was not clean, checking the data file");
        });
        let database = builder
            .create_with_backend(backend)
            .map_err(|error| opening(error, &path, in_use))?;
        let storage = RedbStorage { database, path };
        storage.check_format()?;
        Ok(storage)
    }

    /// Writes the format and the tables into a new file, and refuses a file of another format.
    fn check_format(&self) -> Result<(), StorageError> {
        let doing = "preparing the data file";
        let write = self
            .database
            .begin_write()
            .map_err(|error| self.io(doing, error))?;
        let found = {
            let mut meta = write.open_table(META).map_err(|error| self.io(doing, error))?;
            let found = meta
                .get(META_FORMAT)
                .map_err(|error| self.io(doing, error))?
                .map(|format| format.value());
            if found.is_none() {
                for (name, number) in [(META_FORMAT, FORMAT), (META_REVISION, 0)] {
                    meta.insert(name, number).map_err(|error| self.io(doing, error))?;
                }
            }
            found
        };
        match found {
            Some(FORMAT) => write.abort().map_err(|error| self.io(doing, error)),
            Some(other) => Err(StorageError::Corrupt {
                what: format!("the data file {}", self.path),
                cause: format!(
                    "it has format {other} and this version of peerway reads format {FORMAT}, start the version that wrote it"
                ),
            }),
            None => {
                write.open_table(ROWS).map_err(|error| self.io(doing, error))?;
                write.commit().map_err(|error| self.io(doing, error))
            }
        }
    }

    fn io(&self, doing: &str, error: impl std::fmt::Display) -> StorageError {
        StorageError::Io {
            doing: format!("{doing} {}", self.path),
            cause: error.to_string(),
        }
    }

    fn corrupt(&self, key: &RowKey, cause: String) -> StorageError {
        StorageError::Corrupt {
            what: format!("the row {key:?} in {}", self.path),
            cause,
        }
    }
}

impl Storage for RedbStorage {
    fn load(&mut self) -> Result<Stored, StorageError> {
        let doing = "reading";
        let read = self
            .database
            .begin_read()
            .map_err(|error| self.io(doing, error))?;
        let meta = read.open_table(META).map_err(|error| self.io(doing, error))?;
        let revision = meta
            .get(META_REVISION)
            .map_err(|error| self.io(doing, error))?
            .map_or(0, |revision| revision.value());
        let table = read.open_table(ROWS).map_err(|error| self.io(doing, error))?;
        let mut rows = Vec::new();
        for entry in table.iter().map_err(|error| self.io(doing, error))? {
            let (key, bytes) = entry.map_err(|error| self.io(doing, error))?;
            let key = decode_key(key.value()).map_err(|error| match error {
                StorageError::Corrupt { what, cause } => StorageError::Corrupt {
                    what: format!("{what} in {}", self.path),
                    cause,
                },
                other => other,
            })?;
            let stored = decode(bytes.value()).map_err(|error| match error {
                StorageError::Corrupt { cause, .. } => self.corrupt(&key, cause),
                other => other,
            })?;
            if stored.row.key() != key {
                return Err(self.corrupt(&key, format!("it holds the row {:?}", stored.row.key())));
            }
            rows.push(stored);
        }
        Ok(Stored { revision, rows })
    }

    fn append(&mut self, revision: Revision, changes: &[RowChange]) -> Result<(), StorageError> {
        let doing = format!("writing revision {revision} to");
        let doing = doing.as_str();
        let mut write = self
            .database
            .begin_write()
            .map_err(|error| self.io(doing, error))?;
        write
            .set_durability(Durability::Immediate)
            .map_err(|error| self.io(doing, error))?;
        {
            let mut rows = write.open_table(ROWS).map_err(|error| self.io(doing, error))?;
            for change in changes {
                match change {
                    RowChange::Put(stored) => {
                        let (key, bytes) = (encode_key(&stored.row.key()), encode(stored));
                        rows.insert(key.as_slice(), bytes.as_slice()).map(drop)
                    }
                    RowChange::Delete(key) => rows.remove(encode_key(key).as_slice()).map(drop),
                }
                .map_err(|error| self.io(doing, error))?;
            }
            write
                .open_table(META)
                .map_err(|error| self.io(doing, error))?
                .insert(META_REVISION, revision)
                .map_err(|error| self.io(doing, error))?;
        }
        write.commit().map_err(|error| self.io(doing, error))
    }
}

fn opening(error: DatabaseError, path: &str, in_use: impl Fn() -> StorageError) -> StorageError {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => in_use(),
        DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() != std::io::ErrorKind::InvalidData =>
        {
            StorageError::Io {
                doing: format!("opening the data file {path}"),
                cause: error.to_string(),
            }
        }
        other => StorageError::Corrupt {
            what: format!("the data file {path}"),
            cause: format!("{other}, restore it from a backup or move it away to begin anew"),
        },
    }
}

#[cfg(test)]
mod tests;
