//! What the patterns match, by a matcher for the little of RE2 that they use.

use super::*;
use peerway_model::SpiffeId;
use peerway_model::name::{Datacenter, Namespace, Partition, ServiceName};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Matches the whole of `text` against `regex`: literals, escapes, negated classes with `+`, `\C*`, and groups
/// with alternatives and `?`. Panics on anything else, so that nothing new goes untested.
fn matches(regex: &str, text: &[u8]) -> bool {
    let inner = regex
        .strip_prefix('^')
        .and_then(|r| r.strip_suffix('$'))
        .expect("anchored");
    let mut ends = Vec::new();
    run(inner.as_bytes(), text, &mut |rest| ends.push(rest.len()));
    ends.contains(&0)
}

/// Calls `end` with what is left of `text` for each way to match `regex`.
fn run(regex: &[u8], text: &[u8], end: &mut dyn FnMut(&[u8])) {
    match regex {
        [] => end(text),
        [b'(', b'?', b':', ..] => {
            let close = closing(regex);
            let optional = regex.get(close + 1) == Some(&b'?');
            let rest = &regex[close + 1 + usize::from(optional)..];
            let mut seen = Vec::new();
            for branch in branches(&regex[3..close]) {
                run(branch, text, &mut |left| seen.push(text.len() - left.len()));
            }
            if optional {
                seen.push(0);
            }
            seen.sort_unstable();
            seen.dedup();
            for used in seen {
                run(rest, &text[used..], end);
            }
        }
        [b'\\', b'C', b'*', rest @ ..] => {
            for used in 0..=text.len() {
                run(rest, &text[used..], end);
            }
        }
        [b'[', b'^', class @ ..] => {
            let close = (1..class.len())
                .find(|at| class[*at] == b']')
                .expect("a class ends");
            let (members, after) = (&class[..close], &class[close + 1..]);
            let members = members.strip_prefix(b"\\").unwrap_or(members);
            let many = after.first() == Some(&b'+');
            let rest = &after[usize::from(many)..];
            // A class matches a character, never a broken one.
            let fits = |c: &u8| !members.contains(c) && c.is_ascii();
            let most = text.iter().take_while(|c| fits(c)).count();
            for used in 1..=(if many { most } else { most.min(1) }) {
                run(rest, &text[used..], end);
            }
        }
        [b'[', b'0', b'-', b'9', b'a', b'-', b'f', b']', b'+', rest @ ..] => {
            let hex = |c: &&u8| c.is_ascii_digit() || (b'a'..=b'f').contains(*c);
            let most = text.iter().take_while(hex).count();
            for used in 1..=most {
                run(rest, &text[used..], end);
            }
        }
        [b'\\', c, rest @ ..] if c.is_ascii_punctuation() => literal(*c, rest, text, end),
        [c, rest @ ..] if c.is_ascii_alphanumeric() || b"/:_,;=".contains(c) => literal(*c, rest, text, end),
        other => panic!("unknown syntax at {:?}", String::from_utf8_lossy(other)),
    }
}

fn literal(c: u8, rest: &[u8], text: &[u8], end: &mut dyn FnMut(&[u8])) {
    if let Some(left) = text.strip_prefix(&[c]) {
        run(rest, left, end);
    }
}

fn closing(regex: &[u8]) -> usize {
    let mut depth = 0;
    let mut skip = false;
    for (at, c) in regex.iter().enumerate() {
        match c {
            _ if skip => skip = false,
            b'\\' => skip = true,
            b'(' => depth += 1,
            b')' if depth == 1 => return at,
            b')' => depth -= 1,
            _ => {}
        }
    }
    panic!("group without an end");
}

