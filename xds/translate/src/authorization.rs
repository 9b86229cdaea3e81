//! Who may connect and who may send requests, as Envoy's RBAC filters.
//!
//! The patterns need more than Envoy's default of 100 for `re2.max_program_size.error_level`, as those of Consul do:
//! the bootstrap raises it. An Envoy without that refuses the listener, so nobody gets in by the omission.

mod pattern;

use crate::tls;
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::rbac::v3::permission::Rule;
use envoy_types::pb::envoy::config::rbac::v3::principal::{Identifier, Set};
use envoy_types::pb::envoy::config::rbac::v3::{Permission, Policy, Principal, Rbac as Rules, rbac};
use envoy_types::pb::envoy::config::route::v3::HeaderMatcher;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac as HttpRbac;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::rbac::principals::mtls_authenticated::v3::Config as MtlsAuthenticated;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::SubjectAltNameMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher};
use envoy_types::util::pack_any;
use peerway_mesh::{Authorization, Caller, GatewayPattern, KnownBy, RequestAuthorization};
use peerway_model::TrustDomain;
use peerway_model::config::Action;
use std::collections::BTreeMap;

/// Prefix of the filter's statistics (xDS facts, section 1.4).
const STAT_PREFIX: &str = "connect_authz";
/// The header by which a gateway says who called.
const CALLER_HEADER: &str = "x-forwarded-client-cert";
/// The only policy: one entry in a map has one order.
const POLICY: &str = "callers";

/// The filter. It always has rules: one without rules enforces nothing, one with an empty list of callers gives
/// everyone the other action.
pub(crate) fn filter(authorization: &Authorization) -> Rbac {
    let (action, principals) = match authorization.action {
        Action::Allow => (rbac::Action::Allow, allowed(&authorization.callers)),
        Action::Deny => (
            rbac::Action::Deny,
            authorization.callers.iter().map(caller).collect(),
        ),
    };
    let mut rules = Rules {
        action: i32::from(action),
        ..Rules::default()
    };
    if !principals.is_empty() {
        rules.policies.insert(POLICY.to_owned(), policy(principals));
    }
    Rbac {
        rules: Some(rules),
        stat_prefix: STAT_PREFIX.to_owned(),
        ..Rbac::default()
    }
}

/// The filter for requests. It always has rules: without callers it refuses everybody.
pub(crate) fn request_filter(authorization: &RequestAuthorization) -> HttpRbac {
    let mut rules = Rules {
        action: i32::from(rbac::Action::Allow),
        ..Rules::default()
    };
    let known = |by: KnownBy| {
        let callers = authorization.callers.iter();
        callers
            .filter(move |held| held.known_by == by)
            .map(|held| &held.caller)
    };
    let certified: Vec<Caller> = known(KnownBy::Certificate).cloned().collect();
    let mut principals = allowed(&certified);
    let vouched: Vec<Principal> = known(KnownBy::Gateway)
        .map(|caller| forwarded(&authorization.gateways, caller))
        .collect();
    if !vouched.is_empty() {
        principals.push(all([gateway(&authorization.gateways), any(vouched)]));
    }
    if !principals.is_empty() {
        rules.policies.insert(POLICY.to_owned(), policy(principals));
    }
    HttpRbac {
        rules: Some(rules),
        ..HttpRbac::default()
    }
}

/// One of our gateways is connected, and its certificate names nobody else.
fn gateway(gateways: &GatewayPattern) -> Principal {
    all([
        uri(pattern::gateway(gateways)),
        not(uri(pattern::outside(&gateways.trust_domain))),
    ])
}

/// Callers for whom one of our gateways speaks: the first that `x-forwarded-client-cert` names is one of them, and it
/// was written by the gateway. Alone it proves nothing: everybody can send the header.
fn forwarded(gateways: &GatewayPattern, caller: &Caller) -> Principal {
    let names = |callers| header(CALLER_HEADER, pattern::forwarded(gateways, callers));
    let include = names(&caller.include);
    if caller.except.is_empty() {
        return include;
    }
    all(std::iter::once(include).chain(caller.except.iter().map(|except| not(names(except)))))
}

