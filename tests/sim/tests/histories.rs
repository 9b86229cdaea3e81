//! A few hundred histories, the same each time, and proof that the simulation finds what is broken.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use peerway_sim::{History, Sabotage, find, replay, run, seed_of};

/// How many histories CI can afford.
const HISTORIES: u64 = 300;
/// From which they follow.
const SEED: u64 = 4;

fn invariant(history: &History) -> &'static str {
    history
        .violation
        .as_ref()
        .map_or("", |violation| violation.invariant)
}

#[test]
fn the_invariants_hold() {
    let report = run(HISTORIES, SEED, Sabotage::None);
    assert_eq!(report.histories, HISTORIES);
    for history in &report.kept {
        let lines = history.lines.join("\n");
        println!("seed {}: {:?}\n{lines}", history.seed, history.violation);
    }
    assert_eq!(report.violations, 0, "see the histories above");
    // Histories in which nothing happens would hold too.
    let counts = report.counts;
    for (what, count) in [
        ("links", counts.links),
        ("takeovers", counts.takeovers),
        ("repeated attempts", counts.repeated),
        ("tokens that were given out again", counts.reissued),
        ("requests for tokens that are spent", counts.denied),
        // Tokens that are revoked, late or for somebody else leave fewer peerings to end.
        ("terminations", counts.terminated),
    ] {
        let least = HISTORIES / if what == "terminations" { 3 } else { 2 };
        assert!(count >= least, "only {count} {what}");
    }
    // A loss is either noticed or the exporter happens to change the service first.
    for (what, count) in [
        ("losses", counts.lost),
        ("resynchronisations", counts.resyncs),
        ("refusals", counts.refused),
        ("revocations", counts.revoked),
    ] {
        assert!(count >= HISTORIES / 4, "only {count} {what}");
    }
    assert!(
        counts.imports >= 50 * HISTORIES,
        "only {} imports",
        counts.imports
    );
}

#[test]
fn a_failing_seed_replays() {
    let failing = find(HISTORIES, SEED, Sabotage::DropRemoval).unwrap();
    let again = replay(failing.seed, Sabotage::DropRemoval);
    assert_eq!(again.violation, failing.violation);
    assert_eq!(
        (again.trace, again.steps, &again.lines),
        (failing.trace, failing.steps, &failing.lines)
    );
    let other = replay(seed_of(SEED + 1, 0), Sabotage::DropRemoval);
    assert_ne!(other.trace, failing.trace);
}

#[test]
fn a_dropped_removal_is_caught() {
    let found = find(HISTORIES, SEED, Sabotage::DropRemoval).unwrap();
    // Between clusters that cannot ask for everything anew, each attempt to heal it costs the stream.
    let caught = ["converges", "linked clusters connect"];
    assert!(caught.contains(&invariant(&found)), "{:?}", found.violation);
}

#[test]
fn a_deletion_that_keeps_imports_is_caught() {
    let found = find(HISTORIES, SEED, Sabotage::KeepImports).unwrap();
    assert_eq!(invariant(&found), "an ended peering leaves no rows");
}

#[test]
fn a_loss_that_is_believed_to_be_there_is_caught() {
    let found = find(HISTORIES, SEED, Sabotage::Trusting).unwrap();
    assert_eq!(invariant(&found), "nothing stale is reported fresh");
}

#[test]
fn a_stream_that_does_not_wait_for_the_one_before_is_caught() {
    let found = find(4 * HISTORIES, SEED, Sabotage::NoWaiting).unwrap();
    assert_eq!(invariant(&found), "never back in time");
}
