//! A certificate of an operator's own, for callers from outside: whatever a proxy would refuse is refused before.

use crate::brought::key;
use crate::decoded;
use peerway_model::{Invalid, MAX_RSA_BITS, MIN_RSA_BITS, Secret};
use x509_parser::pem::Pem;

/// Checks that `certificate`, PEM of a certificate and of those that lead to a root, can be read and belongs to `key`,
/// PEM of a private key.
///
/// # Errors
/// What is wrong and what would be right, at `Certificate` or `PrivateKey`; nothing of the key is repeated.
pub fn check_certificate(certificate: &str, key: &Secret) -> Result<(), Invalid> {
    let refuse = |problem: String| Invalid::new("Certificate", problem);
    let mut chain = Vec::new();
    for block in Pem::iter_from_buffer(certificate.as_bytes()) {
        let block = block.map_err(|_| refuse("is not PEM text".to_owned()))?;
        if block.label.ends_with("PRIVATE KEY") {
            return Err(refuse(
                "holds a private key, which belongs into PrivateKey".to_owned(),
            ));
        }
        if block.label != "CERTIFICATE" {
            let label = block.label;
            return Err(refuse(format!(
                "is PEM text of a {label:?}, expected CERTIFICATE"
            )));
        }
        chain.push(block.contents);
    }
    if chain.is_empty() {
        return Err(refuse("holds no certificate, give PEM text".to_owned()));
    }
    let mut public = None;
    for (place, der) in chain.iter().enumerate() {
        let unreadable = |problem: String| refuse(format!("has at place {place} what {problem}"));
        let (rest, parsed) = x509_parser::parse_x509_certificate(der)
            .map_err(|error| unreadable(format!("is not an X.509 certificate: {error}")))?;
        if !rest.is_empty() {
            return Err(unreadable("has bytes behind the certificate".to_owned()));
        }
        if place == 0 {
            let kind = decoded::key_kind(&parsed).ok_or_else(|| {
                refuse(format!(
                    "has a key of a kind that not all proxies show, use ECDSA on P-256 or P-384, or RSA with {MIN_RSA_BITS} to {MAX_RSA_BITS} bits"
                ))
            })?;
            public = Some((kind, parsed.public_key().raw.to_vec()));
        }
    }
    let Some((kind, public)) = public else {
        return Err(refuse("holds no certificate, give PEM text".to_owned()));
    };
    key::read(key, kind, &public, "Certificate")
        .map(|_| ())
        .map_err(|problem| Invalid::new("PrivateKey", problem))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    fn made() -> (String, Secret) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["shop.example.com".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), Secret::new(key.serialize_pem()))
    }

    #[test]
    fn a_certificate_needs_its_own_key() {
        let ((certificate, key), (other, strange)) = (made(), made());
        let check = |certificate: &str, key: &Secret| {
            let checked = check_certificate(certificate, key);
            checked.err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(check(&certificate, &key), "");
        assert_eq!(check(&format!("{certificate}{other}"), &key), "", "a chain");
        assert!(check(&certificate, &strange).starts_with("PrivateKey: is not the key of Certificate"));
        assert!(check(&format!("{other}{certificate}"), &key).starts_with("PrivateKey"));
        let both = format!("{certificate}{}", key.expose());
        assert!(check(&both, &key).starts_with("Certificate: holds a private key"));
        assert!(check("no PEM", &key).starts_with("Certificate: holds no certificate"));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(check(broken, &key).starts_with("Certificate: has at place 0"));
        assert!(check(&certificate, &Secret::new("no PEM")).starts_with("PrivateKey: holds 0"));
    }
}
