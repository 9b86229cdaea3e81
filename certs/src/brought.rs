//! A root that an operator brings: whatever could make it fail later is refused now, by field.

pub(crate) mod key;

use crate::authority::BuiltIn;
use crate::fingerprint::{colons, sha256};
use crate::{decoded, subject, trial};
use peerway_model::{BroughtRoot, CaKey, CaRoot, Invalid, MAX_RSA_BITS, MIN_RSA_BITS, Secret, TrustDomain};
use peerway_runtime::UnixMillis;
use std::time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512,
};
use x509_parser::pem::Pem;
use x509_parser::x509::X509Version;

/// The field of the certificate in refusals.
pub(crate) const ROOT_CERT: &str = "root_cert";
/// The field of the private key in refusals.
pub(crate) const PRIVATE_KEY: &str = "private_key";
/// Longest text of a certificate or key, in bytes.
pub const MAX_BROUGHT_BYTES: usize = 16 * 1024;
/// How long a root must live on when it is brought: 30 days, for leaves end with their root.
pub const MIN_REMAINING: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest name of a root, in characters.
const MAX_NAME: usize = 128;

/// A root that may be used.
pub(crate) struct Checked {
    /// Not active, without bridges.
    pub(crate) root: CaRoot,
    pub(crate) key: CaKey,
    /// The trust domain that it signs for, if it says one.
    pub(crate) trust_domain: Option<TrustDomain>,
}

/// Checks everything that does not depend on the cluster.
///
/// # Errors
/// What is wrong and what would be right; the path is [`ROOT_CERT`] or [`PRIVATE_KEY`], and nothing of the key is
/// repeated.
pub(crate) fn check(brought: &BroughtRoot, now: UnixMillis) -> Result<Checked, Invalid> {
    let refuse = |problem: String| Invalid::new(ROOT_CERT, problem);
    let der = only_certificate(&brought.certificate).map_err(refuse)?;
    let (rest, certificate) = x509_parser::parse_x509_certificate(&der)
        .map_err(|error| refuse(format!("is not an X.509 certificate: {error}")))?;
    if !rest.is_empty() {
        return Err(refuse(
            "has bytes behind the certificate, give it alone".to_owned(),
        ));
    }
    let kind = decoded::key_kind(&certificate).ok_or_else(|| {
        refuse(format!(
            "has a key of a kind that not all proxies verify, use ECDSA on P-256 or P-384, or RSA with {MIN_RSA_BITS} to {MAX_RSA_BITS} bits"
        ))
    })?;
    signs_itself(&certificate).map_err(refuse)?;
    let trust_domain = extensions(&certificate).map_err(refuse)?;
    let (not_before, not_after) = validity(&certificate, now).map_err(refuse)?;
    subject::copy(certificate.subject())
        .map_err(|problem| refuse(format!("has a subject that {problem}, use one plain common name")))?;
    let key_id = decoded::subject_key_id(&certificate).unwrap_or_default();
    let internal = |failure: peerway_model::Failure| refuse(failure.message);
    let pair = key::read(&brought.key, kind, certificate.public_key().raw, ROOT_CERT)
        .map_err(|problem| Invalid::new(PRIVATE_KEY, problem))?;
    let root = CaRoot {
        id: sha256(&der).map_err(internal)?,
        name: name(&certificate),
        serial: serial(&certificate),
        key_id: colons(&key_id),
        pem: decoded::pem(&der),
        not_before,
        not_after,
        active: false,
        handed_out: false,
        bridges: Vec::new(),
    };
    let key = CaKey {
        root_id: root.id.clone(),
        pem: Secret::new(pair.serialize_pem()),
    };
    try_out(&root, &key, trust_domain.as_ref(), &der, now).map_err(refuse)?;
    Ok(Checked {
        root,
        key,
        trust_domain,
    })
}

