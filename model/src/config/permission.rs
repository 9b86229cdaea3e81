//! What of a source's requests is allowed or denied (xDS facts, sections 3.6 and 6.3).

use super::{Action, JwtRequirement, MAX_HEADER_NAME_BYTES};
use crate::Invalid;
use crate::regular::Regular;
use std::collections::BTreeSet;
use std::fmt;

/// Most permissions of one source.
pub const MAX_PERMISSIONS: usize = 128;
/// Most conditions on headers in one permission.
pub const MAX_HEADER_CONDITIONS: usize = 32;
/// Longest path or header value in a condition, in bytes.
pub const MAX_CONDITION_BYTES: usize = 4096;
/// Headers that the mesh itself writes, so that a condition on them would be about the mesh and not about the caller.
const OWN_HEADERS: [&str; 1] = ["x-forwarded-client-cert"];

/// What happens to a source's calls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The same to all of them.
    Always(Action),
    /// To each request what the first permission that fits it says, and to one that none fits what happens where no
    /// intention says anything. At least one. A service that does not speak HTTP has no requests: there it denies.
    ByRequest(Vec<Permission>),
}

/// What happens to requests that fulfil all conditions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission {
    /// What happens.
    pub action: Action,
    /// To which.
    pub http: RequestCondition,
    /// A token that they carry; `None` looks at none.
    pub jwt: Option<JwtRequirement>,
}

/// Conditions on a request, all of which it has to fulfil.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RequestCondition {
    /// On its path, without the query; `None` takes every path.
    pub path: Option<PathCondition>,
    /// On its headers.
    pub headers: Vec<HeaderCondition>,
    /// Its method is one of these; empty takes every method.
    pub methods: BTreeSet<Method>,
}

/// A condition on a path, in upper and lower case as written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathCondition {
    /// The whole path.
    Exact(String),
    /// How it begins.
    Prefix(String),
    /// An expression for the whole path.
    Regex(Regular),
}

/// A condition on one header.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderCondition {
    /// Its name.
    pub name: HeaderName,
    /// What of it.
    pub test: HeaderCheck,
    /// Fulfilled where the test fails. A header that is not there fulfils an inverted condition on its value only in
    /// a permission that denies: neither leaving a header out nor sending one gets around what is written.
    pub invert: bool,
}

/// What is looked at of a header.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeaderCheck {
    /// That it is there.
    Present,
    /// Its value.
    Value {
        /// Which part of it.
        part: ValuePart,
        /// The text that is looked for; not empty.
        text: String,
        /// Whether ASCII letters count as equal in both cases.
        ignore_case: bool,
    },
    /// An expression for the whole value.
    Regex(Regular),
}

/// Where a text has to stand in a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValuePart {
    /// The text is the value.
    Whole,
    /// It begins with it.
    Start,
    /// It ends in it.
    End,
    /// It stands somewhere.
    Anywhere,
}

/// The name of a header, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(String);

