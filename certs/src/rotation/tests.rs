//! The decisions as tables: every phase, and whom each waits for.

use super::*;

const START: u64 = 1_000_000;

fn rotation(phase: RotationPhase) -> Rotation {
    Rotation {
        phase,
        old_root: "old".to_owned(),
        new_root: "new".to_owned(),
        started: START,
        since: START,
        switched: None,
        confirmed_peers: BTreeSet::new(),
    }
}

fn witness(kind: WitnessKind, name: &str, trusts: Result<(), &str>, renewed: Result<(), &str>) -> Witness {
    Witness {
        kind,
        name: name.to_owned(),
        id: format!("id of {name}"),
        trusts: trusts.map_err(str::to_owned),
        renewed: renewed.map_err(str::to_owned),
        loses: "everything",
    }
}

fn names(rotation: &Rotation, facts: &Facts) -> Vec<String> {
    let missing = missing(rotation, facts, UnixMillis(START));
    missing
        .into_iter()
        .map(|missing| format!("{}: {}", missing.name, missing.reason))
        .collect()
}

#[test]
fn the_table_of_steps() {
    use Decision::{Enter, Finish, Stay};
    use RotationPhase::{Announced, Confirmed, Replaced, Switched};
    let settle = u64::try_from(SETTLE.as_millis()).unwrap();
    for (phase, missing, after, expected) in [
        (Announced, true, 0, Stay),
        (Announced, true, u64::MAX - START, Stay),
        (Announced, false, 0, Enter(Confirmed)),
        (Confirmed, false, 0, Stay),
        (Confirmed, false, settle - 1, Stay),
        (Confirmed, false, settle, Enter(Switched)),
        (Confirmed, true, 0, Enter(Announced)),
        (Confirmed, true, settle, Enter(Announced)),
        (Switched, true, 0, Stay),
        (Switched, true, u64::MAX - START, Stay),
        (Switched, false, 0, Enter(Replaced)),
        (Replaced, false, 0, Stay),
        (Replaced, false, settle - 1, Stay),
        (Replaced, false, settle, Finish),
        (Replaced, true, 0, Enter(Switched)),
        (Replaced, true, settle, Enter(Switched)),
    ] {
        let decided = decide(&rotation(phase), missing, UnixMillis(START + after));
        assert_eq!(
            decided, expected,
            "{phase:?}, missing {missing}, after {after} ms"
        );
    }
    // A clock that was put back only makes the rotation wait.
    assert_eq!(decide(&rotation(Confirmed), false, UnixMillis(0)), Stay);
    assert_eq!(decide(&rotation(Replaced), false, UnixMillis(0)), Stay);
    for (phase, expected) in [
        (Announced, Enter(Switched)),
        (Confirmed, Enter(Switched)),
        (Switched, Finish),
        (Replaced, Finish),
    ] {
        assert_eq!(forced(phase), expected, "{phase:?}");
    }
}

#[test]
fn whom_each_phase_waits_for() {
    let facts = Facts {
        witnesses: vec![
            witness(WitnessKind::Proxy, "good", Ok(()), Ok(())),
            witness(WitnessKind::Proxy, "old leaf", Ok(()), Err("slow")),
            witness(WitnessKind::Proxy, "away", Err("not connected"), Err("never")),
            witness(WitnessKind::Peer, "west", Err("cut off"), Ok(())),
            witness(WitnessKind::Peer, "south", Ok(()), Ok(())),
        ],
        old_leaves: 3,
        handed_out_until: Some(UnixMillis(START + 7_000)),
    };
    for phase in [RotationPhase::Announced, RotationPhase::Confirmed] {
        assert_eq!(
            names(&rotation(phase), &facts),
            ["away: not connected", "west: cut off"],
            "{phase:?}"
        );
    }
    for phase in [RotationPhase::Switched, RotationPhase::Replaced] {
        let found = names(&rotation(phase), &facts);
        assert_eq!(
            found[..3],
            ["old leaf: slow", "away: not connected", "west: cut off"]
        );
        assert!(found[3].contains("3 are still to be issued"), "{found:?}");
        assert!(
            found[4].contains("HTTP API") && found[4].contains("in 7 s"),
            "{found:?}"
        );
        assert_eq!(found.len(), 5);
    }
    // What was given out has ended by then.
    let later = missing(
        &rotation(RotationPhase::Switched),
        &facts,
        UnixMillis(START + 7_000),
    );
    assert_eq!(later.len(), 4, "{later:?}");
}

#[test]
fn a_peer_that_confirmed_once_has_confirmed() {
    let cut_off = Facts {
        witnesses: vec![
            witness(WitnessKind::Peer, "west", Err("not connected"), Ok(())),
            witness(WitnessKind::Peer, "south", Ok(()), Ok(())),
            // A proxy that is away may come back with what it had.
            witness(WitnessKind::Proxy, "west", Err("not connected"), Ok(())),
        ],
        ..Facts::default()
    };
    let mut rotation = rotation(RotationPhase::Announced);
    rotation.confirmed_peers = ["id of west".to_owned(), "id of a deleted one".to_owned()].into();
    let found = missing(&rotation, &cut_off, UnixMillis(START));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, Some(WitnessKind::Proxy));
    let kept: Vec<String> = confirmed_peers(&rotation, &cut_off).into_iter().collect();
    assert_eq!(kept, ["id of south", "id of west"]);
}
