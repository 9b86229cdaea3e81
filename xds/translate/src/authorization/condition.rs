//! What a request must be like, as permissions of Envoy's RBAC.

use super::tokens;
use envoy_types::pb::envoy::config::rbac::v3::Permission;
use envoy_types::pb::envoy::config::rbac::v3::permission::{Rule, Set};
use envoy_types::pb::envoy::config::route::v3::HeaderMatcher;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::r#type::matcher::v3::path_matcher::Rule as PathRule;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{PathMatcher, RegexMatcher, StringMatcher};
use peerway_mesh::{Condition, Fitting, Requests};
use peerway_model::config::{
    Action, HeaderCheck, HeaderCondition, PathCondition, RequestCondition, ValuePart,
};
use peerway_model::regular::Regular;

/// The pseudo header of the method.
const METHOD: &str = ":method";

/// The permissions of a policy, of which a request needs one.
pub(super) fn requests(requests: &Requests) -> Vec<Permission> {
    match requests {
        Requests::All => vec![permission(Rule::Any(true))],
        Requests::Fitting(fitting) => fitting.iter().map(self::fitting).collect(),
    }
}

fn fitting(one: &Fitting) -> Permission {
    let fits = fulfilled(&one.fits, Action::Allow);
    if one.except.is_empty() {
        return fits;
    }
    let except = one
        .except
        .iter()
        .map(|except| permission(Rule::NotRule(Box::new(fulfilled(except, Action::Deny)))));
    all(std::iter::once(fits).chain(except).collect())
}

/// The requests that fulfil a condition of a permission with this action, and carry the tokens that it asks for.
fn fulfilled(own: &Condition, action: Action) -> Permission {
    let Condition { http, tokens } = own;
    let mut rules = condition(http, action);
    rules.extend(tokens.iter().map(|one_of| tokens::carried(one_of)));
    all(rules)
}

fn condition(condition: &RequestCondition, action: Action) -> Vec<Permission> {
    let RequestCondition {
        path,
        headers,
        methods,
    } = condition;
    let mut rules: Vec<Permission> = path.iter().map(self::path).collect();
    rules.extend(headers.iter().map(|condition| header(condition, action)));
    if !methods.is_empty() {
        let methods = methods.iter().map(|method| {
            let value = text(MatchPattern::Exact(method.as_str().to_owned()), false);
            matcher(METHOD, HeaderMatchSpecifier::StringMatch(value), false)
        });
        rules.push(any(methods.collect()));
    }
    rules
}

fn path(path: &PathCondition) -> Permission {
    let value = match path {
        PathCondition::Exact(path) => text(MatchPattern::Exact(path.clone()), false),
        PathCondition::Prefix(path) => text(MatchPattern::Prefix(path.clone()), false),
        PathCondition::Regex(expression) => regex(expression),
    };
    permission(Rule::UrlPath(PathMatcher {
        rule: Some(PathRule::Path(value)),
    }))
}

/// A condition on a header that comes in one line at most.
///
/// Envoy lets a missing header fulfil no condition on a value, not even an inverted one. That is what a permission that
/// allows means; one that denies means it to be fulfilled, so there the matcher is inverted as a whole.
fn header(condition: &HeaderCondition, action: Action) -> Permission {
    let name = condition.name.as_str();
    let value = match &condition.test {
        HeaderCheck::Present => {
            return matcher(name, HeaderMatchSpecifier::PresentMatch(!condition.invert), false);
        }
        HeaderCheck::Regex(expression) => regex(expression),
        HeaderCheck::Value {
            part,
            text: value,
            ignore_case,
        } => {
            let value = value.clone();
            let pattern = match part {
                ValuePart::Whole => MatchPattern::Exact(value),
                ValuePart::Start => MatchPattern::Prefix(value),
                ValuePart::End => MatchPattern::Suffix(value),
                ValuePart::Anywhere => MatchPattern::Contains(value),
            };
            text(pattern, *ignore_case)
        }
    };
    let value = HeaderMatchSpecifier::StringMatch(value);
    match (condition.invert, action) {
        (false, _) => matcher(name, value, false),
        (true, Action::Allow) => matcher(name, value, true),
        (true, Action::Deny) => permission(Rule::NotRule(Box::new(matcher(name, value, false)))),
    }
}

fn matcher(name: &str, specifier: HeaderMatchSpecifier, invert: bool) -> Permission {
    permission(Rule::Header(HeaderMatcher {
        name: name.to_owned(),
        invert_match: invert,
        header_match_specifier: Some(specifier),
        ..HeaderMatcher::default()
    }))
}

fn text(pattern: MatchPattern, ignore_case: bool) -> StringMatcher {
    StringMatcher {
        ignore_case,
        match_pattern: Some(pattern),
    }
}

fn regex(expression: &Regular) -> StringMatcher {
    let pattern = MatchPattern::SafeRegex(RegexMatcher {
        regex: expression.as_str().to_owned(),
        ..RegexMatcher::default()
    });
    text(pattern, false)
}

/// Without members it is fulfilled by everything. Envoy wants at least one, and one needs no set.
pub(super) fn all(mut rules: Vec<Permission>) -> Permission {
    match rules.len() {
        0 => permission(Rule::Any(true)),
        1 => rules.remove(0),
        _ => permission(Rule::AndRules(Set { rules })),
    }
}

/// Without members it is fulfilled by nothing.
pub(super) fn any(mut rules: Vec<Permission>) -> Permission {
    match rules.len() {
        0 => permission(Rule::NotRule(Box::new(permission(Rule::Any(true))))),
        1 => rules.remove(0),
        _ => permission(Rule::OrRules(Set { rules })),
    }
}

pub(super) fn permission(rule: Rule) -> Permission {
    Permission { rule: Some(rule) }
}
