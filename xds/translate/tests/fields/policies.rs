//! The rules of the filters that let callers and requests in: one breach, and the proxy keeps refusing everybody.

use crate::rules::{Breaches, header_name, of, string};
use envoy_types::pb::envoy::config::core::v3::{DataSource, ExtensionConfigSource, data_source};
use envoy_types::pb::envoy::config::rbac::v3::permission::Rule;
use envoy_types::pb::envoy::config::rbac::v3::principal::Identifier;
use envoy_types::pb::envoy::config::rbac::v3::rbac::Action;
use envoy_types::pb::envoy::config::rbac::v3::{
    MetadataSource, Permission, Policy, Principal, Rbac as Rules, SourcedMetadata,
};
use envoy_types::pb::envoy::config::route::v3::HeaderMatcher;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::extensions::filters::http::lua::v3::Lua;
use envoy_types::pb::envoy::extensions::filters::http::rbac::v3::Rbac as HttpRbac;
use envoy_types::pb::envoy::extensions::filters::network::rbac::v3::Rbac as NetworkRbac;
use envoy_types::pb::envoy::extensions::rbac::principals::mtls_authenticated::v3::Config as MtlsAuthenticated;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::SubjectAltNameMatcher;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use envoy_types::pb::envoy::r#type::matcher::v3::MetadataMatcher;
use envoy_types::pb::envoy::r#type::matcher::v3::metadata_matcher::path_segment::Segment;
use envoy_types::pb::envoy::r#type::matcher::v3::path_matcher::Rule as PathRule;
use envoy_types::pb::envoy::r#type::matcher::v3::value_matcher::MatchPattern as ValuePattern;
use envoy_types::pb::google::protobuf::Any;

/// Looks at a filter if it is one of those that let in; whether it was.
pub(crate) fn filter(any: &Any, found: &mut Breaches) -> bool {
    if let Some(rbac) = of::<NetworkRbac>(any) {
        found.expect(!rbac.stat_prefix.is_empty(), "statistics have a prefix");
        found.expect(rbac.rules.is_some(), "a filter about connections has rules");
        rbac.rules.iter().for_each(|own| rules(own, found));
    } else if let Some(rbac) = of::<HttpRbac>(any) {
        rbac.rules.iter().for_each(|own| rules(own, found));
    } else if let Some(lua) = of::<Lua>(any) {
        let code = match &lua.default_source_code {
            Some(DataSource {
                specifier: Some(data_source::Specifier::InlineString(code)),
                ..
            }) => code.as_str(),
            _ => "",
        };
        found.expect(!code.is_empty(), "a script has code");
    } else {
        return false;
    }
    true
}

/// A filter that is found by name, and what stands in for it.
pub(crate) fn discovered(source: &ExtensionConfigSource, found: &mut Breaches) {
    found.expect(source.config_source.is_some(), "a filter comes from somewhere");
    found.expect(!source.type_urls.is_empty(), "a filter is of some kind");
    if let Some(meanwhile) = &source.default_config {
        found.expect(
            source.type_urls.contains(&meanwhile.type_url),
            "what stands in for a filter is of its kind",
        );
        filter(meanwhile, found);
    }
}

/// Names of subjects that a handshake asks for.
pub(crate) fn subject(matcher: &SubjectAltNameMatcher, found: &mut Breaches) {
    let known = SanType::try_from(matcher.san_type);
    found.expect(
        known.is_ok_and(|kind| kind != SanType::Unspecified),
        "a subject has a kind",
    );
    match &matcher.matcher {
        Some(text) => string(text, found),
        None => found.expect(false, "a subject is compared"),
    }
}

fn rules(own: &Rules, found: &mut Breaches) {
    found.expect(Action::try_from(own.action).is_ok(), "an action is known");
    for Policy {
        permissions,
        principals,
        ..
    } in own.policies.values()
    {
        found.expect(!permissions.is_empty(), "a policy has permissions");
        found.expect(!principals.is_empty(), "a policy has principals");
        permissions.iter().for_each(|one| permission(one, found));
        principals.iter().for_each(|one| principal(one, found));
    }
}

fn permission(one: &Permission, found: &mut Breaches) {
    match &one.rule {
        Some(Rule::AndRules(set) | Rule::OrRules(set)) => {
            found.expect(!set.rules.is_empty(), "a set of rules has some");
            set.rules.iter().for_each(|inner| permission(inner, found));
        }
        Some(Rule::Any(any)) => found.expect(*any, "any is true"),
        Some(Rule::NotRule(inner)) => permission(inner, found),
        Some(Rule::Header(matcher)) => header(matcher, found),
        Some(Rule::UrlPath(path)) => match &path.rule {
            Some(PathRule::Path(text)) => string(text, found),
            None => found.expect(false, "a path is compared"),
        },
        Some(Rule::SourcedMetadata(sourced)) => metadata(sourced, found),
        Some(other) => found.expect(false, &format!("nothing is known here of {other:?}")),
        None => found.expect(false, "a permission has a rule"),
    }
}

