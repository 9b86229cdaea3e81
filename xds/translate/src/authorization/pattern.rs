//! Regular expressions (RE2 syntax) over SPIFFE IDs. Envoy matches the whole text; the anchors say so to readers.

#[cfg(test)]
mod tests;

use peerway_mesh::{CallerPattern, GatewayPattern};
use peerway_model::TrustDomain;
use peerway_model::config::Pattern;
use peerway_model::name::Partition;

/// One path segment, whatever it is.
const SEGMENT: &str = "[^/]+";

/// The same inside a header where `,` and `;` end a name, so that none can bring another one along.
const HEADER_SEGMENT: &str = "[^/,;]+";

/// Matches no text at all: a class without members.
pub(super) const NOTHING: &str = r"[^\x00-\x{10FFFF}]";

/// The identities that `pattern` means, in any datacenter.
pub(super) fn caller(pattern: &CallerPattern) -> String {
    format!("^{}$", service(pattern, SEGMENT))
}

/// The identities of the mesh gateways that `pattern` means.
pub(super) fn gateway(pattern: &GatewayPattern) -> String {
    format!("^{}$", mesh_gateway(pattern, SEGMENT))
}

/// Values of `x-forwarded-client-cert` whose first element one of `gateways` wrote about a caller that `pattern`
/// means. Envoy writes the element of a verified certificate as `By=<own URI>;Hash=<hex>;URI=<URI SAN>`, one `;URI=`
/// for each URI SAN, and escapes nothing. So all of it is spelt out up to the end of the first name, which is the one
/// that the certificate was verified by; and a certificate with more names is nobody's.
pub(super) fn forwarded(gateways: &GatewayPattern, pattern: &CallerPattern) -> String {
    format!(
        r"^By={};Hash=[0-9a-f]+;URI={}(?:,\C*)?$",
        mesh_gateway(gateways, HEADER_SEGMENT),
        service(pattern, HEADER_SEGMENT)
    )
}

fn service(pattern: &CallerPattern, any: &str) -> String {
    format!(
        "{}/ns/{}/dc/{any}/svc/{}",
        home(&pattern.trust_domain, &pattern.partition),
        segment(&pattern.namespace, any),
        segment(&pattern.service, any),
    )
}

fn mesh_gateway(pattern: &GatewayPattern, any: &str) -> String {
    format!(
        "{}/gateway/mesh/dc/{any}",
        home(&pattern.trust_domain, &pattern.partition)
    )
}

/// What the identities of a partition begin with. The default one is left out by everyone we know; writing it out
/// must not make another caller of it.
fn home(trust_domain: &TrustDomain, partition: &Partition) -> String {
    let domain = escaped(&format!("spiffe://{trust_domain}"));
    let text = escaped(partition.as_str());
    if partition.is_default() {
        format!("{domain}(?:/ap/{text})?")
    } else {
        format!("{domain}/ap/{text}")
    }
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

fn segment<T: AsRef<str>>(pattern: &Pattern<T>, any: &str) -> String {
    match pattern {
        Pattern::Exact(name) => escaped(name.as_ref()),
        Pattern::Any => any.to_owned(),
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