impl Checked {
    /// Checks that the root can follow those that the cluster trusts.
    ///
    /// # Errors
    /// As [`check`].
    pub(crate) fn fits(&self, trust_domain: &TrustDomain, trusted: &[CaRoot]) -> Result<(), Invalid> {
        let refuse = |problem: String| Err(Invalid::new(ROOT_CERT, problem));
        if let Some(other) = self.trust_domain.as_ref().filter(|other| *other != trust_domain) {
            return refuse(format!(
                "signs for the trust domain {other}, and that of this cluster is {trust_domain} and never changes: make it with the URI SAN spiffe://{trust_domain}, or without one"
            ));
        }
        let parts = |root: &CaRoot| {
            let der = decoded::der(&root.pem).ok()?;
            let certificate = decoded::certificate(&der).ok()?;
            let name = certificate.subject().as_raw().to_vec();
            Some((name, certificate.public_key().raw.to_vec()))
        };
        let Some((subject, public_key)) = parts(&self.root) else {
            return refuse("cannot be read again".to_owned());
        };
        for root in trusted {
            let Some((other_subject, other_key)) = parts(root) else {
                continue;
            };
            if other_key == public_key {
                return refuse(format!(
                    "has the key of the root {}, make a new key: a rotation is to leave the old one behind",
                    root.id
                ));
            }
            if other_subject == subject {
                return refuse(format!(
                    "has the subject of the root {}, use another one: verifiers look roots up by it",
                    root.id
                ));
            }
        }
        Ok(())
    }
}

fn only_certificate(text: &str) -> Result<Vec<u8>, String> {
    if text.len() > MAX_BROUGHT_BYTES {
        return Err(format!(
            "is {} bytes long, at most {MAX_BROUGHT_BYTES} are allowed: give the root's certificate alone",
            text.len()
        ));
    }
    let mut blocks = Vec::new();
    for block in Pem::iter_from_buffer(text.as_bytes()) {
        blocks.push(block.map_err(|_| "is not PEM text".to_owned())?);
    }
    if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
        return Err("holds a private key, which belongs into a field of its own".to_owned());
    }
    let count = blocks.len();
    match (blocks.pop(), count) {
        (Some(block), 1) if block.label == "CERTIFICATE" => Ok(block.contents),
        (Some(block), 1) => Err(format!(
            "is PEM text of a {:?}, expected CERTIFICATE",
            block.label
        )),
        (None, _) => Err("holds no certificate, give PEM text".to_owned()),
        _ => Err(format!(
            "holds {count} PEM blocks, give the self-signed root alone: intermediates are not offered"
        )),
    }
}

fn signs_itself(certificate: &X509Certificate<'_>) -> Result<(), String> {
    if certificate.version() != X509Version::V3 {
        return Err("is not an X.509 certificate of version 3".to_owned());
    }
    if certificate.issuer().as_raw() != certificate.subject().as_raw() {
        return Err(format!(
            "was signed by another one ({}), bring a self-signed root: an intermediate cannot be trusted by itself everywhere",
            certificate.issuer()
        ));
    }
    let algorithm = &certificate.signature_algorithm.algorithm;
    let sound = [
        OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ECDSA_WITH_SHA512,
        OID_PKCS1_SHA256WITHRSA,
        OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA,
    ];
    if !sound.contains(algorithm) {
        return Err(format!(
            "is signed with the algorithm {algorithm}, use ECDSA or RSA (PKCS#1) with SHA-256, SHA-384 or SHA-512"
        ));
    }
    certificate
        .verify_signature(None)
        .map_err(|_| "has a signature that is not its own, bring a self-signed root".to_owned())
}

