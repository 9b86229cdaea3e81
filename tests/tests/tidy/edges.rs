//! The edges between rooms: ARCHITECTURE.md against every Cargo.toml, both ways.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{Finding, table};

/// The name of this check.
pub(crate) const CHECK: &str = "edges";

const FILE: &str = "ARCHITECTURE.md";

/// A room as its Cargo.toml has it. Dev-dependencies are not in it.
#[derive(Debug, Default)]
pub(crate) struct Room {
    /// The folder from the root of the repository; the name of the room.
    pub(crate) folder: String,
    /// The crate's name as Rust code spells it.
    pub(crate) library: String,
    /// Folders of the rooms it uses.
    pub(crate) rooms: BTreeSet<String>,
    /// Names of the external crates it uses.
    pub(crate) external: BTreeSet<String>,
}

impl Room {
    /// All rooms, from the output of `cargo metadata --no-deps`.
    pub(crate) fn all_from(metadata: &Value) -> Result<Vec<Self>, String> {
        let root = text(&metadata["workspace_root"])?;
        let folder_of = |path: &str| {
            let path = path.strip_suffix("/Cargo.toml").unwrap_or(path);
            path.strip_prefix(root)
                .map(|path| path.trim_start_matches('/').to_owned())
        };
        let mut rooms = Vec::new();
        for package in array(&metadata["packages"])? {
            let manifest = text(&package["manifest_path"])?;
            let mut room = Self {
                folder: folder_of(manifest)
                    .ok_or_else(|| format!("{manifest} is outside of the repository"))?,
                library: text(&package["name"])?.replace('-', "_"),
                ..Self::default()
            };
            for dependency in array(&package["dependencies"])? {
                if dependency["kind"] == "dev" {
                    continue;
                }
                // An edge to a folder outside of the repository counts as external, under the package's name.
                match dependency["path"].as_str().and_then(folder_of) {
                    Some(folder) => room.rooms.insert(folder),
                    None => room.external.insert(text(&dependency["name"])?.to_owned()),
                };
            }
            rooms.push(room);
        }
        Ok(rooms)
    }
}

/// Everything in which the two tables of ARCHITECTURE.md and the rooms differ. `locked` are all packages of
/// Cargo.lock: a forbidden crate that is not among them is a typing error that could never be found out.
pub(crate) fn compare(
    architecture: &str,
    rooms: &[Room],
    locked: &BTreeSet<String>,
) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    let mut find = |text: String| findings.push(Finding::new(CHECK, FILE, text));

    let mut rows = BTreeMap::new();
    for row in table::rows(architecture, "room").ok_or("ARCHITECTURE.md has no single table of rooms")? {
        let [room, may_use, must_not_use, ..] = row.as_slice() else {
            return Err(format!("the row {row:?} is too short"));
        };
        if rows
            .insert(room.clone(), (set(may_use), set(must_not_use)))
            .is_some()
        {
            find(format!("{room} has two rows: keep one"));
        }
    }

    for room in rooms {
        let name = &room.folder;
        let Some((may_use, must_not_use)) = rows.remove(name) else {
            find(format!("{name} has no row in the table: add one"));
            continue;
        };
        for edge in room.rooms.difference(&may_use) {
            find(format!(
                "{name} uses {edge}, which its row does not allow: remove the use, or give the edge a reason"
            ));
        }
        for edge in may_use.difference(&room.rooms) {
            find(format!(
                "{name} may use {edge} but does not: remove it from the row"
            ));
        }
        for external in room.external.intersection(&must_not_use) {
            find(format!("{name} uses {external}, which its row forbids"));
        }
        for unknown in must_not_use.difference(locked) {
            find(format!(
                "{name} must not use {unknown}, but no crate of that name is known: correct the spelling"
            ));
        }
    }
    for name in rows.keys() {
        find(format!(
            "{name} has a row but is no crate: move it to the planned rooms"
        ));
    }

    for row in table::rows(architecture, "crate")
        .ok_or("ARCHITECTURE.md has no single table of crates with a home")?
    {
        let [external, homes, ..] = row.as_slice() else {
            return Err(format!("the row {row:?} is too short"));
        };
        let homes = set(homes);
        let users: BTreeSet<String> = rooms
            .iter()
            .filter(|room| room.external.contains(external))
            .map(|room| room.folder.clone())
            .collect();
        for user in users.difference(&homes) {
            find(format!("{user} uses {external}, which is not at home there"));
        }
        for home in homes.difference(&users) {
            find(format!(
                "{external} is at home in {home}, which does not use it: remove it from the row"
            ));
        }
    }
    Ok(findings)
}

