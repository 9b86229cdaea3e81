//! What every field of every config entry changes for Envoy, from the entry as an operator writes it to the resources:
//! the entry is read, written into a small world, and its proxies' resources are compared with those without the field.
//! `case.rs` says what a case looks like; `UPDATE_GOLDEN=1` writes what it changes. That no field is without a case is
//! checked by the tests of the repository, and that real Envoys take what comes out by those across rooms.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on should fail"
)]

mod base;
mod case;
mod compact;
mod difference;
mod entries;
mod policies;
#[allow(dead_code, reason = "the goldens look at more of it")]
#[path = "../goldens/render.rs"]
mod render;
mod rules;
mod world;

use case::Case;
use difference::{Differences, distance};
use peerway_mesh::Fragment;
use peerway_model::config::ConfigKind;
use peerway_state::Snapshot;
use peerway_xds_translate::{Dialect, ResourceKind, translate};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use world::{Name, Seen};

/// The sentence under which everything stands that is new because of an entry.
const NO_ENTRY: &str = "Compared with no entry:";
const GIVEN: &str = "Compared with the entry before:";
const WITHOUT: &str = "Compared with the entry without it:";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fields")
}

#[test]
fn every_field_changes_what_its_case_says() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let base = world::base();
    let mut wrong = Vec::new();
    for case in case::all(&folder()).unwrap() {
        let name = format!("{}/{}", case.kind, case.field);
        match changes(&base, &case) {
            Err(problem) => wrong.push(format!("{name}: {problem}")),
            Ok(changes) if update => {
                let path = folder().join(&case.kind).join(format!("{}.txt", case.field));
                std::fs::write(path, case.text(&changes)).unwrap();
            }
            Ok(changes) if changes.trim() != case.changes => {
                let shown = Differences::default().between(&case.changes, changes.trim());
                wrong.push(format!("{name}: changes something else than it says:\n{shown}"));
            }
            Ok(_) => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "if that is meant, run with UPDATE_GOLDEN=1 and read what it writes\n{}",
        wrong.join("\n")
    );
}

/// What the field of a case changes.
fn changes(base: &Snapshot, case: &Case) -> Result<String, String> {
    let (value, entry) = world::read(&case.entry)?;
    if entry.kind().as_str() != case.kind {
        return Err(format!("its entry is of the kind {}", entry.kind()));
    }
    let after = world::with(base, &case.world, Some(entry))?;
    let (how, before) = match &case.before {
        Some(text) if text.is_empty() => (NO_ENTRY, world::with(base, &case.world, None)?),
        Some(text) => (GIVEN, world::with(base, &case.world, Some(world::read(text)?.1))?),
        None => {
            let mut rest = value.clone();
            let path: Vec<&str> = case.field.split('.').collect();
            if !leave_out(&mut rest, &path) {
                return Err("its entry does not have the field".to_owned());
            }
            match world::read(&rest.to_string())
                .and_then(|(_, entry)| world::with(base, &case.world, Some(entry)))
            {
                Ok(before) => (WITHOUT, before),
                // The field is required, or something else needs it.
                Err(_) => (NO_ENTRY, world::with(base, &case.world, None)?),
            }
        }
    };
    let shown = shown(&before, &after);
    Ok(format!("{how}\n\n{shown}"))
}

/// Takes a field away, wherever it is in lists and below free keys; whether it was anywhere.
fn leave_out(value: &mut Value, path: &[&str]) -> bool {
    match (value, path) {
        (Value::Array(elements), path) => {
            let mut any = false;
            for element in elements {
                any |= leave_out(element, path);
            }
            any
        }
        (Value::Object(members), [last]) if members.contains_key(*last) => members.remove(*last).is_some(),
        (Value::Object(members), [first, rest @ ..]) if members.contains_key(*first) => members
            .get_mut(*first)
            .is_some_and(|member| leave_out(member, rest)),
        (Value::Object(members), path) => {
            let mut any = false;
            for member in members.values_mut() {
                any |= leave_out(member, path);
            }
            any
        }
        _ => false,
    }
}

