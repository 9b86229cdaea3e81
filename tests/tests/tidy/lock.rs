//! The bans of deny.toml, held against Cargo.lock on machines without cargo-deny too.

use crate::Finding;

/// The name of this check.
pub(crate) const CHECK: &str = "lock";

/// What deny.toml says about crates by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Crates that must not be there at all.
    pub(crate) banned: Vec<String>,
    /// Crates of which only one version may be there.
    pub(crate) single: Vec<String>,
}

impl Rules {
    /// Reads the `{ crate = "name", ... }` entries, one a line, of deny.toml.
    pub(crate) fn from_deny(text: &str) -> Self {
        let mut rules = Self::default();
        for line in text.lines() {
            let Some((_, rest)) = line.trim().split_once("{ crate = \"") else {
                continue;
            };
            let Some((name, rest)) = rest.split_once('"') else {
                continue;
            };
            let list = if rest.contains("deny-multiple-versions") {
                &mut rules.single
            } else {
                &mut rules.banned
            };
            list.push(name.to_owned());
        }
        rules
    }
}

/// The name of every package in Cargo.lock; one that is there in two versions twice.
pub(crate) fn packages(lock: &str) -> Vec<String> {
    let names = lock
        .lines()
        .filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    names.map(str::to_owned).collect()
}

/// Banned crates that are locked, and crates locked in more than their one version.
pub(crate) fn check(rules: &Rules, lock: &str) -> Vec<Finding> {
    let packages = packages(lock);
    let count = |name: &String| packages.iter().filter(|package| *package == name).count();
    let mut findings = Vec::new();
    for name in rules.banned.iter().filter(|name| count(name) > 0) {
        let text = format!("{name} is banned by deny.toml: `cargo tree -i {name}` says who brings it");
        findings.push(Finding::new(CHECK, "Cargo.lock", text));
    }
    for name in rules.single.iter().filter(|name| count(name) > 1) {
        let text = format!(
            "{name} is there in {} versions: `cargo tree -d` says why",
            count(name)
        );
        findings.push(Finding::new(CHECK, "Cargo.lock", text));
    }
    findings
}

#[cfg(test)]
mod unit {
    use super::*;

    const DENY: &str = "deny = [\n    { crate = \"openssl\", reason = \"x\" },\n    { crate = \"rustls\", deny-multiple-versions = true },\n]\n";

    fn lock(names: &[&str]) -> String {
        names
            .iter()
            .map(|name| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n"))
            .collect()
    }

    #[test]
    fn banned_and_doubled_crates_are_found() {
        let rules = Rules::from_deny(DENY);
        assert_eq!(
            rules,
            Rules {
                banned: vec!["openssl".to_owned()],
                single: vec!["rustls".to_owned()]
            }
        );
        assert_eq!(check(&rules, &lock(&["rustls", "serde", "serde"])), []);
        assert!(
            check(&rules, &lock(&["openssl"]))[0]
                .text
                .contains("openssl is banned")
        );
        assert!(
            check(&rules, &lock(&["rustls", "rustls"]))[0]
                .text
                .contains("2 versions")
        );
        assert_eq!(
            check(&rules, &lock(&["openssl-probe", "rustls", "rustls-webpki"])),
            []
        );
    }
}
