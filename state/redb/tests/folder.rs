//! The data folder: who may read it, who has it, and what is said when it cannot be used.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of a test fail it by a panic, as the test itself does"
)]

use peerway_redb::{FILE, RedbStorage};
use peerway_store::StorageError;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn refusal(dir: &Path) -> String {
    let Err(error) = RedbStorage::open(dir) else {
        unreachable!("it was opened");
    };
    let told = error.to_string();
    assert!(told.contains(dir.to_str().unwrap()), "{told}");
    told
}

#[test]
fn folder_and_file_are_made_for_the_owner_alone() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("some/data");
    drop(RedbStorage::open(&dir).unwrap());
    assert_eq!((mode(&dir), mode(&dir.join(FILE))), (0o700, 0o600));
}

#[test]
fn an_open_folder_is_closed_when_it_is_empty_or_ours() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    drop(RedbStorage::open(dir.path()).unwrap());
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(dir.path().join(FILE), Permissions::from_mode(0o644)).unwrap();
    drop(RedbStorage::open(dir.path()).unwrap());
    assert_eq!((mode(dir.path()), mode(&dir.path().join(FILE))), (0o700, 0o600));
}

#[test]
fn a_folder_of_others_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("of-somebody-else"), "").unwrap();
    assert!(refusal(dir.path()).contains("chmod 700"));
    assert_eq!(mode(dir.path()), 0o755);
    assert!(!dir.path().join(FILE).exists());
}

#[test]
fn a_second_storage_is_told_who_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let first = RedbStorage::open(dir.path()).unwrap();
    let Err(error) = RedbStorage::open(dir.path()) else {
        unreachable!("the folder is in use");
    };
    assert!(matches!(error, StorageError::InUse { .. }), "{error}");
    let told = error.to_string();
    assert!(
        told.contains(dir.path().to_str().unwrap()) && told.contains("data_dir"),
        "{told}"
    );
    drop(first);
    drop(RedbStorage::open(dir.path()).unwrap());
}

#[test]
fn places_that_cannot_be_a_folder_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    fs::write(&file, "").unwrap();
    assert!(refusal(&file).contains("not a folder"));
    refusal(&file.join("below"));
}

#[test]
fn a_file_that_is_not_ours_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    for content in [&b"hello"[..], &[0xab; 100_000]] {
        fs::write(&path, content).unwrap();
        let Err(error) = RedbStorage::open(dir.path()) else {
            unreachable!("it is not a database");
        };
        assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}
