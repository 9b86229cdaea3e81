//! Tables of who may call whom.

use super::*;
use crate::config::{Claims, WantedClaim, WantedToken};
use crate::config::{
    HeaderCheck, HeaderCondition, Meta, Method, PathCondition, Permission, RequestCondition, ValuePart,
};
use crate::instance::Opaque;
use crate::key::Tenancy;
use crate::regular::Regular;
use std::collections::BTreeMap;

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
                group: None,
                verdict: Verdict::Always(*action),
                description: String::new(),
            })
            .collect(),
        jwt: None,
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
    let api = rules_for(&entries, &service("api", None), |_| true, |_| Vec::new());
    let other = rules_for(&entries, &service("other", None), |_| true, |_| Vec::new());
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
        let decision = decide(rules, Deny, &service(name, peer), None);
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
    let rules = rules_for(&entries, &service("api", None), |_| true, |_| Vec::new());
    assert_eq!(rules.len(), 1);
    assert_eq!(
        decide(&rules, Action::Allow, &service("web", Some("east")), None).action,
        Action::Deny
    );
}

#[test]
fn a_group_means_its_members_and_says_less_than_one_of_them() {
    let group = |text: &str| GroupName::new(text).unwrap();
    let mut api = entry(
        "api",
        &[
            ("web", None, Action::Deny),
            ("web", None, Action::Allow),
            ("web", Some("east"), Action::Deny),
            ("*", None, Action::Allow),
        ],
    );
    api.sources[1].group = Some(group("all"));
    api.sources[3].group = Some(group("gone"));
    let members = |name: &GroupName| match name.as_str() {
        "all" => vec![
            Member::Partition(Partition::default()),
            Member::Peer(PeerName::new("east").unwrap()),
            Member::Peer(PeerName::new("west").unwrap()),
        ],
        _ => Vec::new(),
    };
    let rules = rules_for([&api], &service("api", None), |_| true, members);
    let action = |caller: &str, peer| decide(&rules, Action::Deny, &service(caller, peer), None).action;
    assert_eq!(action("web", Some("west")), Action::Allow);
    // The partition and the peer are named by themselves too, one before the group and one after it.
    assert_eq!(action("web", None), Action::Deny);
    assert_eq!(action("web", Some("east")), Action::Deny);
    assert_eq!(action("web", Some("north")), Action::Deny);
    // Nobody is in a group that is not there.
    assert_eq!(action("other", None), Action::Deny);
    assert_eq!(rules.len(), 3);
}

#[test]
fn a_local_wildcard_never_means_a_peer() {
    let rules = rules_for(
        &[entry("api", &[("*", None, Action::Allow)])],
        &service("api", None),
        |_| true,
        |_| Vec::new(),
    );
    assert_eq!(
        decide(&rules, Action::Deny, &service("web", Some("east")), None).action,
        Action::Deny
    );
}

fn permission(action: Action, http: RequestCondition) -> Permission {
    Permission {
        action,
        http,
        jwt: None,
    }
}

fn path(path: PathCondition) -> RequestCondition {
    RequestCondition {
        path: Some(path),
        ..RequestCondition::default()
    }
}

fn header(name: &str, part: ValuePart, text: &str, ignore_case: bool, invert: bool) -> RequestCondition {
    RequestCondition {
        headers: vec![HeaderCondition {
            name: HeaderName::new(name).unwrap(),
            test: HeaderCheck::Value {
                part,
                text: text.to_owned(),
                ignore_case,
            },
            invert,
        }],
        ..RequestCondition::default()
    }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        tokens: BTreeMap::new(),
    }
}

/// Rules in which `web` has these permissions.
fn rules(permissions: Vec<Permission>) -> Vec<Rule> {
    let mut entry = entry("api", &[("web", None, Action::Allow), ("*", None, Action::Allow)]);
    entry.sources[0].verdict = Verdict::ByRequest(permissions);
    rules_for([&entry], &service("api", None), |_| true, |_| Vec::new())
}