/// What proxies are told differently, where there is anything, else what is seen of it elsewhere.
fn shown(before: &Seen, after: &Seen) -> String {
    let told = told(before, after);
    if !told.is_empty() {
        return told;
    }
    let mut chains = String::new();
    for (service, text) in &after.chains {
        let shown = Differences::default().between(&before.chains[service], text);
        if !shown.is_empty() {
            chains.push_str(&format!("chain of {service}:\n{shown}\n"));
        }
    }
    if !chains.is_empty() {
        return format!("Nothing for proxies.\n\n{chains}");
    }
    let text = |seen: &Seen| seen.answer.clone().unwrap_or_default();
    match Differences::default().between(&text(before), &text(after)) {
        shown if shown.is_empty() => "Nothing at all.\n".to_owned(),
        shown => format!("Nothing for proxies, nor in chains.\n\nwhat the API answers:\n{shown}"),
    }
}

/// Every resource that differs, with the proxies for which it does.
fn told(before: &Seen, after: &Seen) -> String {
    type Pair = (Option<Arc<Fragment>>, Option<Arc<Fragment>>);
    let mut changed: BTreeMap<&Name, Vec<(Pair, Vec<&str>)>> = BTreeMap::new();
    for (proxy, now) in &after.told {
        let then = &before.told[proxy];
        let names = then
            .keys()
            .chain(now.keys().filter(|name| !then.contains_key(*name)));
        for name in names {
            let pair = (then.get(name).cloned(), now.get(name).cloned());
            if pair.0 == pair.1 {
                continue;
            }
            let all = changed.entry(name).or_default();
            match all.iter_mut().find(|(known, _)| *known == pair) {
                Some((_, proxies)) => proxies.push(proxy),
                None => all.push((pair, vec![proxy])),
            }
        }
    }
    // What differs in the same way is shown once.
    let mut parts: Vec<(Vec<String>, String, String)> = Vec::new();
    for (name, all) in changed {
        for ((then, now), proxies) in all {
            let (proxies, what) = (proxies.join(", "), called(name));
            let now = now.map(|fragment| text(&fragment));
            let (head, then, now) = match (then, now) {
                (_, None) => (format!("{proxies}: {what} is gone"), String::new(), String::new()),
                (Some(then), Some(now)) => (format!("{proxies}: {what}"), text(&then), now),
                (None, Some(now)) => {
                    let (like, near) = near(before, name, &now);
                    (format!("{proxies}: new {what}{like}"), near, now)
                }
            };
            let shown = Differences::default().between(&then, &now);
            let same = |(_, then, now): &&mut (_, String, String)| {
                Differences::default().between(then, now) == shown
            };
            match parts.iter_mut().find(same) {
                Some((heads, _, _)) => heads.push(head),
                None => parts.push((vec![head], then, now)),
            }
        }
    }
    let mut differences = Differences::default();
    let mut out = String::new();
    for (heads, then, now) in parts {
        let shown = differences.between(&then, &now);
        out.push_str(&format!("{}\n{shown}\n", heads.join("\n")));
    }
    out
}

/// What a resource that was not there is compared with: the nearest one of its kind, unless that is far from it.
fn near(before: &Seen, name: &Name, now: &str) -> (String, String) {
    let all = before.told.values().flatten();
    let near = all
        .filter(|((kind, _), _)| *kind == name.0)
        .map(|(other, fragment)| (other, text(fragment)))
        .map(|(other, text)| (distance(&text, now), other, text))
        .min();
    match near {
        Some((distance, other, near)) if 2 * distance < now.lines().count() => {
            (format!(", as {} but for:", other.1), near)
        }
        _ => (String::new(), String::new()),
    }
}

fn called((kind, name): &Name) -> String {
    let what = match kind {
        ResourceKind::Secret => "secret",
        ResourceKind::Cluster => "cluster",
        ResourceKind::Endpoints => "endpoints of",
        ResourceKind::Listener => "listener",
        ResourceKind::Route => "routes",
        ResourceKind::Extension => "extension",
    };
    format!("{what} {name}")
}

fn text(fragment: &Fragment) -> String {
    compact::compact(&render::any(&translate(fragment, Dialect::From1_37).bytes))
}

