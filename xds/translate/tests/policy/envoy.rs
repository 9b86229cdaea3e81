//! What Envoy does with the messages, written from its documentation (the RBAC filters, `HeaderMatcher`,
//! `StringMatcher`, `PathMatcher`, `mtls_authenticated`). Whatever a message says that is not known here panics.

use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::rbac::v3::permission::Rule;
use envoy_types::pb::envoy::config::rbac::v3::principal::Identifier;
use envoy_types::pb::envoy::config::rbac::v3::{MetadataSource, Permission, Principal, Rbac as Rules};
use envoy_types::pb::envoy::config::route::v3::HeaderMatcher;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::config::route::v3::route_match::PathSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::JwtAuthentication;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::jwt_requirement::RequiresType;
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3::requirement_rule::RequirementType;
use envoy_types::pb::envoy::extensions::filters::http::lua::v3::Lua;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac as HttpRbac;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_filter,
};
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3::Rbac as NetworkRbac;
use envoy_types::pb::envoy::extensions::rbac::principals::mtls_authenticated::v3::Config as MtlsAuthenticated;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use envoy_types::pb::envoy::r#type::matcher::v3::metadata_matcher::path_segment::Segment;
use envoy_types::pb::envoy::r#type::matcher::v3::path_matcher::Rule as PathRule;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::value_matcher::MatchPattern as ValuePattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{MetadataMatcher, StringMatcher};
use envoy_types::pb::google::protobuf::Any;
use peerway_model::config::Claims;
use peerway_model::instance::Opaque;
use peerway_model::intention::Request;
use prost::{Message, Name};
use regex::bytes::{Regex, RegexBuilder};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// How the lines of a header are compared, which differs by version and by a runtime flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// Joined by commas.
    Joined,
    /// Each by itself; one that matches is enough.
    Each,
}

/// A connection whose certificate has been verified, and a request on it.
pub(crate) struct Seen<'a> {
    pub(crate) sans: &'a [String],
    pub(crate) request: Option<&'a Request>,
}

/// Expressions that were compiled before.
#[derive(Default)]
pub(crate) struct Envoy {
    compiled: RefCell<HashMap<String, Rc<Regex>>>,
    /// What the filter about tokens noted of the request that is asked about.
    notes: RefCell<BTreeMap<String, Claims>>,
}

fn unpacked<M: Message + Name + Default>(any: &Any) -> Option<M> {
    (any.type_url == M::type_url()).then(|| M::decode(any.value.as_slice()).unwrap())
}

impl Envoy {
    /// Whether a connection, or a request on it, gets through the only chain of a listener.
    pub(crate) fn passes(&self, listener: &Listener, seen: &Seen<'_>, lines: Lines) -> bool {
        let [chain] = listener.filter_chains.as_slice() else {
            panic!("{} chains", listener.filter_chains.len());
        };
        let mut decided = false;
        for filter in &chain.filters {
            let Some(ConfigType::TypedConfig(any)) = &filter.config_type else {
                panic!("{} without configuration", filter.name);
            };
            if let Some(rbac) = unpacked::<NetworkRbac>(any) {
                decided = true;
                if !self.allowed(&rbac.rules.unwrap(), seen, lines) {
                    return false;
                }
            } else if let Some(manager) = unpacked::<HttpConnectionManager>(any) {
                decided = true;
                if !self.requested(&manager, seen, lines) {
                    return false;
                }
            } else {
                assert_eq!(filter.name, "envoy.filters.network.tcp_proxy");
                assert!(decided, "nobody decides");
            }
        }
        decided
    }

    fn requested(&self, manager: &HttpConnectionManager, seen: &Seen<'_>, lines: Lines) -> bool {
        let mut decided = false;
        self.notes.borrow_mut().clear();
        for filter in &manager.http_filters {
            let Some(http_filter::ConfigType::TypedConfig(any)) = &filter.config_type else {
                panic!("{} without configuration", filter.name);
            };
            if let Some(lua) = unpacked::<Lua>(any) {
                let request = seen.request.unwrap();
                if counted(&lua).iter().any(|name| values(request, name).len() > 1) {
                    return false;
                }
            } else if let Some(tokens) = unpacked::<JwtAuthentication>(any) {
                assert!(!decided, "decided before tokens are verified");
                *self.notes.borrow_mut() = noted(&tokens, seen.request.unwrap());
            } else if let Some(rbac) = unpacked::<HttpRbac>(any) {
                // Without rules it enforces nothing, and decides nothing.
                let Some(rules) = rbac.rules else { continue };
                decided = true;
                if !self.allowed(&rules, seen, lines) {
                    return false;
                }
            } else {
                assert_eq!(filter.name, "envoy.filters.http.router");
                assert!(decided, "nobody decides");
            }
        }
        decided
    }

