//! Tables of who may call whom.

use super::*;
use crate::config::Meta;
use crate::key::Tenancy;

fn entry(name: &str, sources: &[(&str, Option<&str>, Action)]) -> ServiceIntentions {
    let pattern = |name: &str| match name {
        "*" => Pattern::Any,
        name => Pattern::Exact(ServiceName::new(name).unwrap()),
    };
    ServiceIntentions {
        name: pattern(name),
        namespace: Pattern::Exact(Namespace::default()),
        partition: Partition::default(),
        sources: sources
            .iter()
            .map(|(name, peer, action)| Source {
                name: pattern(name),
                namespace: Pattern::Exact(Namespace::default()),
                partition: Partition::default(),
                peer: peer.map(|peer| PeerName::new(peer).unwrap()),
                action: *action,
                description: String::new(),
            })
            .collect(),
        meta: Meta::new(),
    }
}

fn service(name: &str, peer: Option<&str>) -> ServiceKey {
    let name = ServiceName::new(name).unwrap();
    match peer {
        None => ServiceKey::local(&Tenancy::default(), name),
        Some(peer) => ServiceKey::imported(PeerName::new(peer).unwrap(), &Tenancy::default(), name),
    }
}

#[test]
fn the_most_exact_rule_decides() {
    use Action::{Allow, Deny};
    let entries = [
        entry(
            "api",
            &[
                ("web", Some("east"), Allow),
                ("*", Some("east"), Deny),
                ("web", None, Deny),
            ],
        ),
        entry("*", &[("*", None, Allow), ("web", Some("north"), Allow)]),
    ];
    let api = rules_for(&entries, &service("api", None));
    let other = rules_for(&entries, &service("other", None));
    let cases = [
        (&api, "web", Some("east"), Allow, Some(9)),
        (&api, "bad", Some("east"), Deny, Some(8)),
        (&api, "web", None, Deny, Some(9)),
        (&api, "bob", None, Allow, Some(5)),
        (&api, "web", Some("north"), Allow, Some(6)),
        (&api, "web", Some("south"), Deny, None),
        (&other, "web", None, Allow, Some(5)),
        (&other, "web", Some("east"), Deny, None),
    ];
    for (rules, name, peer, action, precedence) in cases {
        let decision = decide(rules, Deny, &service(name, peer));
        assert_eq!(decision.action, action, "{name} {peer:?}");
        assert_eq!(
            decision.by.map(|rule| rule.precedence),
            precedence,
            "{name} {peer:?}"
        );
    }
}

#[test]
fn an_exact_destination_hides_a_wildcard_one_for_the_same_callers() {
    let entries = [
        entry("api", &[("web", Some("east"), Action::Deny)]),
        entry("*", &[("web", Some("east"), Action::Allow)]),
    ];
    let rules = rules_for(&entries, &service("api", None));
    assert_eq!(rules.len(), 1);
    assert_eq!(
        decide(&rules, Action::Allow, &service("web", Some("east"))).action,
        Action::Deny
    );
}

#[test]
fn a_local_wildcard_never_means_a_peer() {
    let rules = rules_for(
        &[entry("api", &[("*", None, Action::Allow)])],
        &service("api", None),
    );
    assert_eq!(
        decide(&rules, Action::Deny, &service("web", Some("east"))).action,
        Action::Deny
    );
}
