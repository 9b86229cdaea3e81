//! `Permissions` of a source of `service-intentions` (xDS facts, section 6.3).

use super::jwt_requirement::{jwt_from, jwt_json};
use crate::fields::Fields;
use peerway_model::Invalid;
use peerway_model::config::{
    Action, HeaderCheck, HeaderCondition, HeaderName, Method, PathCondition, Permission, RequestCondition,
    ValuePart, Verdict,
};
use peerway_model::regular::Regular;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Takes `Action` or `Permissions` of a source.
pub(super) fn verdict_from(fields: &mut Fields<'_>) -> Result<Verdict, Invalid> {
    let permissions: Vec<Permission> = fields
        .objects("Permissions")?
        .into_iter()
        .map(permission)
        .collect::<Result<_, _>>()?;
    match (action_from(fields)?, permissions.is_empty()) {
        (Some(action), true) => Ok(Verdict::Always(action)),
        (None, false) => Ok(Verdict::ByRequest(permissions)),
        (Some(_), false) => Err(Invalid::new(
            fields.at("Action"),
            "does not go together with Permissions, which say it for each; remove one of them",
        )),
        (None, true) => Err(fields.missing("Action")),
    }
}

fn action_from(fields: &mut Fields<'_>) -> Result<Option<Action>, Invalid> {
    fields.parsed("Action", |text| match text {
        "allow" => Ok(Action::Allow),
        "deny" => Ok(Action::Deny),
        other => Err(Invalid::new(
            "",
            format!("is {other:?}, use \"allow\" or \"deny\""),
        )),
    })
}

fn permission(mut fields: Fields<'_>) -> Result<Permission, Invalid> {
    let action = action_from(&mut fields)?.ok_or_else(|| fields.missing("Action"))?;
    let jwt = jwt_from(&mut fields)?;
    let http = fields
        .object("HTTP")?
        .ok_or_else(|| Invalid::new(fields.at("HTTP"), "is required"))?;
    let http = condition(http)?;
    fields.finish()?;
    Ok(Permission { action, http, jwt })
}

fn condition(mut fields: Fields<'_>) -> Result<RequestCondition, Invalid> {
    let exact = fields.nonempty("PathExact")?.map(PathCondition::Exact);
    let prefix = fields.nonempty("PathPrefix")?.map(PathCondition::Prefix);
    let regex = fields
        .parsed("PathRegex", Regular::new)?
        .map(PathCondition::Regex);
    let mut paths = [exact, prefix, regex].into_iter().flatten();
    let path = paths.next();
    if paths.next().is_some() {
        return Err(Invalid::new(
            fields.path(),
            "has more than one of PathExact, PathPrefix and PathRegex, keep one",
        ));
    }
    let headers = fields
        .objects("Header")?
        .into_iter()
        .map(header)
        .collect::<Result<_, _>>()?;
    let mut methods = BTreeSet::new();
    let at = fields.at("Methods");
    for (index, text) in fields.texts("Methods")?.into_iter().enumerate() {
        let method = Method::parse(&text).ok_or_else(|| {
            let known = Method::ALL.map(Method::as_str).join(", ");
            Invalid::new(
                format!("{at}[{index}]"),
                format!("is {text:?}, known methods are {known}"),
            )
        })?;
        if !methods.insert(method) {
            return Err(Invalid::new(
                format!("{at}[{index}]"),
                format!("is {text:?} again, give each method once"),
            ));
        }
    }
    fields.finish()?;
    Ok(RequestCondition {
        path,
        headers,
        methods,
    })
}

