//! Names of metrics: `peerway_<room>_<thing>_<unit>[_total]`.
//!
//! A string literal that begins with the prefix is taken for a metric, unless it is the name of one of our crates
//! (log filters have those). Where a count is the value, the unit is the counted thing in the plural.

use std::collections::BTreeSet;

use crate::{Finding, literals, source};

/// The name of this check.
pub(crate) const CHECK: &str = "metric-name";

/// The name of the check that every metric is described.
pub(crate) const DOCUMENTED: &str = "metric-page";
/// The page that describes every metric.
pub(crate) const PAGE: &str = "docs/metrics.md";

const PREFIX: &str = "peerway_";

/// Units that are not the plural of something counted. Base units only: a dashboard scales by itself.
const UNITS: [&str; 5] = ["seconds", "bytes", "ratio", "revision", "info"];

/// Plurals that are no counted thing: scaled units, and words that only look like a plural.
const NO_UNITS: [&str; 14] = [
    "ms",
    "us",
    "ns",
    "millis",
    "micros",
    "nanos",
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "minutes",
    "hours",
    "days",
    "status",
    "kilobytes",
];

/// What can come after the prefix: rooms, and names of crates that are no metrics.
#[derive(Debug)]
pub(crate) struct Rooms {
    rooms: BTreeSet<String>,
    libraries: BTreeSet<String>,
}

impl Rooms {
    /// From the folder and the library name of every crate. A room in a folder inside another may go by the
    /// outer one's name: what is seen from outside is `state`, not how it is divided.
    pub(crate) fn new<'a>(crates: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut all = Self {
            rooms: BTreeSet::new(),
            libraries: BTreeSet::new(),
        };
        for (folder, library) in crates {
            all.rooms.extend(folder.split('/').next().map(str::to_owned));
            all.libraries.insert(library.to_owned());
        }
        all
    }
}

/// Literals of a file that begin like a metric and are not named like one. Tests are left out: they make up
/// metrics, wrong ones too.
pub(crate) fn check(rooms: &Rooms, path: &str, text: &str) -> Vec<Finding> {
    let faulty = |(line, name): (usize, String)| {
        let fault = fault(rooms, &name)?;
        Some(Finding::new(
            CHECK,
            path,
            format!("line {line}: {PREFIX}{name}: {fault}"),
        ))
    };
    names(rooms, path, text).into_iter().filter_map(faulty).collect()
}

/// Metrics of a file that the page of metrics does not describe.
pub(crate) fn undocumented(rooms: &Rooms, page: &str, path: &str, text: &str) -> Vec<Finding> {
    let is_missing = |name: &str| !documented(page).contains(&format!("{PREFIX}{name}"));
    let missing = names(rooms, path, text)
        .into_iter()
        .filter(|(_, name)| is_missing(name));
    missing
        .map(|(line, name)| {
            Finding::new(
                DOCUMENTED,
                path,
                format!("line {line}: {PREFIX}{name} has no row in {PAGE}"),
            )
        })
        .collect()
}

/// The metrics that have a row in the page: its first cell is the name.
pub(crate) fn documented(page: &str) -> BTreeSet<String> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| name.starts_with(PREFIX))
        .map(str::to_owned)
        .collect()
}

/// Line and name, without the prefix, of every literal of a file that begins like a metric.
pub(crate) fn names(rooms: &Rooms, path: &str, text: &str) -> Vec<(usize, String)> {
    if source::is_test(path) {
        return Vec::new();
    }
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let literals = literals::scan(source::before_tests(text)).strings;
    literals
        .into_iter()
        .filter_map(|(line, literal)| {
            let rest = literal.strip_prefix(PREFIX)?;
            let end = rest.find(|character| !is_name(character)).unwrap_or(rest.len());
            Some((line, rest.get(..end)?.to_owned()))
        })
        .filter(|(_, name)| !rooms.libraries.contains(&format!("{PREFIX}{name}")))
        .collect()
}

/// What is wrong with a name, given without the prefix.
fn fault(rooms: &Rooms, name: &str) -> Option<String> {
    let mut words: Vec<&str> = name.split('_').collect();
    let is_word =
        |word: &&str| word.starts_with(|first: char| first.is_ascii_lowercase()) && !has_upper(word);
    if !words.iter().all(is_word) {
        return Some("words must be lower case, start with a letter and be whole in one literal".to_owned());
    }
    let room = words.remove(0);
    if !rooms.rooms.contains(room) {
        return Some(format!("{room} is no room: begin with the one that counts"));
    }
    let is_total = words.last() == Some(&"total");
    if is_total {
        words.pop();
    }
    let Some(unit) = words.last() else {
        return Some("it says no thing and no unit".to_owned());
    };
    let is_base = UNITS.contains(unit);
    if is_base && words.len() < 2 {
        return Some(format!("it says no thing that has {unit}"));
    }
    if !is_base && (!unit.ends_with('s') || NO_UNITS.contains(unit)) {
        return Some(format!(
            "{unit} is no unit: end with one of {}, or with what is counted",
            UNITS.join(", ")
        ));
    }
    if is_total && ["ratio", "revision", "info"].contains(unit) {
        return Some(format!("a {unit} has no total"));
    }
    None
}

fn has_upper(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod unit {
    use super::*;

    fn rooms() -> Rooms {
        let crates = [
            ("state/store", "peerway_store"),
            ("xds/server", "peerway_xds_server"),
            ("mesh", "peerway_mesh"),
        ];
        Rooms::new(crates.into_iter())
    }

    #[test]
    fn good_names_pass() {
        for good in [
            "xds_push_seconds",
            "xds_streams",
            "xds_server_nacks_total",
            "state_commits_total",
            "state_snapshot_revision",
            "mesh_shape_bytes",
            "mesh_waiting_seconds_total",
        ] {
            assert_eq!(fault(&rooms(), good), None, "{good}");
        }
    }

    #[test]
    fn bad_names_are_found() {
        for bad in [
            "",
            "xds",
            "xds_total",
            "xds_seconds",
            "xds_nack_total",
            "xds_push_ms",
            "xds_push_latency",
            "xds_Push_seconds",
            "xds__push_seconds",
            "xds_push_seconds_",
            "xds_2_seconds",
            "xds_hit_ratio_total",
            "store_commits_total",
            "dns_answers_total",
        ] {
            assert!(fault(&rooms(), bad).is_some(), "{bad:?} passes");
        }
    }

    #[test]
    fn literals_are_found_in_code_and_told_from_crate_names() {
        let metric = |name: &str| format!("fn a() {{\n    count(\"{PREFIX}{name}\");\n}}\n");
        let findings = check(&rooms(), "mesh/src/a.rs", &metric("mesh_bad"));
        assert!(
            findings.len() == 1 && findings[0].text.starts_with("line 2:"),
            "{findings:?}"
        );
        assert_eq!(check(&rooms(), "mesh/src/a.rs", &metric("mesh_shapes{kind}")), []);
        assert_eq!(
            check(&rooms(), "mesh/src/a.rs", &metric("mesh_{thing}_total")).len(),
            1,
            "made at run time"
        );
        assert_eq!(
            check(&rooms(), "mesh/src/a.rs", &metric("xds_server=debug,info")),
            []
        );
        assert_eq!(check(&rooms(), "mesh/src/a.rs", &metric("mesh::views=debug")), []);
        assert_eq!(check(&rooms(), "mesh/src/tests.rs", &metric("mesh_bad")), []);
        let after_tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", metric("mesh_bad"));
        assert_eq!(check(&rooms(), "mesh/src/a.rs", &after_tests), []);
    }
}
