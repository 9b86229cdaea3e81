//! Changes of the headers of a request or a response.

use crate::Invalid;
use std::collections::{BTreeMap, BTreeSet};

/// Most headers that one list may name.
pub const MAX_EDITED_HEADERS: usize = 64;
/// Longest name of a header, in bytes.
pub const MAX_HEADER_NAME_BYTES: usize = 256;
/// Longest value of a header, in bytes.
pub const MAX_HEADER_VALUE_BYTES: usize = 4096;

/// Headers by which proxies tell each other who called and what to do. Operators of one service must not write them
/// for another's policy to read.
const RESERVED: [&str; 2] = ["x-forwarded-client-cert", "host"];
const RESERVED_PREFIXES: [&str; 2] = [":", "x-envoy-"];

/// What happens to headers: removed first, then set, then added.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HeaderEdits {
    /// Added to what is there.
    pub add: BTreeMap<String, String>,
    /// Instead of what is there.
    pub set: BTreeMap<String, String>,
    /// Taken away.
    pub remove: BTreeSet<String>,
}

impl HeaderEdits {
    /// Whether nothing happens.
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.set.is_empty() && self.remove.is_empty()
    }

    /// Both, where `inner`, which is nearer to the service, wins.
    #[must_use]
    pub fn with(&self, inner: &HeaderEdits) -> HeaderEdits {
        let mut both = self.clone();
        both.add.extend(
            inner
                .add
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        both.set.extend(
            inner
                .set
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        both.remove.extend(inner.remove.iter().cloned());
        both
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        for (field, pairs) in [("Add", &self.add), ("Set", &self.set)] {
            few(field, pairs.len())?;
            for (header, value) in pairs {
                let at = format!("{field}.{header}");
                editable(&at, header)?;
                header_value(&at, value)?;
            }
        }
        few("Remove", self.remove.len())?;
        for (index, header) in self.remove.iter().enumerate() {
            editable(&format!("Remove[{index}]"), header)?;
        }
        Ok(())
    }
}

fn few(field: &str, count: usize) -> Result<(), Invalid> {
    if count > MAX_EDITED_HEADERS {
        return Err(Invalid::new(
            field,
            format!("names {count} headers, at most {MAX_EDITED_HEADERS} are allowed"),
        ));
    }
    Ok(())
}

fn editable(at: &str, name: &str) -> Result<(), Invalid> {
    header_name(at, name)?;
    let lower = name.to_ascii_lowercase();
    let reserved = RESERVED.contains(&lower.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
    if reserved {
        return Err(Invalid::new(
            at,
            format!("{name:?} is written by proxies only, choose another header"),
        ));
    }
    Ok(())
}

/// Refuses what is not the name of a header (RFC 9110, section 5.1). A name may begin with `:` here.
pub(super) fn header_name(at: &str, name: &str) -> Result<(), Invalid> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let rest = name.strip_prefix(':').unwrap_or(name);
    if rest.is_empty() || name.len() > MAX_HEADER_NAME_BYTES || !rest.bytes().all(token) {
        return Err(Invalid::new(
            at,
            format!(
                "{name:?} is not the name of a header, use 1 to {MAX_HEADER_NAME_BYTES} letters, digits and '-'"
            ),
        ));
    }
    Ok(())
}

fn header_value(at: &str, value: &str) -> Result<(), Invalid> {
    if value.len() > MAX_HEADER_VALUE_BYTES || value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Invalid::new(
            at,
            format!("must be at most {MAX_HEADER_VALUE_BYTES} bytes without control characters"),
        ));
    }
    if value.contains('%') {
        // Envoy reads it as the beginning of a variable, and refuses one that it does not know.
        return Err(Invalid::new(
            at,
            "has a '%', variables of Envoy are not offered yet",
        ));
    }
    Ok(())
}