fn principal(one: &Principal, found: &mut Breaches) {
    match &one.identifier {
        Some(Identifier::AndIds(set) | Identifier::OrIds(set)) => {
            found.expect(!set.ids.is_empty(), "a set of principals has some");
            set.ids.iter().for_each(|inner| principal(inner, found));
        }
        Some(Identifier::Any(any)) => found.expect(*any, "any is true"),
        Some(Identifier::NotId(inner)) => principal(inner, found),
        Some(Identifier::Header(matcher)) => header(matcher, found),
        Some(Identifier::Custom(extension)) => {
            found.expect(!extension.name.is_empty(), "an extension has a name");
            let config = extension.typed_config.as_ref();
            match config.and_then(of::<MtlsAuthenticated>) {
                Some(config) => {
                    found.expect(
                        config.san_matcher.is_some() != config.any_validated_client_certificate,
                        "a certificate is asked about in one way",
                    );
                    config.san_matcher.iter().for_each(|own| subject(own, found));
                }
                None => found.expect(false, "an extension is of a kind that is known here"),
            }
        }
        Some(other) => found.expect(false, &format!("nothing is known here of {other:?}")),
        None => found.expect(false, "a principal is somebody"),
    }
}

fn header(matcher: &HeaderMatcher, found: &mut Breaches) {
    header_name(&matcher.name, found);
    match &matcher.header_match_specifier {
        Some(HeaderMatchSpecifier::StringMatch(text)) => string(text, found),
        Some(HeaderMatchSpecifier::PresentMatch(_)) => {}
        Some(other) => found.expect(false, &format!("nothing is known here of {other:?}")),
        // Envoy takes it for one that asks whether the header is there, which is never what is meant.
        None => found.expect(false, "a header is compared"),
    }
}