fn header(mut fields: Fields<'_>) -> Result<HeaderCondition, Invalid> {
    let name = fields
        .parsed("Name", HeaderName::new)?
        .ok_or_else(|| fields.missing("Name"))?;
    let present = fields.flag("Present")?;
    let ignore_case = fields.flag("IgnoreCase")?;
    let mut tests = Vec::new();
    if present {
        tests.push(HeaderCheck::Present);
    }
    let parts = [
        ("Exact", ValuePart::Whole),
        ("Prefix", ValuePart::Start),
        ("Suffix", ValuePart::End),
        ("Contains", ValuePart::Anywhere),
    ];
    for (key, part) in parts {
        if let Some(text) = fields.nonempty(key)? {
            tests.push(HeaderCheck::Value {
                part,
                text,
                ignore_case,
            });
        }
    }
    if let Some(regular) = fields.parsed("Regex", Regular::new)? {
        tests.push(HeaderCheck::Regex(regular));
    }
    let invert = fields.flag("Invert")?;
    let at = fields.path().to_owned();
    let case_at = fields.at("IgnoreCase");
    fields.finish()?;
    let test = match tests.as_slice() {
        [test] => test.clone(),
        [] => {
            return Err(Invalid::new(
                at,
                "needs one of Present, Exact, Prefix, Suffix, Contains and Regex",
            ));
        }
        _ => {
            return Err(Invalid::new(
                at,
                "has more than one of Present, Exact, Prefix, Suffix, Contains and Regex, keep one",
            ));
        }
    };
    if ignore_case && !matches!(test, HeaderCheck::Value { .. }) {
        return Err(Invalid::new(
            case_at,
            "goes with Exact, Prefix, Suffix or Contains; a Regex says it by (?i)",
        ));
    }
    Ok(HeaderCondition { name, test, invert })
}

/// Writes `Action` or `Permissions` of a source.
pub(crate) fn put_verdict(out: &mut Map<String, Value>, verdict: &Verdict) {
    match verdict {
        Verdict::Always(action) => {
            out.insert("Action".to_owned(), json!(action_text(*action)));
        }
        Verdict::ByRequest(permissions) => {
            let permissions = permissions.iter().map(permission_json).collect();
            out.insert("Permissions".to_owned(), Value::Array(permissions));
        }
    }
}

fn action_text(action: Action) -> &'static str {
    match action {
        Action::Allow => "allow",
        Action::Deny => "deny",
    }
}

fn permission_json(permission: &Permission) -> Value {
    let RequestCondition {
        path,
        headers,
        methods,
    } = &permission.http;
    let mut http = Map::new();
    let mut put = |key: &str, value: Value| http.insert(key.to_owned(), value);
    match path {
        Some(PathCondition::Exact(text)) => put("PathExact", json!(text)),
        Some(PathCondition::Prefix(text)) => put("PathPrefix", json!(text)),
        Some(PathCondition::Regex(regular)) => put("PathRegex", json!(regular.as_str())),
        None => None,
    };
    if !headers.is_empty() {
        put("Header", headers.iter().map(header_json).collect());
    }
    if !methods.is_empty() {
        put("Methods", methods.iter().map(|method| method.as_str()).collect());
    }
    let mut out = Map::new();
    out.insert("Action".to_owned(), json!(action_text(permission.action)));
    out.insert("HTTP".to_owned(), Value::Object(http));
    if let Some(jwt) = &permission.jwt {
        out.insert("JWT".to_owned(), jwt_json(jwt));
    }
    Value::Object(out)
}

fn header_json(header: &HeaderCondition) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("Name", json!(header.name.as_str()));
    match &header.test {
        HeaderCheck::Present => put("Present", json!(true)),
        HeaderCheck::Regex(regular) => put("Regex", json!(regular.as_str())),
        HeaderCheck::Value {
            part,
            text,
            ignore_case,
        } => {
            if *ignore_case {
                put("IgnoreCase", json!(true));
            }
            let key = match part {
                ValuePart::Whole => "Exact",
                ValuePart::Start => "Prefix",
                ValuePart::End => "Suffix",
                ValuePart::Anywhere => "Contains",
            };
            put(key, json!(text))
        }
    };
    if header.invert {
        put("Invert", json!(true));
    }
    Value::Object(out)
}
