//! The private key of a certificate that is brought.

use super::MAX_BROUGHT_BYTES;
use peerway_model::{RootKey, Secret};
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::PrivatePkcs8KeyDer;
use x509_parser::pem::Pem;

/// AlgorithmIdentifier of rsaEncryption with its NULL (RFC 8017, appendix A.1).
const RSA: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// AlgorithmIdentifier of id-ecPublicKey on secp256r1 (RFC 5480, section 2.1.1).
const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];
/// AlgorithmIdentifier of id-ecPublicKey on secp384r1 (RFC 5480, section 2.1.1).
const P384: &[u8] = &[
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22,
];

/// Reads a key of `kind` whose public half is `public` (DER of a SubjectPublicKeyInfo), that of the field `whose`.
///
/// # Errors
/// A clause that completes "the private key ..."; it repeats nothing of the key.
pub(crate) fn read(secret: &Secret, kind: RootKey, public: &[u8], whose: &str) -> Result<KeyPair, String> {
    let text = secret.expose();
    if text.len() > MAX_BROUGHT_BYTES {
        return Err(format!(
            "is {} bytes long, at most {MAX_BROUGHT_BYTES} are allowed",
            text.len()
        ));
    }
    if text.contains("ENCRYPTED") {
        return Err("is encrypted, decrypt it with openssl pkey".to_owned());
    }
    let mut keys = Vec::new();
    for block in Pem::iter_from_buffer(text.as_bytes()) {
        let block = block.map_err(|_| "is not PEM text".to_owned())?;
        // openssl ecparam -genkey writes the curve in front of the key.
        if block.label != "EC PARAMETERS" {
            keys.push(block);
        }
    }
    let count = keys.len();
    let (Some(key), 1) = (keys.pop(), count) else {
        return Err(format!("holds {count} PEM blocks, give the private key alone"));
    };
    let (algorithm, wrapping, older) = match kind {
        RootKey::P256 => (&rcgen::PKCS_ECDSA_P256_SHA256, P256, "EC PRIVATE KEY"),
        RootKey::P384 => (&rcgen::PKCS_ECDSA_P384_SHA384, P384, "EC PRIVATE KEY"),
        RootKey::Rsa(_) => (&rcgen::PKCS_RSA_SHA256, RSA, "RSA PRIVATE KEY"),
    };
    let pkcs8 = match key.label.as_str() {
        "PRIVATE KEY" => key.contents,
        label if label == older => wrapped(wrapping, &key.contents),
        label if label.ends_with("PRIVATE KEY") => {
            return Err(format!(
                "is of another kind than the key of {whose}, give the key that it was made with"
            ));
        }
        label => return Err(format!("is PEM text of a {label:?}, expected PRIVATE KEY")),
    };
    // What the library says of a key that it cannot read tells nothing more.
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8), algorithm).map_err(|_| {
        format!(
            "cannot be read as the {} key with {} bits of {whose}, give the key that it was made with, as openssl pkey writes it",
            kind.family(),
            kind.bits()
        )
    })?;
    if pair.subject_public_key_info() != public {
        return Err(format!(
            "is not the key of {whose}, give the key that it was made with"
        ));
    }
    Ok(pair)
}

/// An older form of a key as PKCS#8 (RFC 5958): version, algorithm, and the older form as an octet string.
fn wrapped(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let mut content = vec![0x02, 0x01, 0x00];
    content.extend_from_slice(algorithm);
    content.extend(element(0x04, key));
    element(0x30, &content)
}

/// A DER element (X.690, section 8.1). Keys are shorter than [`MAX_BROUGHT_BYTES`], so that two bytes of length do.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let mut element = vec![tag];
    match content.len() {
        0..=0x7f => element.push(low),
        0x80..=0xff => element.extend([0x81, low]),
        _ => element.extend([0x82, high, low]),
    }
    element.extend_from_slice(content);
    element
}
