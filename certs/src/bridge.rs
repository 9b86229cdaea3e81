//! Bridges: a root's subject and key, certified by the root before it. Whoever knows only the old root verifies leaves
//! of the new one with it, for as long as the old root lives: a dialer of Consul keeps the roots that it began its
//! stream with until it builds its loop anew (wire facts, section 10.3), and a cluster that was cut off all along
//! knows nothing else either.

use crate::authority::{Authority, BuiltIn};
use crate::validity::{Validity, system_time};
use crate::{decoded, serial, subject, trial};
use peerway_model::{CaKey, CaRoot, Failure, FailureKind, TrustDomain};
use peerway_runtime::UnixMillis;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, KeyIdMethod, KeyUsagePurpose, SanType, SubjectPublicKeyInfo,
};
use std::time::Duration;

/// How many former roots a root is certified by, directly or over those between. Each is some 700 bytes in every
/// handshake of the peering endpoint.
pub const MAX_BRIDGES: usize = 3;

/// The bridges of the root `new` (with `key`) when `old` has signed before it, the newest first.
///
/// # Errors
/// `Unavailable` when the old root has ended, `Internal` when it cannot sign or a TLS library refuses the result.
pub(crate) fn build(
    old: &BuiltIn,
    new: &CaRoot,
    key: &CaKey,
    trust_domain: &TrustDomain,
    now: UnixMillis,
) -> Result<Vec<String>, Failure> {
    let mut bridges = vec![certify(old, new, trust_domain, now)?];
    bridges.extend(alive(&old.root().bridges, now.0).cloned());
    bridges.truncate(MAX_BRIDGES);
    let bridged = CaRoot {
        bridges: bridges.clone(),
        ..new.clone()
    };
    let leaf = BuiltIn::of_root(&bridged, key, trust_domain)?.trial_leaf(now)?;
    trial::verify(&decoded::der(&old.root().pem)?, &leaf, now).map_err(|problem| {
        let message = format!("a certificate over the old root is refused by the TLS library: {problem}");
        Failure::new(FailureKind::Internal, message)
    })?;
    Ok(bridges)
}

/// Those of `bridges` that have not ended at `now` (unix milliseconds).
pub(crate) fn alive(bridges: &[String], now: u64) -> impl Iterator<Item = &String> {
    bridges.iter().filter(move |bridge| {
        let ends = decoded::der(bridge).ok().and_then(|der| {
            let certificate = decoded::certificate(&der).ok()?;
            u64::try_from(certificate.validity().not_after.timestamp()).ok()
        });
        ends.is_some_and(|ends| ends.saturating_mul(1000) > now)
    })
}

fn certify(
    old: &BuiltIn,
    new: &CaRoot,
    trust_domain: &TrustDomain,
    now: UnixMillis,
) -> Result<String, Failure> {
    let failed = |problem: &dyn std::fmt::Display| {
        let message = format!("the old root cannot vouch for the new one: {problem}");
        Failure::new(FailureKind::Internal, message)
    };
    let der = decoded::der(&new.pem)?;
    let certificate = decoded::certificate(&der)?;
    let ends = UnixMillis(new.not_after.min(old.root().not_after));
    let validity = Validity::new(now, Duration::MAX, Some(ends))?;
    let mut params = CertificateParams::default();
    params.distinguished_name =
        subject::copy(certificate.subject()).map_err(|problem| failed(&format!("its subject {problem}")))?;
    params.not_before = system_time(validity.not_before)?.into();
    params.not_after = system_time(validity.not_after)?.into();
    params.serial_number = Some(serial::random::<16>()?.to_vec().into());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let signing_id = format!("spiffe://{trust_domain}");
    params.subject_alt_names = vec![SanType::URI(
        signing_id.try_into().map_err(|e: rcgen::Error| failed(&e))?,
    )];
    // Leaves name their issuer's key by it: it must be that of the root itself.
    if let Some(id) = decoded::subject_key_id(&certificate) {
        params.key_identifier_method = KeyIdMethod::PreSpecified(id);
    }
    params.use_authority_key_identifier_extension = true;
    let public_key =
        SubjectPublicKeyInfo::from_der(certificate.public_key().raw).map_err(|error| failed(&error))?;
    let signed = params
        .signed_by(&public_key, old.issuer())
        .map_err(|error| failed(&error))?;
    Ok(signed.pem())
}

#[cfg(test)]
mod tests;
