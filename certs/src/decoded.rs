//! Certificates and PEM texts as bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use peerway_model::{Failure, FailureKind, RootKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::public_key::PublicKey;

/// Characters in a line of a PEM text (RFC 7468, section 2).
const LINE: usize = 64;

/// The DER of the first block of a PEM text that this room or the check of brought roots has written.
///
/// # Errors
/// `Internal` when it cannot be read.
pub(crate) fn der(pem: &str) -> Result<Vec<u8>, Failure> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).map_err(unreadable)?;
    Ok(pem.contents)
}

/// The certificate in `der`.
///
/// # Errors
/// `Internal` when it cannot be read.
pub(crate) fn certificate(der: &[u8]) -> Result<X509Certificate<'_>, Failure> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(unreadable)?;
    Ok(certificate)
}

fn unreadable(error: impl std::fmt::Display) -> Failure {
    let message = format!("a stored certificate cannot be read, restore the store from a backup: {error}");
    Failure::new(FailureKind::Internal, message)
}

/// PEM of a certificate, ending in a newline, without what an operator's file has around it.
pub(crate) fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::with_capacity(text.len() * 66 / LINE + 60);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so that any length is a boundary.
        let (line, more) = rest.split_at(rest.len().min(LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// The kind of a certificate's key; `None` when it is none that a root may have here.
pub(crate) fn key_kind(certificate: &X509Certificate<'_>) -> Option<RootKey> {
    let public = certificate.public_key();
    if public.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = public.algorithm.parameters.as_ref()?.as_oid().ok()?;
        return match curve {
            curve if curve == OID_EC_P256 => Some(RootKey::P256),
            curve if curve == OID_NIST_EC_P384 => Some(RootKey::P384),
            _ => None,
        };
    }
    match public.parsed() {
        Ok(PublicKey::RSA(key)) if public.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION => {
            RootKey::of_rsa_bits(u64::try_from(key.key_size()).ok()?)
        }
        _ => None,
    }
}

/// The subject key identifier.
pub(crate) fn subject_key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pem_text_is_read_back() {
        for length in [0, 1, 47, 48, 49, 500] {
            let bytes: Vec<u8> = (0..length).map(|at: u32| at.to_le_bytes()[0]).collect();
            let text = pem(&bytes);
            assert!(text.lines().all(|line| line.len() <= LINE), "{text}");
            assert_eq!(der(&text).unwrap(), bytes);
        }
        assert_eq!(der("no PEM").unwrap_err().kind, FailureKind::Internal);
    }
}