#[test]
fn the_first_permission_that_fits_decides() {
    use Action::{Allow, Deny};
    let get = RequestCondition {
        methods: [Method::Get].into(),
        ..path(PathCondition::Prefix("/a".to_owned()))
    };
    let rules = rules(vec![
        permission(Deny, path(PathCondition::Exact("/a/secret".to_owned()))),
        permission(Allow, get),
        permission(
            Allow,
            path(PathCondition::Regex(Regular::new("/[0-9]+").unwrap())),
        ),
    ]);
    let caller = service("web", None);
    let cases = [
        ("GET", "/a/b", Allow, Why::Permission(1)),
        ("POST", "/a/b", Deny, Why::NoPermission),
        ("GET", "/a/secret?x", Deny, Why::Permission(0)),
        ("POST", "/12", Allow, Why::Permission(2)),
        ("POST", "/12/", Deny, Why::NoPermission),
        ("GET", "/b?/a", Deny, Why::NoPermission),
    ];
    for (method, path, action, why) in cases {
        let decision = decide(&rules, Deny, &caller, Some(&request(method, path, &[])));
        assert_eq!(
            (decision.action, &decision.why),
            (action, &why),
            "{method} {path}"
        );
        let open = decide(&rules, Allow, &caller, Some(&request(method, path, &[])));
        let expected = match why {
            Why::NoPermission => Allow,
            _ => action,
        };
        assert_eq!(open.action, expected, "{method} {path}");
    }
    // Another caller's rule treats all calls alike, and on a service without requests permissions deny.
    let other = decide(
        &rules,
        Deny,
        &service("x", None),
        Some(&request("POST", "/", &[])),
    );
    assert_eq!((other.action, other.why), (Allow, Why::Rule));
    for default in [Allow, Deny] {
        let bytes = decide(&rules, default, &caller, None);
        assert_eq!((bytes.action, bytes.why), (Deny, Why::NoRequests));
    }
}

#[test]
fn headers_are_compared_as_one_line() {
    use Action::{Allow, Deny};
    let x = HeaderName::new("X-Role").unwrap();
    let fits = |action, condition: &RequestCondition, headers: &[(&str, &str)]| {
        request("GET", "/", headers).fits(&permission(action, condition.clone()))
    };
    let whole = header("x-role", ValuePart::Whole, "admin", false, false);
    assert!(fits(Allow, &whole, &[("X-Role", "admin")]));
    assert!(
        !fits(Allow, &whole, &[("x-role", "Admin")]) && !fits(Allow, &whole, &[("x-role", "admin,user")])
    );
    let anywhere = header("x-role", ValuePart::Anywhere, "MIN", true, false);
    assert!(fits(Deny, &anywhere, &[("x-role", "user,admin")]));
    assert!(fits(
        Deny,
        &header("x-role", ValuePart::End, "min", false, false),
        &[("x-role", "admin")]
    ));
    let not = header("x-role", ValuePart::Start, "adm", false, true);
    assert!(fits(Allow, &not, &[("x-role", "user")]) && !fits(Allow, &not, &[("x-role", "admin")]));
    // A missing header fulfils an inverted condition only where that denies.
    assert!(!fits(Allow, &not, &[]) && fits(Deny, &not, &[]));
    let rules = rules(vec![permission(Allow, whole)]);
    assert_eq!(looked_at(&rules), [x.clone()].into());
    for caller in ["web", "other"] {
        let twice = request("GET", "/", &[("x-role", "admin"), ("X-ROLE", "admin")]);
        let decision = decide(&rules, Allow, &service(caller, None), Some(&twice));
        assert_eq!(
            (decision.action, decision.why),
            (Deny, Why::SeveralLines(x.clone()))
        );
    }
}