/// Checks the extensions; the trust domain of the SPIFFE ID, if there is one.
fn extensions(certificate: &X509Certificate<'_>) -> Result<Option<TrustDomain>, String> {
    certificate
        .extensions_map()
        .map_err(|_| "has an extension twice".to_owned())?;
    let (mut signs, mut may_sign, mut named, mut trust_domain) = (false, false, false, None);
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => {
                if !extension.critical {
                    return Err(
                        "has basic constraints that are not marked critical (RFC 5280, 4.2.1.9)".to_owned(),
                    );
                }
                if constraints.path_len_constraint == Some(0) {
                    return Err(
                        "has a path length of 0, with which it could not vouch for the root after it: leave it away"
                            .to_owned(),
                    );
                }
                signs = constraints.ca;
            }
            ParsedExtension::KeyUsage(usage) => may_sign = usage.key_cert_sign(),
            ParsedExtension::SubjectKeyIdentifier(id) => named = !id.0.is_empty() && id.0.len() <= 64,
            ParsedExtension::ExtendedKeyUsage(usage)
                if !(usage.any || usage.server_auth && usage.client_auth) =>
            {
                return Err(
                    "has an extended key usage without serverAuth and clientAuth, which leaves need: leave it away"
                        .to_owned(),
                );
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                trust_domain = signing_id(&names.general_names)?
            }
            ParsedExtension::NameConstraints(_) => {
                return Err(
                    "has name constraints, which proxies apply differently: leave them away".to_owned(),
                );
            }
            ParsedExtension::ExtendedKeyUsage(_) => {}
            ParsedExtension::ParseError { .. } => {
                return Err(format!(
                    "has an extension ({}) that cannot be read",
                    extension.oid
                ));
            }
            _ if extension.critical => {
                return Err(format!(
                    "has a critical extension ({}) that not all proxies know, leave it away",
                    extension.oid
                ));
            }
            _ => {}
        }
    }
    if !signs {
        return Err(
            "is not a certificate authority's, make it with basicConstraints critical,CA:TRUE".to_owned(),
        );
    }
    if !may_sign {
        return Err(
            "may not sign certificates, make it with keyUsage critical,keyCertSign,cRLSign".to_owned(),
        );
    }
    if !named {
        return Err(
            "has no subject key identifier of 1 to 64 bytes, make it with subjectKeyIdentifier hash (RFC 5280, 4.2.1.2)"
                .to_owned(),
        );
    }
    Ok(trust_domain)
}

/// The trust domain of a signing certificate's SPIFFE ID: at most one URI, without a path (X509-SVID, section 2 and 3).
fn signing_id(names: &[GeneralName<'_>]) -> Result<Option<TrustDomain>, String> {
    let mut uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let Some(uri) = uris.next() else {
        return Ok(None);
    };
    if uris.next().is_some() {
        return Err("has several URI SANs, at most one is allowed".to_owned());
    }
    let domain = uri
        .strip_prefix("spiffe://")
        .filter(|domain| !domain.contains('/'))
        .and_then(|domain| TrustDomain::new(domain).ok());
    match domain {
        Some(domain) => Ok(Some(domain)),
        None => Err(format!(
            "has the URI SAN {uri:?}, a signing certificate's is spiffe:// and the trust domain, without a path"
        )),
    }
}

/// From when until when it is valid, unix milliseconds.
fn validity(certificate: &X509Certificate<'_>, now: UnixMillis) -> Result<(u64, u64), String> {
    let span = certificate.validity();
    let millis = |moment: i64| u64::try_from(moment).ok()?.checked_mul(1000);
    let (Some(from), Some(until)) = (
        millis(span.not_before.timestamp()),
        millis(span.not_after.timestamp()),
    ) else {
        return Err("is valid from or until a moment before 1970".to_owned());
    };
    if from > now.0 {
        return Err(format!(
            "is not valid before {}, wait until then or check the clock",
            span.not_before
        ));
    }
    if UnixMillis(until) < now.after(MIN_REMAINING) {
        return Err(format!(
            "ends on {}, it must be valid for {} days or more",
            span.not_after,
            MIN_REMAINING.as_secs() / (24 * 3600)
        ));
    }
    Ok((from, until))
}

/// Signs a leaf and lets the TLS library verify it.
fn try_out(
    root: &CaRoot,
    key: &CaKey,
    trust_domain: Option<&TrustDomain>,
    der: &[u8],
    now: UnixMillis,
) -> Result<(), String> {
    let any = TrustDomain::new("trial").map_err(|error| error.problem)?;
    let domain = trust_domain.unwrap_or(&any);
    let leaf = BuiltIn::of_root(root, key, domain)
        .and_then(|authority| authority.trial_leaf(now))
        .map_err(|failure| format!("cannot be used: {failure}"))?;
    trial::verify(der, &leaf, now)
        .map_err(|problem| format!("is refused by the TLS library as the root of a leaf: {problem}"))
}

/// For people: the common name, else the whole subject.
fn name(certificate: &X509Certificate<'_>) -> String {
    let common = certificate.subject().iter_common_name().next();
    let name = common
        .and_then(|name| name.as_str().ok())
        .map_or_else(|| certificate.subject().to_string(), str::to_owned);
    name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
}

/// The last 8 bytes, as Consul shows it; serial numbers have up to 20.
fn serial(certificate: &X509Certificate<'_>) -> u64 {
    let bytes = certificate.raw_serial();
    let last = bytes.get(bytes.len().saturating_sub(8)..).unwrap_or_default();
    last.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
pub(crate) mod tests;
