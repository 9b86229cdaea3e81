//! Who may connect and who may send which requests, as Envoy's RBAC filters.
//!
//! Every filter lets in and refuses everybody else: what it does not know is refused. The patterns need more than
//! Envoy's default of 100 for `re2.max_program_size.error_level`, as those of Consul do: the bootstrap raises it. An
//! Envoy without that refuses the listener, so nobody gets in by the omission.

mod condition;
mod pattern;
mod principal;
mod tokens;

use crate::{source, tls};
use envoy_types::pb::envoy::config::core::v3::{
    DataSource, ExtensionConfigSource, TypedExtensionConfig, data_source,
};
use envoy_types::pb::envoy::config::rbac::v3::permission::Rule;
use envoy_types::pb::envoy::config::rbac::v3::{Permission, Policy, Principal, Rbac as Rules, rbac};
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::JwtAuthentication;
use envoy_types::pb::envoy::extensions::filters::http::lua::v3::Lua;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac as HttpRbac;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3::Rbac;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::SubjectAltNameMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::google::protobuf::Any;
use envoy_types::util::pack_any;
use pattern::Family;
use peerway_mesh::{Authorization, Grant, KnownBy, Lets, RequestAuthorization};
use peerway_model::config::HeaderName;
use prost::Name;
use std::collections::HashMap;

/// Prefix of the filter's statistics (xDS facts, section 1.4).
const STAT_PREFIX: &str = "connect_authz";
/// The policy about connections, and what the names of those about requests begin with.
const POLICY: &str = "callers";

/// The filter that a policy is, to be delivered under its name.
pub(crate) fn extension(policy: &peerway_mesh::Policy) -> TypedExtensionConfig {
    let filter = match &policy.lets {
        Lets::Connections(authorization) => pack_any(filter(authorization)),
        Lets::Requests(authorization) => pack_any(request_filter(authorization)),
        Lets::SingleLines(names) => match single_lines(names) {
            Some(counter) => pack_any(counter),
            // A filter without rules, which enforces nothing: there has to be one.
            None => pack_any(HttpRbac::default()),
        },
        Lets::Tokens(providers) => pack_any(tokens::verified(providers)),
    };
    TypedExtensionConfig {
        name: policy.name.clone(),
        typed_config: Some(filter),
    }
}

/// Where the filter about connections comes from. Until it is there, and if it never comes, nobody is let in.
pub(crate) fn discovered_connections() -> ExtensionConfigSource {
    let nobody = Authorization { callers: Vec::new() };
    discovered(pack_any(filter(&nobody)), &[Rbac::type_url()])
}

/// The same for requests.
pub(crate) fn discovered_requests() -> ExtensionConfigSource {
    discovered(pack_any(nobody()), &[HttpRbac::type_url()])
}

/// The same for the filter about lines.
pub(crate) fn discovered_lines() -> ExtensionConfigSource {
    discovered(pack_any(nobody()), &[HttpRbac::type_url(), Lua::type_url()])
}

/// The same for the filter about tokens. Until it is there no token is verified, so whoever needs one is refused by the
/// filter about requests.
pub(crate) fn discovered_tokens() -> ExtensionConfigSource {
    discovered(
        pack_any(JwtAuthentication::default()),
        &[JwtAuthentication::type_url()],
    )
}

fn nobody() -> HttpRbac {
    HttpRbac {
        rules: Some(allow(HashMap::new())),
        ..HttpRbac::default()
    }
}

fn discovered(meanwhile: Any, types: &[String]) -> ExtensionConfigSource {
    ExtensionConfigSource {
        config_source: Some(source::ads()),
        default_config: Some(meanwhile),
        type_urls: types.to_vec(),
        ..ExtensionConfigSource::default()
    }
}

/// The filter. It always has rules: one without rules enforces nothing, one with an empty list of callers refuses
/// everybody.
fn filter(authorization: &Authorization) -> Rbac {
    let principals = principal::certified(&authorization.callers);
    let every = vec![Permission {
        rule: Some(Rule::Any(true)),
    }];
    let policies = policy(principals, every)
        .map(|policy| (POLICY.to_owned(), policy))
        .into_iter()
        .collect();
    Rbac {
        rules: Some(allow(policies)),
        stat_prefix: STAT_PREFIX.to_owned(),
        ..Rbac::default()
    }
}

/// The filter for requests. It always has rules: without callers it refuses everybody.
fn request_filter(authorization: &RequestAuthorization) -> HttpRbac {
    let policies = authorization
        .grants
        .iter()
        .enumerate()
        .filter_map(|(at, grant)| {
            let principals = principals(authorization, grant);
            let policy = policy(principals, condition::requests(&grant.requests))?;
            Some((format!("{POLICY}-{at}"), policy))
        })
        .collect();
    HttpRbac {
        rules: Some(allow(policies)),
        ..HttpRbac::default()
    }
}

fn principals(authorization: &RequestAuthorization, grant: &Grant) -> Vec<Principal> {
    let known = |by: KnownBy| {
        let callers = grant.callers.iter();
        callers
            .filter(move |held| held.known_by == by)
            .map(|held| &held.caller)
    };
    let mut principals = principal::certified(known(KnownBy::Certificate));
    principals.extend(principal::forwarded(
        &authorization.gateways,
        known(KnownBy::Gateway),
    ));
    principals
}

fn allow(policies: HashMap<String, Policy>) -> Rules {
    Rules {
        action: i32::from(rbac::Action::Allow),
        policies,
        ..Rules::default()
    }
}

/// `None` when it would be about nobody: Envoy refuses a policy without principals.
fn policy(principals: Vec<Principal>, permissions: Vec<Permission>) -> Option<Policy> {
    (!principals.is_empty()).then(|| Policy {
        permissions,
        principals,
        ..Policy::default()
    })
}

/// Refuses requests that have several lines of a header that policy looks at; `None` when it looks at none.
///
/// Before 1.37 and its sisters Envoy's RBAC filter compares such lines joined by commas, later versions compare each,
/// and a runtime flag changes it. No matcher can tell one line from two in both, so the lines are counted.
fn single_lines(names: &[HeaderName]) -> Option<Lua> {
    // Names are tokens: nothing in them ends a Lua string.
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let code = format!(
        "local names = {{{}}}\n\
         function envoy_on_request(handle)\n\
         \x20 local headers = handle:headers()\n\
         \x20 for _, name in ipairs(names) do\n\
         \x20   if headers:getNumValues(name) > 1 then\n\
         \x20     handle:respond({{[\":status\"] = \"403\"}}, \"\")\n\
         \x20     return\n\
         \x20   end\n\
         \x20 end\n\
         end\n",
        names.join(", ")
    );
    (!names.is_empty()).then(|| Lua {
        default_source_code: Some(DataSource {
            specifier: Some(data_source::Specifier::InlineString(code)),
            ..DataSource::default()
        }),
        ..Lua::default()
    })
}

/// URI SANs of which a client certificate must have one, so that callers who are surely not allowed do not get past
/// the handshake. Never empty: an empty list would admit everybody.
pub(crate) fn names(authorization: &Authorization) -> Vec<SubjectAltNameMatcher> {
    let families = Family::all(authorization.callers.iter().map(|caller| &caller.include));
    let mut names: Vec<String> = families.iter().map(pattern::callers).collect();
    if names.is_empty() {
        names.push(pattern::NOTHING.to_owned());
    }
    let regex = |regex| {
        MatchPattern::SafeRegex(RegexMatcher {
            regex,
            ..RegexMatcher::default()
        })
    };
    names.into_iter().map(|name| tls::uri(regex(name))).collect()
}
