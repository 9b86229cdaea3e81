//! Who a caller is, as principals of Envoy's RBAC.

use super::pattern::{self, Family};
use crate::tls;
use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
use envoy_types::pb::envoy::config::rbac::v3::Principal;
use envoy_types::pb::envoy::config::rbac::v3::principal::{Identifier, Set};
use envoy_types::pb::envoy::config::route::v3::HeaderMatcher;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::extensions::rbac::principals::mtls_authenticated::v3::Config as MtlsAuthenticated;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{RegexMatcher, StringMatcher};
use envoy_types::util::pack_any;
use peerway_mesh::{Caller, GatewayPattern};
use peerway_model::TrustDomain;
use std::collections::BTreeMap;

/// The header by which a gateway says who called.
const CALLER_HEADER: &str = "x-forwarded-client-cert";

/// Callers that may pass: those listed, as long as their certificate names no other trust domain.
///
/// Envoy verifies a certificate against the roots of the trust domain of its *first* URI SAN, but a principal
/// matches *any* of its SANs. Without the second half a hostile peer could sign a certificate with its own name
/// first and one of ours after it, and be taken for us.
pub(super) fn certified<'a>(callers: impl IntoIterator<Item = &'a Caller>) -> Vec<Principal> {
    let mut domains: BTreeMap<&TrustDomain, Vec<&Caller>> = BTreeMap::new();
    for listed in callers {
        domains
            .entry(&listed.include.trust_domain)
            .or_default()
            .push(listed);
    }
    domains
        .into_iter()
        .map(|(domain, callers)| {
            let listed = listed(callers, |family| uri(pattern::callers(family)));
            all([any(listed), not(uri(pattern::outside(domain)))])
        })
        .collect()
}

/// Callers for whom one of our gateways speaks: the first that `x-forwarded-client-cert` names is one of them, and it
/// was written by the gateway, which is connected and whose certificate names nobody else. The header alone proves
/// nothing: everybody can send it. `None` when there are no callers.
pub(super) fn forwarded<'a>(
    gateways: &GatewayPattern,
    callers: impl IntoIterator<Item = &'a Caller>,
) -> Option<Principal> {
    let names = |family: &Family| header(CALLER_HEADER, pattern::forwarded(gateways, family));
    let listed = listed(callers, names);
    let gateway = all([
        uri(pattern::gateway(gateways)),
        not(uri(pattern::outside(&gateways.trust_domain))),
    ]);
    (!listed.is_empty()).then(|| all([gateway, any(listed)]))
}

/// One principal for each family of callers without exceptions, and one for each caller with some.
fn listed<'a>(
    callers: impl IntoIterator<Item = &'a Caller>,
    is: impl Fn(&Family) -> Principal,
) -> Vec<Principal> {
    let (plain, cut): (Vec<&Caller>, Vec<&Caller>) =
        callers.into_iter().partition(|caller| caller.except.is_empty());
    let plain = Family::all(plain.into_iter().map(|caller| &caller.include));
    let mut principals: Vec<Principal> = plain.iter().map(&is).collect();
    principals.extend(cut.into_iter().map(|caller| {
        let include = Family::all([&caller.include]);
        let except = Family::all(&caller.except);
        all(include
            .iter()
            .map(&is)
            .chain(except.iter().map(|family| not(is(family)))))
    }));
    principals
}

/// A header whose value as a whole matches `regex` (RE2 syntax). It is one that Envoy itself keeps to a single line.
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
