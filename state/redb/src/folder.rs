//! The data folder: made, closed to others, and its entries made durable.

use peerway_store::StorageError;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The database in the data folder.
pub const FILE: &str = "peerway.redb";

/// Only the owner may do anything with the folder.
const FOLDER_MODE: u32 = 0o700;
/// Only the owner may read and write the file.
const FILE_MODE: u32 = 0o600;
/// The bits of everybody but the owner.
const OTHERS: u32 = 0o077;
/// What a folder may hold and still be taken for a data folder: our file, and what file systems put there.
const KNOWN: [&str; 2] = [FILE, "lost+found"];

/// Makes the folder and an empty file where they are missing and closes both to others. Returns the file, open.
pub(crate) fn prepare(folder: &Path) -> Result<(PathBuf, File), StorageError> {
    let made = !folder.exists();
    if made {
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(folder)
            .map_err(|error| io("creating the data folder", folder, error))?;
    }
    close_folder(folder)?;
    let path = folder.join(FILE);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(|error| io("opening the data file", &path, error))?;
    // The mode above counts for a new file only.
    file.set_permissions(Permissions::from_mode(FILE_MODE))
        .map_err(|error| io("closing the data file to other users", &path, error))?;
    // A file whose entry in the folder is not durable is lost with all its content; the same for the folder.
    sync_folder(folder)?;
    if let (true, Some(parent)) = (made, folder.parent()) {
        let here = Path::new(".");
        sync_folder(if parent.as_os_str().is_empty() {
            here
        } else {
            parent
        })?;
    }
    Ok((path, file))
}

fn close_folder(folder: &Path) -> Result<(), StorageError> {
    let metadata = fs::metadata(folder).map_err(|error| io("reading the data folder", folder, error))?;
    if !metadata.is_dir() {
        return Err(refused(folder, "it is not a folder, choose another data_dir"));
    }
    if metadata.permissions().mode() & OTHERS == 0 {
        return Ok(());
    }
    // Taking a folder away from others is right for a data folder and a disaster for /tmp or /var/lib.
    let entries = fs::read_dir(folder).map_err(|error| io("reading the data folder", folder, error))?;
    for entry in entries {
        let name = entry
            .map_err(|error| io("reading the data folder", folder, error))?
            .file_name();
        if !KNOWN.iter().any(|known| name == *known) {
            return Err(refused(
                folder,
                "it is open to other users and holds other files, choose a folder inside it as data_dir or run chmod 700 on it",
            ));
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)).map_err(|error| {
        refused(
            folder,
            &format!(
                "it is open to other users and cannot be closed to them ({error}), choose a folder inside it as data_dir or make the user of peerway its owner"
            ),
        )
    })
}

fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| io("making the data folder durable", folder, error))
}

fn refused(folder: &Path, cause: &str) -> StorageError {
    StorageError::Io {
        doing: format!("preparing the data folder {}", folder.display()),
        cause: cause.to_owned(),
    }
}

fn io(doing: &str, path: &Path, error: std::io::Error) -> StorageError {
    StorageError::Io {
        doing: format!("{doing} {}", path.display()),
        cause: error.to_string(),
    }
}