    fn allowed(&self, rules: &Rules, seen: &Seen<'_>, lines: Lines) -> bool {
        let permits = |one: &Permission| self.permission(one, seen, lines);
        let is = |one: &Principal| self.principal(one, seen, lines);
        let matched = rules.policies.values().any(|policy| {
            assert!(!policy.permissions.is_empty() && !policy.principals.is_empty());
            assert!(policy.condition.is_none() && policy.checked_condition.is_none());
            policy.permissions.iter().any(permits) && policy.principals.iter().any(is)
        });
        match rules.action {
            0 => matched,
            1 => !matched,
            other => panic!("action {other}"),
        }
    }

    fn permission(&self, permission: &Permission, seen: &Seen<'_>, lines: Lines) -> bool {
        match permission.rule.as_ref().unwrap() {
            Rule::Any(any) => *any,
            Rule::AndRules(set) => set.rules.iter().all(|one| self.permission(one, seen, lines)),
            Rule::OrRules(set) => set.rules.iter().any(|one| self.permission(one, seen, lines)),
            Rule::NotRule(one) => !self.permission(one, seen, lines),
            Rule::Header(matcher) => self.header(matcher, seen.request.unwrap(), lines),
            Rule::SourcedMetadata(sourced) => {
                assert_eq!(sourced.metadata_source, i32::from(MetadataSource::Dynamic));
                self.noted(sourced.metadata_matcher.as_ref().unwrap())
            }
            Rule::UrlPath(matcher) => {
                let Some(PathRule::Path(matcher)) = &matcher.rule else {
                    panic!("a path without a matcher");
                };
                let path = &seen.request.unwrap().path;
                let end = path.find(['?', '#']).unwrap_or(path.len());
                self.text(matcher, &path[..end])
            }
            other => panic!("{other:?}"),
        }
    }

    fn noted(&self, matcher: &MetadataMatcher) -> bool {
        assert_eq!(matcher.filter, "envoy.filters.http.jwt_authn");
        assert!(!matcher.invert);
        let keys: Vec<&str> = matcher
            .path
            .iter()
            .map(|part| match part.segment.as_ref().unwrap() {
                Segment::Key(key) => key.as_str(),
            })
            .collect();
        let [note, path @ .., last] = keys.as_slice() else {
            panic!("{keys:?}");
        };
        let notes = self.notes.borrow();
        let mut inner = notes.get(*note);
        for key in path {
            inner = match inner.and_then(|claims| claims.get(*key)) {
                Some(Opaque::Map(members)) => Some(members),
                _ => None,
            };
        }
        let Some(ValuePattern::StringMatch(text)) = &matcher.value.as_ref().unwrap().match_pattern else {
            panic!("{matcher:?}");
        };
        match inner.and_then(|claims| claims.get(*last)) {
            Some(Opaque::Text(value)) => self.text(text, value),
            _ => false,
        }
    }

    fn principal(&self, principal: &Principal, seen: &Seen<'_>, lines: Lines) -> bool {
        match principal.identifier.as_ref().unwrap() {
            Identifier::AndIds(set) => set.ids.iter().all(|one| self.principal(one, seen, lines)),
            Identifier::OrIds(set) => set.ids.iter().any(|one| self.principal(one, seen, lines)),
            Identifier::NotId(one) => !self.principal(one, seen, lines),
            Identifier::Header(matcher) => self.header(matcher, seen.request.unwrap(), lines),
            Identifier::Custom(extension) => {
                let any = extension.typed_config.as_ref().unwrap();
                let config: MtlsAuthenticated = unpacked(any).unwrap();
                let matcher = config.san_matcher.unwrap();
                assert_eq!(matcher.san_type, i32::from(SanType::Uri));
                let matcher = matcher.matcher.unwrap();
                seen.sans.iter().any(|san| self.text(&matcher, san))
            }
            other => panic!("{other:?}"),
        }
    }

