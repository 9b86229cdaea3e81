//! A table of questions and their answers, and what is not in it.

use super::{peering_key, world, zone};
use crate::{Answer, Domain, Known, Question, ServiceTtls, Zone, answer};
use domain::base::Name;
use domain::base::iana::{Rcode, Rtype};
use peerway_state::Snapshot;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn ask(snapshot: &Snapshot, zone: &Zone, name: &str, rtype: Rtype, seed: u64) -> Answer {
    let question = Question {
        name: Name::vec_from_str(name).unwrap(),
        rtype,
    };
    let known = Known {
        snapshot,
        zone,
        stale: &BTreeSet::new(),
    };
    answer(known, &question, seed)
}

fn rendered(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.rcode);
    for (section, records) in [
        ("  ", &answer.answers),
        ("  authority ", &answer.authority),
        ("  additional ", &answer.additional),
    ] {
        for record in records {
            text.push_str(&format!("{section}{record}\n"));
        }
    }
    text
}

/// Each question in the table stands before its answer. `UPDATE_GOLDEN=1` writes the answers anew.
#[test]
fn the_table_of_answers_holds() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/answers.txt");
    let table = std::fs::read_to_string(&path).unwrap();
    let (snapshot, zone) = (world(), zone());
    let mut now = String::new();
    let mut questions = 0;
    for line in table.lines() {
        if line.starts_with('#') || line.is_empty() {
            now.push_str(&format!("{line}\n"));
        } else if let Some(question) = line.strip_prefix("? ") {
            let (name, rtype) = question.split_once(' ').unwrap();
            let answer = ask(&snapshot, &zone, name, rtype.parse().unwrap(), 1);
            now.push_str(&format!("{line}\n{}", rendered(&answer)));
            questions += 1;
        }
    }
    assert!(questions > 50, "{questions} questions");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &now).unwrap();
    } else {
        assert_eq!(now, table, "UPDATE_GOLDEN=1 writes it anew, look at what changed");
    }
}

#[test]
fn the_seed_alone_decides_the_order() {
    let (snapshot, zone) = (world(), zone());
    let order = |seed| rendered(&ask(&snapshot, &zone, "web.service.consul", Rtype::A, seed));
    let orders: BTreeSet<String> = (0..32).map(order).collect();
    assert_eq!(orders.len(), 2, "{orders:?}");
    assert_eq!(order(7), order(7));
}

#[test]
fn with_only_passing_a_warning_is_left_out() {
    let zone = Zone {
        only_passing: true,
        ..zone()
    };
    let answer = ask(&world(), &zone, "web.service.consul", Rtype::A, 1);
    assert_eq!(
        rendered(&answer),
        "NOERROR\n  web.service.consul. 5 IN A 10.0.0.1\n"
    );
}

#[test]
fn addresses_are_limited_if_told_so() {
    let zone = Zone {
        a_record_limit: 1,
        ..zone()
    };
    let answer = ask(&world(), &zone, "web.service.consul", Rtype::A, 1);
    assert_eq!(answer.answers.len(), 1);
    // SRV records are not addresses.
    let answer = ask(&world(), &zone, "web.service.consul", Rtype::SRV, 1);
    assert_eq!(answer.answers.len(), 2);
}

#[test]
fn what_is_held_of_a_peer_for_too_long_is_not_to_be_kept() {
    let (snapshot, zone) = (world(), zone());
    let question = Question {
        name: Name::vec_from_str("db.service.west.peer.consul").unwrap(),
        rtype: Rtype::A,
    };
    for (stale, ttl) in [(BTreeSet::new(), 9), (BTreeSet::from([peering_key("west")]), 0)] {
        let known = Known {
            snapshot: &snapshot,
            zone: &zone,
            stale: &stale,
        };
        assert_eq!(
            rendered(&answer(known, &question, 1)),
            format!("NOERROR\n  db.service.west.peer.consul. {ttl} IN A 192.0.2.1\n")
        );
    }
}

/// Names in SRV records lead to the address that comes with them.
#[test]
fn targets_can_be_asked_for() {
    let (snapshot, zone) = (world(), zone());
    let mut followed = 0;
    for name in [
        "web.service.consul",
        "web.service.mesh.test",
        "six.service.consul",
        "odd.service.consul",
        "api.connect.consul",
        "_db._primary.west.peer.consul",
        "consul",
    ] {
        let rtype = if name == "consul" { Rtype::NS } else { Rtype::SRV };
        let answer = ask(&snapshot, &zone, name, rtype, 1);
        for extra in &answer.additional {
            let again = ask(&snapshot, &zone, &extra.owner().to_string(), extra.rtype(), 1);
            let data: Vec<_> = again.answers.iter().map(|record| record.data()).collect();
            assert_eq!(data, [extra.data()], "{}", extra.owner());
            followed += 1;
        }
    }
    assert_eq!(followed, 9);
}

#[test]
fn ttls_go_by_the_name_then_by_its_longest_beginning() {
    let pairs = BTreeMap::from([("*", 1), ("web*", 2), ("web-a*", 3), ("Web-One", 4)]);
    let ttls = ServiceTtls::new(pairs.into_iter().map(|(name, ttl)| (name.to_owned(), ttl)));
    for (name, expected) in [("x", 1), ("website", 2), ("web-abc", 3), ("web-one", 4)] {
        assert_eq!(ttls.of(name), expected, "{name}");
    }
    assert_eq!(ServiceTtls::default().of("x"), 0);
}

#[test]
fn domains_are_plain_names() {
    for good in ["consul", "consul.", "a.b-c.d_e"] {
        assert!(Domain::new(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        ".",
        "a..b",
        "a b",
        "ä",
        "a\\.b",
        &"x".repeat(64),
        &"x.".repeat(80),
    ] {
        let error = Domain::new(bad).unwrap_err().to_string();
        assert!(error.contains("is not a domain"), "{error}");
    }
}

#[test]
fn only_the_zone_is_answered_with_authority() {
    let answer = ask(&world(), &zone(), "example.com", Rtype::A, 1);
    assert_eq!((answer.rcode, answer.authoritative), (Rcode::REFUSED, false));
    assert!(answer.authority.is_empty());
    let answer = ask(&world(), &zone(), "nobody.service.consul", Rtype::A, 1);
    assert_eq!((answer.rcode, answer.authoritative), (Rcode::NXDOMAIN, true));
}
