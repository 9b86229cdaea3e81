//! Fingerprints and how bytes are written for people.

use peerway_model::{Failure, FailureKind};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use std::fmt::Write;

/// `bytes` as lower-case hex pairs with colons, the form of serials, key ids and root ids.
pub(crate) fn colons(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for (index, byte) in bytes.iter().enumerate() {
        let separator = if index == 0 { "" } else { ":" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}{byte:02x}");
    }
    text
}

/// SHA-256 of a certificate's DER as hex pairs with colons.
///
/// # Errors
/// `Internal` when the TLS library has no SHA-256, which it always has.
pub(crate) fn sha256(der: &[u8]) -> Result<String, Failure> {
    // The hash of a cipher suite is the only digest that the TLS library offers; it saves a crate.
    let suite = TLS13_AES_128_GCM_SHA256
        .tls13()
        .ok_or_else(|| Failure::new(FailureKind::Internal, "the TLS library offers no SHA-256"))?;
    Ok(colons(suite.common.hash_provider.hash(der).as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_a_published_digest() {
        // FIPS 180-2, appendix B.1.
        let expected =
            "ba:78:16:bf:8f:01:cf:ea:41:41:40:de:5d:ae:22:23:b0:03:61:a3:96:17:7a:9c:b4:10:ff:61:f2:00:15:ad";
        assert_eq!(sha256(b"abc").unwrap(), expected);
        assert_eq!(colons(&[]), "");
    }
}
