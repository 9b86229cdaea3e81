//! Regular expressions (RE2 syntax) over SPIFFE IDs. Envoy matches the whole text; the anchors say so to readers.

#[cfg(test)]
mod tests;

use peerway_mesh::CallerPattern;
use peerway_model::TrustDomain;
use peerway_model::config::Pattern;

/// One path segment, whatever it is.
const SEGMENT: &str = "[^/]+";

/// Matches no text at all: a class without members.
pub(super) const NOTHING: &str = r"[^\x00-\x{10FFFF}]";

/// The identities that `pattern` means, in any datacenter.
pub(super) fn caller(pattern: &CallerPattern) -> String {
    let partition = escaped(pattern.partition.as_str());
    // The default partition is left out by everyone we know; writing it out must not make another caller of it.
    let partition = if pattern.partition.is_default() {
        format!("(?:/ap/{partition})?")
    } else {
        format!("/ap/{partition}")
    };
    format!(
        "^{}{partition}/ns/{}/dc/{SEGMENT}/svc/{}$",
        escaped(&format!("spiffe://{}", pattern.trust_domain)),
        segment(&pattern.namespace),
        segment(&pattern.service),
    )
}

/// Every text but those that begin with `spiffe://<domain>/`, as long as what differs first is an ASCII character.
/// That holds for the SAN that a certificate was verified by, because trust domains are ASCII; after that, anything
/// may follow, also what is not UTF-8.
///
/// RE2 cannot say "not", so this spells it out: up to some place it is the same, and there it ends or goes on
/// differently.
pub(super) fn outside(domain: &TrustDomain) -> String {
    let prefix = format!("spiffe://{domain}/");
    let mut regex = String::new();
    for (at, c) in prefix.chars().rev().enumerate() {
        let same = escaped(&c.to_string());
        let further = if at == 0 {
            String::new()
        } else {
            format!("|{same}{regex}")
        };
        regex = format!(r"(?:[^{same}]\C*{further})?");
    }
    format!("^{regex}$")
}

fn segment<T: AsRef<str>>(pattern: &Pattern<T>) -> String {
    match pattern {
        Pattern::Exact(name) => escaped(name.as_ref()),
        Pattern::Any => SEGMENT.to_owned(),
    }
}

/// `text` as a pattern that matches just itself, also inside a character class.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() && !matches!(c, '/' | ':' | '_') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
