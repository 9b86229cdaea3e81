//! Making a root.

use crate::decoded;
use crate::fingerprint::{colons, sha256};
use crate::serial;
use crate::validity::{Validity, system_time};
use peerway_model::{CaKey, CaRoot, Failure, FailureKind, RootKey, Secret, TrustDomain};
use peerway_runtime::UnixMillis;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use std::time::Duration;

/// How long a root lives: ten years of 365 days.
pub const ROOT_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Returns a new self-signed root of `trust_domain`, marked active, and its key, for certificates and revocation
/// lists, with the trust domain's signing id (a SPIFFE URI without a path; xDS facts, section 1.2). Its subject is
/// unique, so that during a rotation people and verifiers can tell the roots apart by name.
///
/// # Errors
/// `Invalid` for RSA, which is not made here; `Unavailable` or `Internal` when no key, serial or signature can be made.
pub fn generate_root(
    trust_domain: &TrustDomain,
    now: UnixMillis,
    kind: RootKey,
) -> Result<(CaRoot, CaKey), Failure> {
    let algorithm = match kind {
        RootKey::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        RootKey::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        RootKey::Rsa(_) => {
            return Err(Failure::new(
                FailureKind::Invalid,
                "a root with an RSA key is not made here, bring one (Config.RootCert and Config.PrivateKey), or ask for an elliptic one with Config.PrivateKeyBits 256 or 384",
            ));
        }
    };
    let key = KeyPair::generate_for(algorithm).map_err(failed)?;
    let validity = Validity::new(now, ROOT_LIFETIME, None)?;
    let serial = serial::random::<8>()?;
    let serial_number = u64::from_be_bytes(serial);
    let name = format!("Peerway CA {} {:08x}", short(trust_domain), serial_number >> 32);

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
        serial: serial_number,
        key_id: colons(&params.key_identifier(&key)),
        pem: certificate.pem(),
        not_before: validity.not_before.0,
        not_after: validity.not_after.0,
        active: true,
        handed_out: false,
        bridges: Vec::new(),
    };
    let key = CaKey {
        root_id: root.id.clone(),
        pem: Secret::new(key.serialize_pem()),
    };
    Ok((root, key))
}

/// The kind of a root's key; `None` when it is another kind than those known here, or unreadable.
pub(crate) fn key_of(root: &CaRoot) -> Option<RootKey> {
    let der = decoded::der(&root.pem).ok()?;
    decoded::key_kind(&decoded::certificate(&der).ok()?)
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
