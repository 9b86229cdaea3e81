//! Making a root.

use crate::fingerprint::{colons, sha256};
use crate::serial;
use crate::validity::{Validity, system_time};
use peerway_model::{CaKey, CaRoot, Failure, FailureKind, Secret, TrustDomain};
use peerway_runtime::UnixMillis;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use std::time::Duration;

/// How long a root lives: ten years of 365 days.
pub const ROOT_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Returns a new self-signed root of `trust_domain`, marked active, and its key: ECDSA P-256, for certificates and
/// revocation lists, with the trust domain's signing id (a SPIFFE URI without a path; xDS facts, section 1.2).
///
/// # Errors
/// `Unavailable` or `Internal` when no key, serial or signature can be made.
pub fn generate_root(trust_domain: &TrustDomain, now: UnixMillis) -> Result<(CaRoot, CaKey), Failure> {
    let key = KeyPair::generate().map_err(failed)?;
    let validity = Validity::new(now, ROOT_LIFETIME, None)?;
    let serial = serial::random::<8>()?;
    let name = format!("Peerway CA {}", short(trust_domain));

    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name.clone());
    params.not_before = system_time(validity.not_before)?.into();
    params.not_after = system_time(validity.not_after)?.into();
    params.serial_number = Some(serial.to_vec().into());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let signing_id = format!("spiffe://{trust_domain}");
    params.subject_alt_names = vec![SanType::URI(signing_id.try_into().map_err(failed)?)];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.self_signed(&key).map_err(failed)?;

    let root = CaRoot {
        id: sha256(certificate.der())?,
        name,
        serial: u64::from_be_bytes(serial),
        key_id: colons(&params.key_identifier(&key)),
        pem: certificate.pem(),
        not_before: validity.not_before.0,
        not_after: validity.not_after.0,
        active: true,
    };
    let key = CaKey {
        root_id: root.id.clone(),
        pem: Secret::new(key.serialize_pem()),
    };
    Ok((root, key))
}

/// The first 8 characters of the trust domain, by which people tell clusters apart in certificate names.
pub(crate) fn short(trust_domain: &TrustDomain) -> &str {
    let text = trust_domain.as_str();
    text.get(..8).unwrap_or(text)
}

fn failed(error: rcgen::Error) -> Failure {
    Failure::new(
        FailureKind::Internal,
        format!("the root certificate could not be made: {error}"),
    )
}