    fn header(&self, matcher: &HeaderMatcher, request: &Request, lines: Lines) -> bool {
        assert!(!matcher.treat_missing_header_as_empty);
        let found = values(request, &matcher.name);
        match matcher.header_match_specifier.as_ref().unwrap() {
            HeaderMatchSpecifier::PresentMatch(wanted) => {
                (found.is_empty() != *wanted) != matcher.invert_match
            }
            HeaderMatchSpecifier::StringMatch(text) => {
                // A missing header fulfils nothing, whether inverted or not.
                !found.is_empty()
                    && matcher.invert_match
                        != match lines {
                            Lines::Joined => self.text(text, &found.join(",")),
                            Lines::Each => found.iter().any(|value| self.text(text, value)),
                        }
            }
            other => panic!("{other:?}"),
        }
    }

    fn text(&self, matcher: &StringMatcher, value: &str) -> bool {
        let fold = |text: &str| match matcher.ignore_case {
            true => text.to_ascii_lowercase(),
            false => text.to_owned(),
        };
        let value_folded = fold(value);
        match matcher.match_pattern.as_ref().unwrap() {
            MatchPattern::Exact(text) => value_folded == fold(text),
            MatchPattern::Prefix(text) => value_folded.starts_with(&fold(text)),
            MatchPattern::Suffix(text) => value_folded.ends_with(&fold(text)),
            MatchPattern::Contains(text) => value_folded.contains(&fold(text)),
            MatchPattern::SafeRegex(expression) => {
                assert!(!matcher.ignore_case);
                self.compiled(&expression.regex).is_match(value.as_bytes())
            }
            other => panic!("{other:?}"),
        }
    }

    /// RE2's `\C` is any byte. Envoy asks for a match of the whole text.
    fn compiled(&self, text: &str) -> Rc<Regex> {
        let mut compiled = self.compiled.borrow_mut();
        let regex = compiled.entry(text.to_owned()).or_insert_with(|| {
            let text = text.replace(r"\C", "(?s:.)");
            let whole = format!(r"\A(?:{text})\z");
            Rc::new(RegexBuilder::new(&whole).unicode(false).build().unwrap())
        });
        regex.clone()
    }
}

/// What the filter notes: it refuses nobody, and takes every token that one of its providers verifies.
fn noted(filter: &JwtAuthentication, request: &Request) -> BTreeMap<String, Claims> {
    let [rule] = filter.rules.as_slice() else {
        panic!("{} rules", filter.rules.len());
    };
    let matched = rule.r#match.as_ref().unwrap();
    assert_eq!(
        matched.path_specifier,
        Some(PathSpecifier::Prefix("/".to_owned()))
    );
    let Some(RequirementType::Requires(requirement)) = &rule.requirement_type else {
        panic!("{rule:?}");
    };
    assert!(matches!(
        requirement.requires_type,
        Some(RequiresType::AllowMissingOrFailed(_))
    ));
    let mut notes = BTreeMap::new();
    for (name, provider) in &filter.providers {
        assert!(!provider.issuer.is_empty() && provider.jwks_source_specifier.is_some());
        if let Some((_, claims)) = request.tokens.iter().find(|(own, _)| own.as_str() == name) {
            let mut claims = claims.clone();
            claims.insert("iss".to_owned(), Opaque::Text(provider.issuer.clone()));
            notes.insert(provider.payload_in_metadata.clone(), claims);
        }
    }
    notes
}

/// The values of a header, line by line.
fn values(request: &Request, name: &str) -> Vec<String> {
    if name == ":method" {
        return vec![request.method.clone()];
    }
    request
        .headers
        .iter()
        .filter(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim_matches([' ', '\t']).to_owned())
        .collect()
}

/// The headers whose lines a script counts.
fn counted(lua: &Lua) -> Vec<String> {
    use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
    let Some(Specifier::InlineString(code)) = &lua.default_source_code.as_ref().unwrap().specifier else {
        panic!("no script");
    };
    let list = code
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("local names = {"))
        .and_then(|line| line.strip_suffix('}'))
        .unwrap();
    list.split(", ")
        .map(|name| name.trim_matches('"').to_owned())
        .collect()
}
