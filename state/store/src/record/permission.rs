//! Twins of what a source's calls may do.

use super::text::Text;
use peerway_model::ProviderName;
use peerway_model::config::{
    Action, HeaderCheck, HeaderCondition, HeaderName, JwtRequirement, Method, PathCondition, Permission,
    RequestCondition, ValuePart, Verdict, WantedClaim, WantedToken,
};
use peerway_model::regular::Regular;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Serialize, Deserialize)]
pub(super) struct PermissionRecord {
    action: Text<Action>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<PathRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<HeaderRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    methods: Vec<Text<Method>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwt: Option<RequirementRecord>,
}

/// Tokens, of which one will do.
#[derive(Serialize, Deserialize)]
pub(super) struct RequirementRecord(Vec<TokenRecord>);

#[derive(Serialize, Deserialize)]
struct TokenRecord {
    provider: Text<ProviderName>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    claims: Vec<ClaimRecord>,
}

#[derive(Serialize, Deserialize)]
struct ClaimRecord {
    path: Vec<String>,
    value: String,
}

impl From<&JwtRequirement> for RequirementRecord {
    fn from(requirement: &JwtRequirement) -> Self {
        let token = |WantedToken { provider, claims }: &WantedToken| TokenRecord {
            provider: Text(provider.clone()),
            claims: claims
                .iter()
                .map(|WantedClaim { path, value }| ClaimRecord {
                    path: path.clone(),
                    value: value.clone(),
                })
                .collect(),
        };
        RequirementRecord(requirement.tokens.iter().map(token).collect())
    }
}

impl From<RequirementRecord> for JwtRequirement {
    fn from(record: RequirementRecord) -> Self {
        let claim = |ClaimRecord { path, value }| WantedClaim { path, value };
        let token = |TokenRecord { provider, claims }| WantedToken {
            provider: provider.0,
            claims: claims.into_iter().map(claim).collect(),
        };
        JwtRequirement {
            tokens: record.0.into_iter().map(token).collect(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PathRecord {
    Exact(String),
    Prefix(String),
    Regex(Text<Regular>),
}

#[derive(Serialize, Deserialize)]
struct HeaderRecord {
    name: Text<HeaderName>,
    test: TestRecord,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    invert: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TestRecord {
    Present,
    Value {
        part: Text<ValuePart>,
        text: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ignore_case: bool,
    },
    Regex(Text<Regular>),
}

/// Action and permissions as two fields: stores from before there were permissions have the first one only.
pub(super) fn keep(verdict: &Verdict) -> (Option<Text<Action>>, Vec<PermissionRecord>) {
    match verdict {
        Verdict::Always(action) => (Some(Text(*action)), Vec::new()),
        Verdict::ByRequest(permissions) => (None, permissions.iter().map(PermissionRecord::from).collect()),
    }
}

pub(super) fn give_back(action: Option<Text<Action>>, permissions: Vec<PermissionRecord>) -> Verdict {
    match action {
        Some(action) => Verdict::Always(action.0),
        None => Verdict::ByRequest(permissions.into_iter().map(Permission::from).collect()),
    }
}

impl From<&Permission> for PermissionRecord {
    fn from(permission: &Permission) -> Self {
        let Permission { action, http, jwt } = permission;
        let RequestCondition {
            path,
            headers,
            methods,
        } = http;
        PermissionRecord {
            action: Text(*action),
            path: path.as_ref().map(|path| match path {
                PathCondition::Exact(text) => PathRecord::Exact(text.clone()),
                PathCondition::Prefix(text) => PathRecord::Prefix(text.clone()),
                PathCondition::Regex(regular) => PathRecord::Regex(Text(regular.clone())),
            }),
            headers: headers.iter().map(HeaderRecord::from).collect(),
            methods: methods.iter().copied().map(Text).collect(),
            jwt: jwt.as_ref().map(RequirementRecord::from),
        }
    }
}

impl From<PermissionRecord> for Permission {
    fn from(record: PermissionRecord) -> Self {
        Permission {
            action: record.action.0,
            http: RequestCondition {
                path: record.path.map(|path| match path {
                    PathRecord::Exact(text) => PathCondition::Exact(text),
                    PathRecord::Prefix(text) => PathCondition::Prefix(text),
                    PathRecord::Regex(regular) => PathCondition::Regex(regular.0),
                }),
                headers: record.headers.into_iter().map(HeaderCondition::from).collect(),
                methods: record
                    .methods
                    .into_iter()
                    .map(|method| method.0)
                    .collect::<BTreeSet<_>>(),
            },
            jwt: record.jwt.map(Into::into),
        }
    }
}

impl From<&HeaderCondition> for HeaderRecord {
    fn from(condition: &HeaderCondition) -> Self {
        let HeaderCondition { name, test, invert } = condition;
        HeaderRecord {
            name: Text(name.clone()),
            test: match test {
                HeaderCheck::Present => TestRecord::Present,
                HeaderCheck::Regex(regular) => TestRecord::Regex(Text(regular.clone())),
                HeaderCheck::Value {
                    part,
                    text,
                    ignore_case,
                } => TestRecord::Value {
                    part: Text(*part),
                    text: text.clone(),
                    ignore_case: *ignore_case,
                },
            },
            invert: *invert,
        }
    }
}

impl From<HeaderRecord> for HeaderCondition {
    fn from(record: HeaderRecord) -> Self {
        HeaderCondition {
            name: record.name.0,
            test: match record.test {
                TestRecord::Present => HeaderCheck::Present,
                TestRecord::Regex(regular) => HeaderCheck::Regex(regular.0),
                TestRecord::Value {
                    part,
                    text,
                    ignore_case,
                } => HeaderCheck::Value {
                    part: part.0,
                    text,
                    ignore_case,
                },
            },
            invert: record.invert,
        }
    }
}