/// What the base is without any case: other resources are shown by how they differ from these.
#[test]
fn the_base_is_what_it_was() {
    let base = world::with(&world::base(), &[], None).unwrap();
    let mut all: BTreeMap<&Name, Vec<(String, Vec<&str>)>> = BTreeMap::new();
    for (proxy, told) in &base.told {
        for (name, fragment) in told {
            let text = text(fragment);
            let same = all.entry(name).or_default();
            match same.iter_mut().find(|(known, _)| *known == text) {
                Some((_, proxies)) => proxies.push(proxy),
                None => same.push((text, vec![proxy])),
            }
        }
    }
    let mut shown = String::new();
    for (name, same) in all {
        for (text, proxies) in same {
            shown.push_str(&format!("{}: {}\n{text}\n", proxies.join(", "), called(name)));
        }
    }
    let path = folder().join("base.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    let differs = Differences::default().between(&golden, &shown);
    assert!(
        differs.is_empty(),
        "if that is meant, run with UPDATE_GOLDEN=1\n{differs}"
    );
}

/// What is wrong with the resources of all proxies, by the rules of Envoy's messages.
fn breaches(seen: &Seen, known: &Seen) -> Vec<String> {
    let mut found = Vec::new();
    for (proxy, told) in &seen.told {
        for (name, fragment) in told {
            // What the base has anyway was looked at once.
            if known.told[proxy].get(name) == Some(fragment) {
                continue;
            }
            let wrong = rules::breaches(&translate(fragment, Dialect::From1_37).bytes);
            found.extend(
                wrong
                    .into_iter()
                    .map(|rule| format!("{}: not so: {rule}", called(name))),
            );
        }
    }
    found
}

#[test]
fn what_cases_lead_to_is_within_the_rules() {
    let base = world::base();
    let nothing = Seen {
        told: world::with(&base, &[], None)
            .unwrap()
            .told
            .into_keys()
            .map(|proxy| (proxy, BTreeMap::new()))
            .collect(),
        chains: BTreeMap::new(),
        answer: None,
    };
    for case in case::all(&folder()).unwrap() {
        let (_, entry) = world::read(&case.entry).unwrap();
        let seen = world::with(&base, &case.world, Some(entry)).unwrap();
        let found = breaches(&seen, &nothing);
        assert!(found.is_empty(), "{}/{}: {found:?}", case.kind, case.field);
    }
}

/// Entries by which somebody needs tokens of the provider that is generated.
fn asking() -> Vec<String> {
    let keys = entries::KEYS;
    vec![
        format!(
            "Kind = \"jwt-provider\" Name = \"idp\" Issuer = \"i\" JSONWebKeySet {{ Local {{ JWKS = \"{keys}\" }} }}"
        ),
        "Kind = \"service-intentions\" Name = \"api\" JWT { Providers = [{ Name = \"idp\" }] }
            Sources = [{ Name = \"web\" Action = \"allow\" }]"
            .to_owned(),
    ]
}

/// How many generated entries have to be accepted, so that the rules are looked at at all.
const ACCEPTED: u32 = 300;

#[test]
fn what_is_accepted_is_within_the_rules() {
    let base = world::base();
    let known = world::with(&base, &[], None).unwrap();
    let mut runner = TestRunner::deterministic();
    let strategy = entries::entry();
    let mut accepted = 0;
    let mut tried = 0;
    while accepted < ACCEPTED {
        tried += 1;
        assert!(
            tried < 100 * ACCEPTED,
            "only {accepted} of {tried} entries are accepted"
        );
        let value = strategy.new_tree(&mut runner).unwrap().current();
        let Ok((_, entry)) = world::read(&value.to_string()) else {
            continue;
        };
        // What other entries contradict is refused as well.
        let asking = match entry.kind() {
            ConfigKind::JwtProvider => asking(),
            _ => Vec::new(),
        };
        let Ok(seen) = world::with(&base, &asking, Some(entry)) else {
            continue;
        };
        accepted += 1;
        let found = breaches(&seen, &known);
        assert!(found.is_empty(), "{value}: {found:?}");
    }
}

#[test]
fn a_field_is_left_out_wherever_it_is() {
    let mut value = serde_json::json!({"A": [{"B": {"c": {"D": 1, "E": 2}}}, {"B": {"D": 3}}], "D": 4});
    assert!(leave_out(&mut value, &["A", "B", "D"]));
    let left = serde_json::json!({"A": [{"B": {"c": {"E": 2}}}, {"B": {}}], "D": 4});
    assert_eq!(value, left);
    assert!(!leave_out(&mut value, &["A", "B", "D"]));
}

#[test]
fn a_case_is_read_and_written() {
    let text = "why\n\n[world]\na = 1\n\n[before]\n\n[entry]\nb = 2\n\n[changes]\n+ c\n";
    let case = Case::parse("mesh", "Name", text).unwrap();
    assert_eq!(case.world, ["a = 1"]);
    assert_eq!(case.before.as_deref(), Some(""));
    assert_eq!(case.text(&case.changes), text);
    for bad in ["", "[entry]\na = 1", "why\n[changes]\nx"] {
        assert!(Case::parse("mesh", "Name", bad).is_err(), "{bad}");
    }
}