/// A header whose value as a whole matches `regex` (RE2 syntax).
fn header(name: &str, regex: String) -> Principal {
    let pattern = MatchPattern::SafeRegex(RegexMatcher {
        regex,
        ..RegexMatcher::default()
    });
    principal(Identifier::Header(HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(StringMatcher {
            match_pattern: Some(pattern),
            ..StringMatcher::default()
        })),
        ..HeaderMatcher::default()
    }))
}

fn policy(principals: Vec<Principal>) -> Policy {
    Policy {
        permissions: vec![Permission {
            rule: Some(Rule::Any(true)),
        }],
        principals,
        ..Policy::default()
    }
}

/// URI SANs of which a client certificate must have one, so that callers who are surely not allowed do not get past
/// the handshake; `None` when the list says who is denied. Never empty: an empty list would admit everybody.
pub(crate) fn names(authorization: &Authorization) -> Option<Vec<SubjectAltNameMatcher>> {
    if authorization.action != Action::Allow {
        return None;
    }
    let mut names: Vec<String> = authorization
        .callers
        .iter()
        .map(|caller| pattern::caller(&caller.include))
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        names.push(pattern::NOTHING.to_owned());
    }
    let regex = |regex| {
        MatchPattern::SafeRegex(RegexMatcher {
            regex,
            ..RegexMatcher::default()
        })
    };
    Some(names.into_iter().map(|name| tls::uri(regex(name))).collect())
}

/// Callers that may pass: those listed, as long as their certificate names no other trust domain.
///
/// Envoy verifies a certificate against the roots of the trust domain of its *first* URI SAN, but a principal
/// matches *any* of its SANs. Without the second half a hostile peer could sign a certificate with its own name
/// first and one of ours after it, and be taken for us.
fn allowed(callers: &[Caller]) -> Vec<Principal> {
    let mut domains: BTreeMap<&TrustDomain, Vec<Principal>> = BTreeMap::new();
    for listed in callers {
        domains
            .entry(&listed.include.trust_domain)
            .or_default()
            .push(caller(listed));
    }
    domains
        .into_iter()
        .map(|(domain, callers)| all([any(callers), not(uri(pattern::outside(domain)))]))
        .collect()
}

/// The callers of a pattern but for the exceptions.
fn caller(caller: &Caller) -> Principal {
    let include = uri(pattern::caller(&caller.include));
    if caller.except.is_empty() {
        return include;
    }
    all(std::iter::once(include).chain(
        caller
            .except
            .iter()
            .map(|except| not(uri(pattern::caller(except)))),
    ))
}

/// A verified client certificate with a URI SAN that matches the whole of `regex` (RE2 syntax).
fn uri(regex: String) -> Principal {
    let pattern = MatchPattern::SafeRegex(RegexMatcher {
        regex,
        ..RegexMatcher::default()
    });
    let config = MtlsAuthenticated {
        san_matcher: Some(tls::uri(pattern)),
        ..MtlsAuthenticated::default()
    };
    principal(Identifier::Custom(TypedExtensionConfig {
        name: "envoy.rbac.principals.mtls_authenticated".to_owned(),
        typed_config: Some(pack_any(config)),
    }))
}

fn any(ids: Vec<Principal>) -> Principal {
    principal(Identifier::OrIds(Set { ids }))
}

fn all(ids: impl IntoIterator<Item = Principal>) -> Principal {
    principal(Identifier::AndIds(Set {
        ids: ids.into_iter().collect(),
    }))
}

fn not(id: Principal) -> Principal {
    principal(Identifier::NotId(Box::new(id)))
}

fn principal(identifier: Identifier) -> Principal {
    Principal {
        identifier: Some(identifier),
    }
}
