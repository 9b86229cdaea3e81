//! What policy looks at of a request, and whether it fits a permission.

use crate::config::{
    Action, Claims, HeaderCheck, HeaderCondition, HeaderName, PathCondition, Permission, RequestCondition,
    ValuePart,
};
use crate::name::ProviderName;
use std::collections::BTreeMap;

/// A request as a sidecar's policy sees it: its path in its one spelling, and headers without space around values.
/// `docs/calls.md` says what was done to it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// In upper case as a rule; methods differ by case.
    pub method: String,
    /// With or without a query.
    pub path: String,
    /// Names in either case; a name that is there twice is two lines.
    pub headers: Vec<(String, String)>,
    /// What its tokens say, of those that were verified: by the right keys, of the right issuer, for the right audience
    /// and in time. A token that was not is none.
    pub tokens: BTreeMap<ProviderName, Claims>,
}

impl Request {
    /// The values of a header, line by line.
    pub fn lines(&self, name: &HeaderName) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(own, _)| own.eq_ignore_ascii_case(name.as_str()))
            .map(|(_, value)| value.as_str())
    }

    /// Whether the request is one of those that the permission is about.
    pub fn fits(&self, permission: &Permission) -> bool {
        let RequestCondition {
            path,
            headers,
            methods,
        } = &permission.http;
        permission
            .jwt
            .as_ref()
            .is_none_or(|jwt| jwt.is_met_by(&self.tokens))
            && path.as_ref().is_none_or(|path| self.path_fits(path))
            && (methods.is_empty() || methods.iter().any(|method| method.as_str() == self.method))
            && headers
                .iter()
                .all(|header| self.header_fits(header, permission.action))
    }

    fn path_fits(&self, condition: &PathCondition) -> bool {
        let end = self.path.find(['?', '#']).unwrap_or(self.path.len());
        let path = &self.path[..end];
        match condition {
            PathCondition::Exact(text) => path == text,
            PathCondition::Prefix(text) => path.starts_with(text.as_str()),
            PathCondition::Regex(regular) => regular.matches(path),
        }
    }

    /// There is one line at most: requests with several do not get here.
    fn header_fits(&self, condition: &HeaderCondition, action: Action) -> bool {
        let Some(value) = self.lines(&condition.name).next() else {
            return match condition.test {
                HeaderCheck::Present => condition.invert,
                _ => condition.invert && action == Action::Deny,
            };
        };
        let passed = match &condition.test {
            HeaderCheck::Present => true,
            HeaderCheck::Regex(regular) => regular.matches(value),
            HeaderCheck::Value {
                part,
                text,
                ignore_case,
            } => {
                let fold = |text: &str| match ignore_case {
                    true => text.to_ascii_lowercase(),
                    false => text.to_owned(),
                };
                let (value, text) = (fold(value), fold(text));
                match part {
                    ValuePart::Whole => value == text,
                    ValuePart::Start => value.starts_with(&text),
                    ValuePart::End => value.ends_with(&text),
                    ValuePart::Anywhere => value.contains(&text),
                }
            }
        };
        passed != condition.invert
    }
}