fn branches(regex: &[u8]) -> Vec<&[u8]> {
    let (mut depth, mut from, mut skip, mut found) = (0, 0, false, Vec::new());
    for (at, c) in regex.iter().enumerate() {
        match c {
            _ if skip => skip = false,
            b'\\' => skip = true,
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'|' if depth == 0 => {
                found.push(&regex[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found.push(&regex[from..]);
    found
}

/// The meaning of a caller pattern, from its own words.
fn meant(pattern: &CallerPattern, uri: &str) -> bool {
    let Ok(SpiffeId::Service {
        trust_domain,
        partition,
        namespace,
        service,
        ..
    }) = SpiffeId::parse(uri)
    else {
        return false;
    };
    trust_domain == pattern.trust_domain
        && pattern.partition.matches(&partition)
        && pattern.namespace.matches(&namespace)
        && pattern.service.matches(&service)
}

fn only(pattern: &CallerPattern) -> Family {
    let mut families = Family::all([pattern]);
    assert_eq!(families.len(), 1);
    families.remove(0)
}

/// Few names, most of them traps for a pattern that forgets to escape, so that generated callers often meet.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "a-b", "aXb", "a_b", "default", "ap", "ns"]).prop_map(str::to_owned)
}

fn domain() -> impl Strategy<Value = TrustDomain> {
    prop::sample::select(vec!["t.consul", "txconsul", "t.consul.x", "t", "t-.consul"])
        .prop_map(|text| TrustDomain::new(text).unwrap())
}

fn wild<T: std::fmt::Debug + Clone>(make: impl Fn(&str) -> T + 'static) -> impl Strategy<Value = Pattern<T>> {
    prop::option::of(name())
        .prop_map(move |text| text.map_or(Pattern::Any, |text| Pattern::Exact(make(&text))))
}

prop_compose! {
    fn pattern()(
        trust_domain in domain(),
        partition in wild(|text| Partition::new(text).unwrap()),
        namespace in wild(|text| Namespace::new(text).unwrap()),
        service in wild(|text| ServiceName::new(text).unwrap()),
    ) -> CallerPattern {
        CallerPattern { trust_domain, partition, namespace, service }
    }
}

/// A URI SAN as a hostile authority would write it: a name of its own domain with another one inside.
fn hostile() -> impl Strategy<Value = String> {
    let inside = prop::sample::select(vec![";URI=", ",By=x;Hash=ab;URI=", ",", ";", "/", "\";URI=", ""]);
    (domain(), identity(), inside, identity(), any::<bool>()).prop_map(
        |(domain, first, inside, second, whole)| {
            if whole {
                format!("{first}{inside}{second}")
            } else {
                format!("spiffe://{domain}/x{inside}{second}")
            }
        },
    )
}

fn gateways() -> GatewayPattern {
    GatewayPattern {
        trust_domain: TrustDomain::new("ours.consul").unwrap(),
        partition: Partition::default(),
    }
}

const GATEWAY: &str = "spiffe://ours.consul/gateway/mesh/dc/dc1";

/// The element that Envoy writes about a verified certificate with these URI SANs.
fn element(by: &str, names: &[String]) -> String {
    let mut parts = vec![format!("By={by}"), "Hash=0123456789abcdef".to_owned()];
    parts.extend(names.iter().map(|name| format!("URI={name}")));
    parts.join(";")
}

prop_compose! {
    fn identity()(
        trust_domain in domain(), partition in name(), namespace in name(), service in name(), dc in "[a-z]{1,3}",
    ) -> SpiffeId {
        SpiffeId::Service {
            trust_domain,
            partition: Partition::new(&partition).unwrap(),
            namespace: Namespace::new(&namespace).unwrap(),
            datacenter: Datacenter::new(&dc).unwrap(),
            service: ServiceName::new(&service).unwrap(),
        }
    }
}

proptest! {
    #[test]
    fn a_pattern_matches_whom_it_means(pattern in pattern(), identity in identity(), own in any::<bool>()) {
        let mut uri = identity.to_string();
        if own {
            // Otherwise two generated ones seldom agree.
            uri = format!(
                "spiffe://{}/ap/{}/ns/{}/dc/x/svc/{}",
                pattern.trust_domain,
                pattern.partition.exact().map_or("q", |p| p.as_str()),
                pattern.namespace.exact().map_or("q", |n| n.as_str()),
                pattern.service.exact().map_or("q", |n| n.as_str()),
            );
        }
        prop_assert_eq!(matches(&callers(&only(&pattern)), uri.as_bytes()), meant(&pattern, &uri), "{}", uri);
    }

    #[test]
    fn a_gateway_speaks_for_whom_it_saw(
        pattern in pattern(), identity in identity(), own in any::<bool>(), second in prop::option::of(identity()),
    ) {
        let mut uri = identity.to_string();
        if own {
            uri = format!(
                "spiffe://{}/ap/{}/ns/{}/dc/x/svc/{}",
                pattern.trust_domain,
                pattern.partition.exact().map_or("q", |p| p.as_str()),
                pattern.namespace.exact().map_or("q", |n| n.as_str()),
                pattern.service.exact().map_or("q", |n| n.as_str()),
            );
        }
        let regex = forwarded(&gateways(), &only(&pattern));
        let names: Vec<String> = std::iter::once(uri.clone()).chain(second.map(|id| id.to_string())).collect();
        // A certificate with two names is nobody's.
        let expected = meant(&pattern, &uri) && names.len() == 1;
        let value = element(GATEWAY, &names);
        prop_assert_eq!(matches(&regex, value.as_bytes()), expected, "{}", value);
        let appended = format!("{value},{}", element("spiffe://ours.consul/ns/default/dc/dc1/svc/x", &[GATEWAY.to_owned()]));
        prop_assert_eq!(matches(&regex, appended.as_bytes()), expected, "{}", appended);
        // Who speaks for somebody else comes behind the first element.
        let later = format!("{},{value}", element(GATEWAY, &["spiffe://z.consul/ns/z/dc/z/svc/z".to_owned()]));
        prop_assert!(!matches(&regex, later.as_bytes()), "{}", later);
    }

    #[test]
    fn no_name_brings_another_one_along(pattern in pattern(), name in hostile()) {
        // The certificate was verified by the trust domain that its first name begins with.
        let verified = format!("spiffe://{}/", pattern.trust_domain);
        let value = element(GATEWAY, std::slice::from_ref(&name));
        if matches(&forwarded(&gateways(), &only(&pattern)), value.as_bytes()) {
            prop_assert!(name.starts_with(&verified), "{}", value);
        }
    }

    #[test]
    fn near_misses_do_not_match(pattern in pattern(), identity in identity(), at in any::<prop::sample::Index>(), c in "[ -~]") {
        let mut uri = identity.to_string();
        let at = at.index(uri.len());
        uri.replace_range(at..=at, &c);
        if matches(&callers(&only(&pattern)), uri.as_bytes()) {
            // A datacenter may be any segment, ours are stricter; everything else must be meant.
            let segments: Vec<&str> = uri.split('/').collect();
            let dc = segments.len() - 3;
            let tame: Vec<&str> = segments.iter().enumerate().map(|(i, s)| if i == dc { "x" } else { *s }).collect();
            let wild = pattern.namespace.is_any() || pattern.service.is_any();
            prop_assert!(wild || meant(&pattern, &tame.join("/")), "{}", uri);
        }
    }

    #[test]
    fn outside_is_everything_that_does_not_begin_with_the_domain(
        domain in domain(), other in domain(), cut in any::<prop::sample::Index>(),
        tail in prop::collection::vec(any::<u8>(), 0..6),
    ) {
        let own = format!("spiffe://{domain}/");
        let full = format!("spiffe://{other}/");
        let mut text = full.as_bytes()[..=cut.index(full.len() - 1)].to_vec();
        text.extend(tail);
        // A verified certificate begins with a trust domain, so what differs first is an ASCII character.
        if let Some((c, _)) = text.iter_mut().zip(own.as_bytes()).find(|(a, b)| *a != *b) {
            *c &= 0x7f;
        }
        let differs = text.iter().zip(own.as_bytes()).find(|(a, b)| a != b);
        prop_assume!(differs.is_none_or(|(c, _)| c.is_ascii()));
        prop_assert_eq!(matches(&outside(&domain), &text), !text.starts_with(own.as_bytes()));
    }
}

#[test]
fn only_our_gateways_are_believed() {
    let pattern = CallerPattern {
        trust_domain: TrustDomain::new("p.consul").unwrap(),
        partition: Pattern::Exact(Partition::default()),
        namespace: Pattern::Exact(Namespace::default()),
        service: Pattern::Any,
    };
    let regex = forwarded(&gateways(), &only(&pattern));
    let uri = ["spiffe://p.consul/ns/default/dc/dc9/svc/web".to_owned()];
    assert!(matches(&regex, element(GATEWAY, &uri).as_bytes()));
    for by in [
        "spiffe://ours.consul/ns/default/dc/dc1/svc/web",
        "spiffe://p.consul/gateway/mesh/dc/dc9",
        "spiffe://ours.consul/ap/other/gateway/mesh/dc/dc1",
        "spiffe://oursXconsul/gateway/mesh/dc/dc1",
    ] {
        assert!(!matches(&regex, element(by, &uri).as_bytes()), "{by}");
    }
    // Consul's gateways put the subject, free text of the peer's authority, before the name.
    let subject = format!(
        "By={GATEWAY};Hash=ab;Subject=\"CN=x;URI={},\";URI=spiffe://evil.consul/x",
        uri[0]
    );
    assert!(!matches(&regex, subject.as_bytes()));
    assert!(matches(&super::gateway(&gateways()), GATEWAY.as_bytes()));
    assert!(!matches(
        &super::gateway(&gateways()),
        b"spiffe://p.consul/gateway/mesh/dc/dc9"
    ));
}

#[test]
fn many_names_are_few_expressions_that_mean_just_them() {
    let pattern = |name: &str| CallerPattern {
        trust_domain: TrustDomain::new("a.consul").unwrap(),
        partition: Pattern::Exact(Partition::default()),
        namespace: Pattern::Exact(Namespace::default()),
        service: Pattern::Exact(ServiceName::new(name).unwrap()),
    };
    let names: Vec<String> = (0..5_000).map(|n| format!("some-service-{n}")).collect();
    let patterns: Vec<CallerPattern> = names.iter().map(|name| pattern(name)).collect();
    let families = Family::all(&patterns);
    assert_eq!(families.len(), 3);
    let meant: BTreeSet<ServiceName> = families
        .iter()
        .flat_map(|family| family.services.clone().unwrap())
        .collect();
    assert_eq!(meant.len(), names.len());
    for family in &families {
        assert!(callers(family).len() < 2 * MAX_NAMES_BYTES);
    }
    let few = Family::all(&[pattern("a"), pattern("ab"), pattern("b-c")]);
    let regex = callers(&few[0]);
    assert_eq!(
        regex,
        r"^spiffe://a\.consul(?:/ap/default)?/ns/default/dc/[^/]+/svc/(?:a|ab|b\-c)$"
    );
    for (name, expected) in [
        ("a", true),
        ("ab", true),
        ("b-c", true),
        ("b", false),
        ("abb", false),
    ] {
        let uri = format!("spiffe://a.consul/ns/default/dc/x/svc/{name}");
        assert_eq!(matches(&regex, uri.as_bytes()), expected, "{name}");
    }
}

#[test]
fn a_dot_is_a_dot() {
    let pattern = CallerPattern {
        trust_domain: TrustDomain::new("a.consul").unwrap(),
        partition: Pattern::Exact(Partition::default()),
        namespace: Pattern::Exact(Namespace::default()),
        service: Pattern::Exact(ServiceName::new("web-1").unwrap()),
    };
    assert_eq!(
        callers(&only(&pattern)),
        r"^spiffe://a\.consul(?:/ap/default)?/ns/default/dc/[^/]+/svc/web\-1$"
    );
    assert!(!matches(
        &callers(&only(&pattern)),
        b"spiffe://aXconsul/ns/default/dc/x/svc/web-1"
    ));
}