fn metadata(sourced: &SourcedMetadata, found: &mut Breaches) {
    let known = MetadataSource::try_from(sourced.metadata_source);
    found.expect(known.is_ok(), "a source of metadata is known");
    let Some(MetadataMatcher {
        filter, path, value, ..
    }) = &sourced.metadata_matcher
    else {
        return found.expect(false, "metadata is compared");
    };
    found.expect(!filter.is_empty(), "metadata is of a filter");
    found.expect(!path.is_empty(), "metadata has a path");
    for part in path {
        let key = match &part.segment {
            Some(Segment::Key(key)) => key.as_str(),
            None => "",
        };
        found.expect(!key.is_empty(), "a part of a path has a key");
    }
    match value.as_ref().and_then(|value| value.match_pattern.as_ref()) {
        Some(ValuePattern::StringMatch(text)) => string(text, found),
        Some(other) => found.expect(false, &format!("nothing is known here of {other:?}")),
        None => found.expect(false, "a value is compared"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::config::core::v3::TypedExtensionConfig;
    use envoy_types::pb::envoy::config::rbac::v3::{permission, principal};
    use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
    use envoy_types::pb::envoy::r#type::matcher::v3::{PathMatcher, RegexMatcher, StringMatcher};
    use envoy_types::util::pack_any;

    fn found(any: &Any) -> Vec<String> {
        let mut found = Breaches::default();
        assert!(filter(any, &mut found), "{}", any.type_url);
        found.0
    }

    /// What is wrong with a filter for requests that has this permission and this principal.
    fn wrong(permission: Option<Rule>, principal: Option<Identifier>) -> Vec<String> {
        let policy = Policy {
            permissions: vec![Permission { rule: permission }],
            principals: vec![Principal {
                identifier: principal,
            }],
            ..Policy::default()
        };
        let rules = Rules {
            policies: [("callers".to_owned(), policy)].into(),
            ..Rules::default()
        };
        found(&pack_any(HttpRbac {
            rules: Some(rules),
            ..HttpRbac::default()
        }))
    }

    fn text(pattern: MatchPattern) -> StringMatcher {
        StringMatcher {
            match_pattern: Some(pattern),
            ..StringMatcher::default()
        }
    }

    fn regex(text: &str) -> MatchPattern {
        MatchPattern::SafeRegex(RegexMatcher {
            regex: text.to_owned(),
            ..RegexMatcher::default()
        })
    }

    fn named(name: &str, specifier: Option<HeaderMatchSpecifier>) -> HeaderMatcher {
        HeaderMatcher {
            name: name.to_owned(),
            header_match_specifier: specifier,
            ..HeaderMatcher::default()
        }
    }

    fn certified(san_type: SanType, matcher: Option<StringMatcher>) -> Identifier {
        let config = MtlsAuthenticated {
            san_matcher: Some(SubjectAltNameMatcher {
                san_type: i32::from(san_type),
                matcher,
                ..SubjectAltNameMatcher::default()
            }),
            ..MtlsAuthenticated::default()
        };
        Identifier::Custom(TypedExtensionConfig {
            name: "mtls".to_owned(),
            typed_config: Some(pack_any(config)),
        })
    }

    #[test]
    fn breaches_of_policies_are_found() {
        let (anything, anybody) = (Some(Rule::Any(true)), Some(Identifier::Any(true)));
        let present = Some(HeaderMatchSpecifier::PresentMatch(true));
        assert_eq!(wrong(anything.clone(), anybody.clone()), [""; 0]);
        let path = |rule| Rule::UrlPath(PathMatcher { rule });
        let sourced = |metadata_matcher| {
            Rule::SourcedMetadata(SourcedMetadata {
                metadata_matcher,
                ..SourcedMetadata::default()
            })
        };
        for (rule, says) in [
            (None, "a permission has a rule"),
            (Some(Rule::Any(false)), "any is true"),
            (Some(Rule::DestinationPort(1)), "nothing is known here"),
            (
                Some(Rule::AndRules(permission::Set::default())),
                "a set of rules has some",
            ),
            (Some(Rule::NotRule(Box::default())), "a permission has a rule"),
            (
                Some(Rule::Header(named("", present.clone()))),
                "a header has a name",
            ),
            (Some(Rule::Header(named("x", None))), "a header is compared"),
            (Some(path(None)), "a path is compared"),
            (
                Some(path(Some(PathRule::Path(text(MatchPattern::Prefix(
                    String::new(),
                )))))),
                "what is looked for is not empty",
            ),
            (
                Some(path(Some(PathRule::Path(text(regex("a(")))))),
                "a regex is one",
            ),
            (Some(sourced(None)), "metadata is compared"),
            (
                Some(sourced(Some(MetadataMatcher::default()))),
                "metadata is of a filter",
            ),
        ] {
            let wrong = wrong(rule.clone(), anybody.clone());
            assert!(
                wrong.iter().any(|rule| rule.starts_with(says)),
                "{rule:?}: {wrong:?}"
            );
        }
        for (identifier, says) in [
            (None, "a principal is somebody"),
            (Some(Identifier::Any(false)), "any is true"),
            (
                Some(Identifier::OrIds(principal::Set::default())),
                "a set of principals has some",
            ),
            (Some(Identifier::NotId(Box::default())), "a principal is somebody"),
            (
                Some(certified(SanType::Unspecified, Some(text(regex("a"))))),
                "a subject has a kind",
            ),
            (Some(certified(SanType::Uri, None)), "a subject is compared"),
            (
                Some(certified(SanType::Uri, Some(text(regex(""))))),
                "what is looked for is not empty",
            ),
            (
                Some(Identifier::Custom(TypedExtensionConfig::default())),
                "an extension has a name",
            ),
        ] {
            let wrong = wrong(anything.clone(), identifier.clone());
            assert!(
                wrong.iter().any(|rule| rule.starts_with(says)),
                "{identifier:?}: {wrong:?}"
            );
        }
    }

    #[test]
    fn breaches_of_filters_are_found() {
        let nobody = pack_any(NetworkRbac::default());
        assert_eq!(found(&nobody).len(), 2);
        let without = Rules {
            action: 7,
            policies: [("callers".to_owned(), Policy::default())].into(),
            ..Rules::default()
        };
        let rbac = pack_any(HttpRbac {
            rules: Some(without),
            ..HttpRbac::default()
        });
        assert_eq!(found(&rbac).len(), 3);
        assert_eq!(found(&pack_any(Lua::default())).len(), 1);
        let mut found = Breaches::default();
        discovered(&ExtensionConfigSource::default(), &mut found);
        assert_eq!(found.0.len(), 2);
        let source = ExtensionConfigSource {
            type_urls: vec!["another".to_owned()],
            default_config: Some(nobody),
            ..ExtensionConfigSource::default()
        };
        let mut found = Breaches::default();
        discovered(&source, &mut found);
        assert_eq!(found.0.len(), 4);
    }
}
