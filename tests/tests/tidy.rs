//! Checks of the repository itself: that ARCHITECTURE.md is true, and the rules of CONTRIBUTING.md that no
//! compiler holds.
//!
//! Each check is a function from text to findings and has tests of its own with bad input, so that a check that
//! finds nothing is known to be one that could have. The tests below run them over the tree.

#[path = "tidy/edges.rs"]
mod edges;
#[path = "tidy/exceptions.rs"]
mod exceptions;
#[path = "tidy/fields.rs"]
mod fields;
#[path = "tidy/literals.rs"]
mod literals;
#[path = "tidy/lock.rs"]
mod lock;
#[path = "tidy/metrics.rs"]
mod metrics;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/table.rs"]
mod table;
#[path = "tidy/tree.rs"]
mod tree;

use std::collections::BTreeSet;

use exceptions::Exception;

/// Files that break a rule for a reason. An entry that nothing needs any more is an error.
const EXCEPTIONS: &[Exception] = &[];

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The name of the check, as an [`Exception`] gives it.
    check: &'static str,
    /// The file, relative to the root of the repository.
    path: String,
    /// What is wrong and what to do.
    text: String,
}

impl Finding {
    fn new(check: &'static str, path: &str, text: impl Into<String>) -> Self {
        Self {
            check,
            path: path.to_owned(),
            text: text.into(),
        }
    }
}

/// Fails with every finding that no exception covers.
fn expect_none(check: &str, findings: Vec<Finding>) {
    let left = exceptions::remaining(check, findings, EXCEPTIONS);
    assert!(left.is_empty(), "{} found:\n  {}", check, left.join("\n  "));
}

#[test]
fn edges_and_architecture_agree() {
    let rooms = edges::Room::all_from(&tree::cargo_metadata().unwrap()).unwrap();
    assert!(
        rooms.len() > 10,
        "only {} rooms seen in cargo metadata",
        rooms.len()
    );
    let locked: BTreeSet<String> = lock::packages(&tree::read("Cargo.lock").unwrap())
        .into_iter()
        .collect();
    expect_none(
        edges::CHECK,
        edges::compare(&tree::read("ARCHITECTURE.md").unwrap(), &rooms, &locked).unwrap(),
    );
}

#[test]
fn planned_rooms_are_not_there() {
    let text = tree::read("ARCHITECTURE.md").unwrap();
    let planned = edges::planned(&text);
    assert!(
        !planned.is_empty(),
        "no list of planned rooms was found in ARCHITECTURE.md"
    );
    for room in planned {
        let there = tree::root().join(&room).join("Cargo.toml").exists();
        assert!(
            !there,
            "{room} exists: move it from the planned rooms to the table"
        );
    }
}

#[test]
fn the_lock_file_holds_no_banned_crate() {
    let rules = lock::Rules::from_deny(&tree::read("deny.toml").unwrap());
    assert!(
        !rules.banned.is_empty() && !rules.single.is_empty(),
        "deny.toml was not understood: {rules:?}"
    );
    expect_none(
        lock::CHECK,
        lock::check(&rules, &tree::read("Cargo.lock").unwrap()),
    );
}

/// Runs a check over every text file of the tree that `wanted` selects.
fn over_files(
    wanted: fn(&str) -> bool,
    check: impl Fn(&str, &str) -> Vec<Finding>,
) -> Result<Vec<Finding>, String> {
    let files = tree::text_files()?;
    if files.len() <= 30 {
        return Err(format!("only {} files seen", files.len()));
    }
    let wanted = files.iter().filter(|file| wanted(&file.path));
    Ok(wanted.flat_map(|file| check(&file.path, &file.text)).collect())
}

fn is_any(_: &str) -> bool {
    true
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

#[test]
fn no_machine_paths() {
    expect_none(
        source::MACHINE_PATH,
        over_files(is_any, source::machine_paths).unwrap(),
    );
}

#[test]
fn nothing_is_left_for_later() {
    expect_none(
        source::UNFINISHED,
        over_files(is_rust, source::unfinished).unwrap(),
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    expect_none(source::DOC_LINE, over_files(is_rust, source::doc_line).unwrap());
}

#[test]
fn files_are_short() {
    expect_none(source::LENGTH, over_files(is_rust, source::length).unwrap());
}

#[test]
fn files_are_named_after_what_they_hold() {
    expect_none(
        source::FILE_NAME,
        over_files(is_any, |path, _| source::file_name(path)).unwrap(),
    );
}

#[test]
fn lints_are_silenced_with_a_reason() {
    expect_none(
        source::SILENCED,
        over_files(is_rust, source::silenced_without_reason).unwrap(),
    );
}

#[test]
fn metrics_are_named_by_the_rule() {
    let rooms = edges::Room::all_from(&tree::cargo_metadata().unwrap()).unwrap();
    let rooms = metrics::Rooms::new(
        rooms
            .iter()
            .map(|room| (room.folder.as_str(), room.library.as_str())),
    );
    expect_none(
        metrics::CHECK,
        over_files(is_rust, |path, text| metrics::check(&rooms, path, text)).unwrap(),
    );
}

#[test]
fn metrics_and_their_page_agree() {
    let rooms = edges::Room::all_from(&tree::cargo_metadata().unwrap()).unwrap();
    let rooms = metrics::Rooms::new(
        rooms
            .iter()
            .map(|room| (room.folder.as_str(), room.library.as_str())),
    );
    let page = tree::read(metrics::PAGE).unwrap();
    expect_none(
        metrics::DOCUMENTED,
        over_files(is_rust, |path, text| {
            metrics::undocumented(&rooms, &page, path, text)
        })
        .unwrap(),
    );
    let mut known = BTreeSet::new();
    for file in tree::text_files()
        .unwrap()
        .iter()
        .filter(|file| is_rust(&file.path))
    {
        known.extend(
            metrics::names(&rooms, &file.path, &file.text)
                .into_iter()
                .map(|(_, name)| format!("peerway_{name}")),
        );
    }
    let gone: Vec<String> = metrics::documented(&page)
        .into_iter()
        .filter(|name| !known.contains(name))
        .collect();
    assert!(
        gone.is_empty(),
        "{} describes metrics that do not exist: {gone:?}",
        metrics::PAGE
    );
}

#[test]
fn every_field_of_config_entries_has_a_case() {
    let cases = fields::case::all(&tree::root().join(fields::FOLDER)).unwrap();
    let accepted = fields::accepted(&cases).unwrap();
    let named: Vec<(&str, &str)> = cases
        .iter()
        .map(|case| (case.kind.as_str(), case.field.as_str()))
        .collect();
    expect_none(fields::CHECK, fields::check(&accepted, &named));
}

#[test]
fn exceptions_have_reasons_and_name_real_checks() {
    let checks = [
        edges::CHECK,
        lock::CHECK,
        source::MACHINE_PATH,
        source::UNFINISHED,
        source::DOC_LINE,
        source::LENGTH,
        source::FILE_NAME,
        source::SILENCED,
        metrics::CHECK,
        fields::CHECK,
    ];
    let faults = exceptions::faults(EXCEPTIONS, &checks);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
