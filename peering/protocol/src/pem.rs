//! Certificates from outside, as PEM texts. What is let in ends up in the trust of proxies, several peers' side by side
//! in one secret, which Envoy refuses whole for one certificate that it cannot read: so a certificate is read to its
//! last extension here, and what goes on is written anew. Whether it verifies anything is decided by the TLS library
//! that uses it.

mod der;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::{has_shape, is_der};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Version;

/// Longest PEM text, in bytes; a certificate with an RSA key of 4096 bits has some 2 KiB.
pub const MAX_PEM_BYTES: usize = 64 * 1024;
/// Most roots of one cluster: an active one and a few rotated-out ones are usual.
pub const MAX_ROOTS: usize = 32;
/// Most certificates in one text: a file of roots is one entry of a Consul token.
pub const MAX_CERTIFICATES: usize = 32;
/// Characters of base64 in a line (RFC 7468, section 2).
const LINE: usize = 64;

/// What is said of a certificate that is none on a closer look.
const UNREADABLE: &str = "cannot be read as a certificate";

const BEGIN: &str = "-----BEGIN ";
const CERTIFICATE: &str = "CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Refuses a text that holds anything but certificates, or none. The error is a clause that completes "`field` ...".
pub fn check_certificates(text: &str) -> Result<(), String> {
    each(text, |_| Ok(()))
}

/// The roots in a text, one behind the other and written anew, so that nothing around them goes on. The error is a
/// clause that completes "`field` ...".
pub fn roots(text: &str) -> Result<String, String> {
    let mut written = String::with_capacity(text.len());
    each(text, |der| {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| UNREADABLE)?;
        if !certificate.is_ca() {
            return Err("is the certificate of somebody who may not sign others".to_owned());
        }
        written.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in STANDARD.encode(der).as_bytes().chunks(LINE) {
            written.push_str(&String::from_utf8_lossy(line));
            written.push('\n');
        }
        written.push_str("-----END CERTIFICATE-----\n");
        Ok(())
    })?;
    Ok(written)
}

/// Hands out the DER of each certificate in `text`.
fn each(text: &str, mut take: impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
    if text.len() > MAX_PEM_BYTES {
        return Err(format!(
            "is {} bytes long, at most {MAX_PEM_BYTES} are allowed",
            text.len()
        ));
    }
    let refuse = || "is not the PEM text of a certificate".to_owned();
    let mut blocks = text.split(BEGIN).skip(1).peekable();
    blocks.peek().ok_or_else(refuse)?;
    for (index, block) in blocks.enumerate() {
        if index == MAX_CERTIFICATES {
            return Err(format!("has more than {MAX_CERTIFICATES} certificates"));
        }
        let block = block.strip_prefix(CERTIFICATE).ok_or_else(refuse)?;
        let (body, _) = block.split_once(END).ok_or_else(refuse)?;
        let body: String = body.split_ascii_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| refuse())?;
        check(&der)?;
        take(&der)?;
    }
    Ok(())
}

/// Refuses what is no certificate, or one of which a part cannot be read.
fn check(der: &[u8]) -> Result<(), String> {
    if !is_der(der) || !has_shape(der) {
        return Err(UNREADABLE.to_owned());
    }
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| UNREADABLE)?;
    if certificate.version() != X509Version::V3
        || certificate.signature_algorithm != certificate.tbs_certificate.signature
    {
        return Err(UNREADABLE.to_owned());
    }
    // Each extension once, and each as its kind demands.
    let extensions = certificate.extensions_map().map_err(|_| UNREADABLE)?;
    let broken = |extension: &&X509Extension<'_>| {
        matches!(extension.parsed_extension(), ParsedExtension::ParseError { .. })
    };
    if extensions.values().any(broken) {
        return Err(format!("{UNREADABLE}: one of its extensions is broken"));
    }
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(_) | PublicKey::EC(_)) => Ok(()),
        _ => Err("has a key that is neither RSA nor of an elliptic curve".to_owned()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const ROOT: &str = include_str!("pem/root.pem");

    /// The root with another serial number.
    pub(crate) fn certificate(seed: u8) -> String {
        let mut der = der(ROOT);
        let serial = der
            .windows(8)
            .position(|bytes| bytes == [0x40, 0, 0, 0, 0, 0, 0, 0])
            .unwrap();
        der[serial + 7] = seed;
        pem(&der)
    }

    fn der(text: &str) -> Vec<u8> {
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        STANDARD.decode(body).unwrap()
    }

    fn pem(der: &[u8]) -> String {
        let body = STANDARD.encode(der);
        let lines: Vec<&str> = body
            .as_bytes()
            .chunks(LINE)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        )
    }

    #[test]
    fn certificates_are_taken_and_written_anew() {
        let (one, two) = (certificate(1), certificate(2));
        assert_ne!(one, two);
        assert_eq!(roots(&one), Ok(one.clone()));
        assert_eq!(roots(ROOT), Ok(ROOT.to_owned()));
        let around = format!("a comment\n{}\n\n{two} and more", one.replace('\n', "\r\n"));
        assert_eq!(check_certificates(&around), Ok(()));
        assert_eq!(roots(&around), Ok(format!("{one}{two}")));
    }

    #[test]
    fn anything_else_is_refused() {
        let whole = der(ROOT);
        let mut long = whole.clone();
        long.push(0);
        for bad in [
            String::new(),
            "x".to_owned(),
            certificate(1).replace("CERTIFICATE", "PRIVATE KEY"),
            certificate(1).replace("MII", "M!I"),
            certificate(1).replace("-----END", "----END"),
            pem(&[]),
            pem(&[0x30]),
            pem(&[0x30, 0x03, 0x02, 0x01, 0x01]),
            pem(&[0x30, 0x80, 0, 0]),
            pem(&whole[..100]),
            pem(&long),
            // What is behind the first one counts too: a proxy would read it.
            format!("{ROOT}-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"),
            format!("{ROOT}-----BEGIN PRIVATE KEY-----\nMAMCAQE=\n-----END PRIVATE KEY-----\n"),
            format!("{ROOT}-----BEGIN CERTIFICATE-----\n"),
            ROOT.repeat(MAX_CERTIFICATES + 1),
            "a".repeat(MAX_PEM_BYTES + 1),
        ] {
            assert!(check_certificates(&bad).is_err(), "{bad}");
            assert!(roots(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_root_has_to_be_one() {
        // The value of basicConstraints, CA:TRUE, becomes an empty sequence.
        let mut leaf = der(ROOT);
        let at = leaf
            .windows(5)
            .position(|bytes| bytes == [0x30, 0x03, 0x01, 0x01, 0xff])
            .unwrap();
        leaf[at + 4] = 0;
        assert!(
            roots(&pem(&leaf)).is_err(),
            "a default value that is spelt out is no DER, or it may not sign"
        );
    }
}