#[test]
fn reasons_are_told_to_programs_and_to_people() {
    let reasons = [
        (Why::NoRule, "no-rule", "no intention"),
        (Why::Rule, "rule", "all calls"),
        (Why::Permission(3), "permission", "Permissions[3]"),
        (Why::NoPermission, "no-permission", "no permission"),
        (Why::NoRequests, "no-requests", "does not speak"),
        (
            Why::SeveralLines(HeaderName::new("x-a").unwrap()),
            "several-lines",
            "x-a",
        ),
    ];
    for (why, code, part) in reasons {
        assert_eq!(why.code(), code);
        assert!(why.to_string().contains(part), "{why}");
    }
}

/// A token by `provider` in which `role` is this.
fn wanted(provider: &str, role: &str) -> JwtRequirement {
    JwtRequirement {
        tokens: vec![WantedToken {
            provider: ProviderName::new(provider).unwrap(),
            claims: vec![WantedClaim {
                path: vec!["realm".to_owned(), "role".to_owned()],
                value: role.to_owned(),
            }],
        }],
    }
}

fn with_token(provider: &str, role: Opaque) -> Request {
    let realm = Opaque::Map(BTreeMap::from([("role".to_owned(), role)]));
    let claims = Claims::from([("realm".to_owned(), realm)]);
    Request {
        tokens: BTreeMap::from([(ProviderName::new(provider).unwrap(), claims)]),
        ..request("GET", "/a", &[])
    }
}

fn text(text: &str) -> Opaque {
    Opaque::Text(text.to_owned())
}

#[test]
fn a_token_goes_with_the_identity_and_not_instead_of_it() {
    let mut entry = entry(
        "api",
        &[("web", None, Action::Allow), ("bad", None, Action::Deny)],
    );
    entry.jwt = Some(wanted("idp", "admin"));
    let api = service("api", None);
    for default in [Action::Allow, Action::Deny] {
        let rules = rules_for([&entry], &api, |_| true, |_| Vec::new());
        let why = |caller: &str, request: Option<&Request>| {
            let decision = decide(&rules, default, &service(caller, None), request);
            (decision.action, decision.why.code())
        };
        let good = with_token("idp", text("admin"));
        assert_eq!(why("web", Some(&good)), (Action::Allow, "rule"));
        assert_eq!(why("bad", Some(&good)), (Action::Deny, "rule"));
        assert_eq!(why("other", Some(&good)), (default, "no-rule"));
        for bad in [
            request("GET", "/a", &[]),
            with_token("idp", text("user")),
            with_token("other", text("admin")),
            with_token("idp", Opaque::List(vec![text("admin")])),
            with_token("idp", Opaque::Null),
        ] {
            assert_eq!(why("web", Some(&bad)), (Action::Deny, "no-token"), "{bad:?}");
        }
        assert_eq!(why("web", None), (Action::Deny, "no-requests"));
        // A provider that is gone lets nobody in.
        let rules = rules_for([&entry], &api, |_| false, |_| Vec::new());
        let decision = decide(&rules, default, &service("web", None), Some(&good));
        assert_eq!(
            (decision.action, decision.why.code()),
            (Action::Deny, "no-provider")
        );
    }
}

#[test]
fn a_token_is_one_more_condition_of_a_permission() {
    let path = || path(PathCondition::Prefix("/".to_owned()));
    let of = |action, jwt| Permission {
        jwt,
        ..permission(action, path())
    };
    let rules = rules(vec![
        of(Action::Deny, Some(wanted("idp", "guest"))),
        of(Action::Allow, Some(wanted("idp", "admin"))),
    ]);
    let why = |request: &Request| {
        decide(&rules, Action::Deny, &service("web", None), Some(request))
            .why
            .code()
    };
    assert_eq!(why(&with_token("idp", text("admin"))), "permission");
    assert_eq!(why(&with_token("idp", text("other"))), "no-permission");
    assert_eq!(why(&request("GET", "/", &[])), "no-permission");
    let guest = decide(
        &rules,
        Action::Deny,
        &service("web", None),
        Some(&with_token("idp", text("guest"))),
    );
    assert_eq!((guest.action, guest.why), (Action::Deny, Why::Permission(0)));
}