/// The rooms that ARCHITECTURE.md lists as planned.
pub(crate) fn planned(architecture: &str) -> Vec<String> {
    let after = architecture
        .lines()
        .skip_while(|line| !line.starts_with("Planned rooms"))
        .skip(1);
    let items = after
        .skip_while(|line| line.is_empty())
        .take_while(|line| line.starts_with("- `"));
    items
        .filter_map(|item| item.split('`').nth(1).map(str::to_owned))
        .collect()
}

fn set(cell: &str) -> BTreeSet<String> {
    table::list(cell).into_iter().collect()
}

fn text(value: &Value) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("cargo metadata has {value} where a text should be"))
}

fn array(value: &Value) -> Result<&Vec<Value>, String> {
    value
        .as_array()
        .ok_or_else(|| format!("cargo metadata has {value} where a list should be"))
}

#[cfg(test)]
mod unit {
    use super::*;

    /// A workspace of two rooms, `a` and `b/c`; the second uses the first, `serde`, and `proptest` in its tests.
    fn two_rooms() -> Vec<Room> {
        let metadata = serde_json::json!({
            "workspace_root": "/repo",
            "packages": [
                { "name": "peerway-a", "manifest_path": "/repo/a/Cargo.toml", "dependencies": [] },
                { "name": "peerway-b-c", "manifest_path": "/repo/b/c/Cargo.toml", "dependencies": [
                    { "name": "peerway-a", "kind": null, "path": "/repo/a" },
                    { "name": "serde", "kind": "build" },
                    { "name": "proptest", "kind": "dev" },
                ] },
            ],
        });
        Room::all_from(&metadata).unwrap()
    }

    fn tables(rows: &str, homes: &str) -> String {
        format!(
            "| room | may use | must not use |\n|---|---|---|\n{rows}\n\n| crate | only in |\n|---|---|\n{homes}\n"
        )
    }

    fn compared(rows: &str, homes: &str) -> Vec<String> {
        let locked = ["serde", "proptest", "tokio"].map(str::to_owned).into();
        let findings = compare(&tables(rows, homes), &two_rooms(), &locked).unwrap();
        findings.into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn a_true_table_has_no_findings() {
        let findings = compared(
            "| a | - | serde |\n| `b/c` | a | tokio, proptest |",
            "| serde | b/c |",
        );
        assert_eq!(findings, Vec::<String>::new());
    }

    #[test]
    fn every_untruth_is_found() {
        let home = "| serde | b/c |";
        for (rows, homes, wanted) in [
            ("| a | - | - |\n| b/c | - | - |", home, "b/c uses a,"),
            (
                "| a | b/c | - |\n| b/c | a | - |",
                home,
                "a may use b/c but does not",
            ),
            (
                "| a | - | - |\n| b/c | a | serde |",
                home,
                "b/c uses serde, which its row forbids",
            ),
            ("| a | - | - |\n| b/c | a | sered |", home, "correct the spelling"),
            ("| b/c | a | - |", home, "a has no row"),
            (
                "| a | - | - |\n| b/c | a | - |\n| dns | - | - |",
                home,
                "dns has a row but is no crate",
            ),
            (
                "| a | - | - |\n| a | - | - |\n| b/c | a | - |",
                home,
                "a has two rows",
            ),
            (
                "| a | - | - |\n| b/c | a | - |",
                "| serde | a, b/c |",
                "serde is at home in a, which does not",
            ),
            (
                "| a | - | - |\n| b/c | a | - |",
                "| serde | - |",
                "b/c uses serde, which is not at home",
            ),
        ] {
            let findings = compared(rows, homes);
            assert!(
                findings.iter().any(|text| text.contains(wanted)),
                "{wanted:?} is not in {findings:?}"
            );
        }
    }

    #[test]
    fn a_file_without_the_tables_is_an_error() {
        assert!(compare("# Architecture\n", &two_rooms(), &BTreeSet::new()).is_err());
        assert!(compare(&tables("| a |", ""), &two_rooms(), &BTreeSet::new()).is_err());
    }

    #[test]
    fn the_planned_rooms_end_with_their_list() {
        let text = "Planned rooms that do not exist yet:\n\n- `state/x`: one\n- `y`: two\n\n## More\n\n- `z`: not one\n";
        assert_eq!(planned(text), ["state/x", "y"]);
        assert_eq!(planned("# Nothing\n"), Vec::<String>::new());
    }
}
