//! Regular expressions (RE2 syntax) over SPIFFE IDs. Envoy matches the whole text; the anchors say so to readers.

#[cfg(test)]
mod tests;

use peerway_mesh::{CallerPattern, GatewayPattern};
use peerway_model::TrustDomain;
use peerway_model::config::Pattern;
use peerway_model::name::{Namespace, Partition, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of names in one expression. RE2 compiles about one instruction a byte and takes 87,000 of them.
const MAX_NAMES_BYTES: usize = 32 << 10;

/// One path segment, whatever it is.
const SEGMENT: &str = "[^/]+";

/// The same inside a header where `,` and `;` end a name, so that none can bring another one along.
const HEADER_SEGMENT: &str = "[^/,;]+";

/// Matches no text at all: a class without members.
pub(super) const NOTHING: &str = r"[^\x00-\x{10FFFF}]";

/// Callers that differ in nothing but their names, so that one expression means all of them: RE2 goes through a text
/// once, however many names it may be, while a list of expressions is tried one by one. It cannot be a set of exact
/// texts, because the datacenter in an identity is never looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Family {
    home: (TrustDomain, Pattern<Partition>),
    namespace: Pattern<Namespace>,
    /// Never empty, and of bounded length; `None` means every name.
    services: Option<BTreeSet<ServiceName>>,
}

impl Family {
    /// All callers that some of `patterns` means.
    pub(super) fn all<'a>(patterns: impl IntoIterator<Item = &'a CallerPattern>) -> Vec<Family> {
        let mut named: BTreeMap<_, BTreeSet<&ServiceName>> = BTreeMap::new();
        let mut families = Vec::new();
        for pattern in patterns {
            let home = (pattern.trust_domain.clone(), pattern.partition.clone());
            let namespace = pattern.namespace.clone();
            match &pattern.service {
                Pattern::Exact(name) => {
                    named.entry((home, namespace)).or_default().insert(name);
                }
                Pattern::Any => families.push(Family {
                    home,
                    namespace,
                    services: None,
                }),
            }
        }
        for ((home, namespace), names) in named {
            let mut names = names.into_iter().peekable();
            while names.peek().is_some() {
                let mut left = MAX_NAMES_BYTES;
                let services = std::iter::from_fn(|| {
                    let name = names.next_if(|name| name.as_str().len() <= left)?;
                    left -= name.as_str().len();
                    Some(name.clone())
                });
                families.push(Family {
                    home: home.clone(),
                    namespace: namespace.clone(),
                    services: Some(services.collect()),
                });
            }
        }
        families.sort();
        families.dedup();
        families
    }
}

/// The identities of `family`, in any datacenter.
pub(super) fn callers(family: &Family) -> String {
    format!("^{}$", services(family, SEGMENT))
}

/// The identities of the mesh gateways that `pattern` means.
pub(super) fn gateway(pattern: &GatewayPattern) -> String {
    format!("^{}$", mesh_gateway(pattern, SEGMENT))
}

/// Values of `x-forwarded-client-cert` whose first element one of `gateways` wrote about a caller of `family`. Envoy writes the element of a verified certificate as `By=<own URI>;Hash=<hex>;URI=<URI SAN>`, one `;URI=`
/// for each URI SAN, and escapes nothing. So all of it is spelt out up to the end of the first name, which is the one
/// that the certificate was verified by; and a certificate with more names is nobody's.
pub(super) fn forwarded(gateways: &GatewayPattern, family: &Family) -> String {
    format!(
        r"^By={};Hash=[0-9a-f]+;URI={}(?:,\C*)?$",
        mesh_gateway(gateways, HEADER_SEGMENT),
        services(family, HEADER_SEGMENT)
    )
}

fn services(family: &Family, any: &str) -> String {
    let names: Vec<String> = match &family.services {
        None => vec![any.to_owned()],
        Some(names) => names.iter().map(|name| escaped(name.as_str())).collect(),
    };
    let name = match names.as_slice() {
        [only] => only.clone(),
        several => format!("(?:{})", several.join("|")),
    };
    let namespace = match &family.namespace {
        Pattern::Exact(name) => escaped(name.as_str()),
        Pattern::Any => any.to_owned(),
    };
    let (trust_domain, partition) = &family.home;
    format!(
        "{}/ns/{namespace}/dc/{any}/svc/{name}",
        home(trust_domain, partition, any)
    )
}

fn mesh_gateway(pattern: &GatewayPattern, any: &str) -> String {
    format!(
        "{}/gateway/mesh/dc/{any}",
        home(
            &pattern.trust_domain,
            &Pattern::Exact(pattern.partition.clone()),
            any
        )
    )
}

/// What the identities of a partition begin with. The default one is left out by everyone we know; writing it out
/// must not make another caller of it.
fn home(trust_domain: &TrustDomain, partition: &Pattern<Partition>, any: &str) -> String {
    let domain = escaped(&format!("spiffe://{trust_domain}"));
    match partition {
        Pattern::Any => format!("{domain}(?:/ap/{any})?"),
        Pattern::Exact(name) if name.is_default() => format!("{domain}(?:/ap/{})?", escaped(name.as_str())),
        Pattern::Exact(name) => format!("{domain}/ap/{}", escaped(name.as_str())),
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