impl HeaderName {
    /// Reads a name (a token of RFC 9110, section 5.6.2). Without underscores: requests that carry such a header are
    /// refused before anybody looks at it.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let name = text.to_ascii_lowercase();
        let known = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^`|~".contains(&b);
        if name.is_empty() || name.len() > MAX_HEADER_NAME_BYTES || !name.bytes().all(known) {
            return Err(Invalid::new(
                "",
                format!(
                    "{text:?} is not a header name, use 1 to {MAX_HEADER_NAME_BYTES} letters, digits and '-' \
                     (requests with '_' in one are refused)"
                ),
            ));
        }
        if OWN_HEADERS.contains(&name.as_str()) {
            return Err(Invalid::new(
                "",
                format!("{name} is written by the mesh, say who may call by a source's Name and Peer"),
            ));
        }
        Ok(HeaderName(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A method that a permission can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// CONNECT
    Connect,
    /// DELETE
    Delete,
    /// GET
    Get,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
    /// PATCH
    Patch,
    /// POST
    Post,
    /// PUT
    Put,
    /// TRACE
    Trace,
}

impl Method {
    /// All of them, by name.
    pub const ALL: [Method; 9] = [
        Method::Connect,
        Method::Delete,
        Method::Get,
        Method::Head,
        Method::Options,
        Method::Patch,
        Method::Post,
        Method::Put,
        Method::Trace,
    ];

    /// As in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Connect => "CONNECT",
            Method::Delete => "DELETE",
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Patch => "PATCH",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Trace => "TRACE",
        }
    }

    /// The method of this text, in either case.
    pub fn parse(text: &str) -> Option<Self> {
        Method::ALL
            .into_iter()
            .find(|method| method.as_str().eq_ignore_ascii_case(text))
    }
}

impl Verdict {
    /// The permissions; none where all calls are treated alike.
    pub fn permissions(&self) -> &[Permission] {
        match self {
            Verdict::Always(_) => &[],
            Verdict::ByRequest(permissions) => permissions,
        }
    }

    /// The path of the error begins inside the source.
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        let Verdict::ByRequest(permissions) = self else {
            return Ok(());
        };
        if permissions.is_empty() {
            return Err(Invalid::new("Permissions", "needs at least one permission"));
        }
        if permissions.len() > MAX_PERMISSIONS {
            return Err(Invalid::new(
                "Permissions",
                format!(
                    "has {} permissions, at most {MAX_PERMISSIONS} are allowed",
                    permissions.len()
                ),
            ));
        }
        for (index, permission) in permissions.iter().enumerate() {
            permission
                .http
                .validate()
                .map_err(|error| error.within(&format!("Permissions[{index}].HTTP")))?;
            if let Some(jwt) = &permission.jwt {
                jwt.validate()
                    .map_err(|error| error.within(&format!("Permissions[{index}].JWT")))?;
            }
        }
        Ok(())
    }
}

impl RequestCondition {
    /// Whether every request fulfils it.
    pub fn is_empty(&self) -> bool {
        self.path.is_none() && self.headers.is_empty() && self.methods.is_empty()
    }

    fn validate(&self) -> Result<(), Invalid> {
        if self.is_empty() {
            return Err(Invalid::new(
                "",
                "needs a condition: a path, Header or Methods; use the source's Action for all requests",
            ));
        }
        match &self.path {
            Some(PathCondition::Exact(path)) => check_path("PathExact", path)?,
            Some(PathCondition::Prefix(path)) => check_path("PathPrefix", path)?,
            Some(PathCondition::Regex(_)) | None => {}
        }
        if self.headers.len() > MAX_HEADER_CONDITIONS {
            return Err(Invalid::new(
                "Header",
                format!(
                    "has {} conditions, at most {MAX_HEADER_CONDITIONS} are allowed",
                    self.headers.len()
                ),
            ));
        }
        for (index, header) in self.headers.iter().enumerate() {
            header
                .test
                .validate()
                .map_err(|error| error.within(&format!("Header[{index}]")))?;
        }
        Ok(())
    }
}

/// Proxies look at a path in its one spelling (`docs/calls.md`), so one that is written in another would never be met.
pub(crate) fn check_path(field: &str, path: &str) -> Result<(), Invalid> {
    let refuse = |problem: String| Err(Invalid::new(field, problem));
    if !path.starts_with('/') {
        return refuse(format!("is {path:?}, must begin with '/'"));
    }
    if path.len() > MAX_CONDITION_BYTES {
        return refuse(format!("is longer than {MAX_CONDITION_BYTES} bytes"));
    }
    if let Some(odd) = path
        .chars()
        .find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '\\'))
    {
        return refuse(format!(
            "has {odd:?}, which no path has when it is looked at; write it as it is sent, without a query"
        ));
    }
    if path.contains("//") {
        return refuse("has '//', but slashes are merged before a path is looked at; write one".to_owned());
    }
    // A prefix may end in the middle of a name that begins with dots.
    let whole = path.strip_prefix('/').unwrap_or(path).split('/');
    let count = whole.clone().count();
    let cut = field == "PathPrefix";
    if whole
        .enumerate()
        .any(|(at, part)| matches!(part, "." | "..") && !(cut && at + 1 == count))
    {
        return refuse("has a part '.' or '..', which is resolved before a path is looked at".to_owned());
    }
    let bytes = path.as_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'%') {
        let Some(byte) = path
            .get(at + 1..at + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
        else {
            return refuse("has a '%' without two hexadecimal digits".to_owned());
        };
        if byte.is_ascii_alphanumeric() || b"-._~/\\".contains(&byte) {
            return refuse(format!(
                "has an escaped {:?}, which is undone or refused before a path is looked at; write it plainly",
                char::from(byte)
            ));
        }
    }
    Ok(())
}

impl HeaderCheck {
    fn validate(&self) -> Result<(), Invalid> {
        let HeaderCheck::Value { part, text, .. } = self else {
            return Ok(());
        };
        let field = match part {
            ValuePart::Whole => "Exact",
            ValuePart::Start => "Prefix",
            ValuePart::End => "Suffix",
            ValuePart::Anywhere => "Contains",
        };
        if text.is_empty() {
            return Err(Invalid::new(field, "must not be empty"));
        }
        if text.len() > MAX_CONDITION_BYTES {
            return Err(Invalid::new(
                field,
                format!("is longer than {MAX_CONDITION_BYTES} bytes"),
            ));
        }
        // Space around a value is taken away on its way, and control characters do not arrive.
        let odd = |c: char| !(c.is_ascii_graphic() || c == ' ');
        let edge = |c: Option<char>| c == Some(' ');
        let (first, last) = (text.chars().next(), text.chars().next_back());
        let stuck = match part {
            ValuePart::Whole => edge(first) || edge(last),
            ValuePart::Start => edge(first),
            ValuePart::End => edge(last),
            ValuePart::Anywhere => false,
        };
        if stuck || text.chars().any(odd) {
            return Err(Invalid::new(
                field,
                format!("is {text:?}, which no header has: use printable ASCII without space at an edge"),
            ));
        }
        Ok(())
    }
}
