//! A first look at PEM texts from outside: enough to refuse what cannot be a certificate before it is stored.
//! Whether a certificate verifies anything is decided by the TLS library that uses it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Longest PEM text of one root, in bytes.
pub const MAX_PEM_BYTES: usize = 64 * 1024;
/// Most roots of one cluster: an active one and a few rotated-out ones are usual.
pub const MAX_ROOTS: usize = 32;

const BEGIN: &str = "-----BEGIN ";
const CERTIFICATE: &str = "CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Refuses a text whose first PEM block is not a certificate in a DER frame of exactly its length. The error is a
/// clause that completes "`field` ...".
pub fn check_certificate(text: &str) -> Result<(), String> {
    if text.len() > MAX_PEM_BYTES {
        return Err(format!(
            "is {} bytes long, at most {MAX_PEM_BYTES} are allowed",
            text.len()
        ));
    }
    let refuse = || "is not the PEM text of a certificate".to_owned();
    let (_, block) = text.split_once(BEGIN).ok_or_else(refuse)?;
    let block = block.strip_prefix(CERTIFICATE).ok_or_else(refuse)?;
    let (body, _) = block.split_once(END).ok_or_else(refuse)?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| refuse())?;
    if is_one_sequence(&der) {
        Ok(())
    } else {
        Err(refuse())
    }
}

/// Whether `der` is one SEQUENCE with a definite length and nothing behind it (X.690, section 8.1).
fn is_one_sequence(der: &[u8]) -> bool {
    let [0x30, first, rest @ ..] = der else {
        return false;
    };
    let (length, body) = match first {
        0x00..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let count = usize::from(first & 0x7f);
            let Some((length, body)) = rest.split_at_checked(count) else {
                return false;
            };
            (
                length.iter().fold(0, |acc, byte| acc * 256 + usize::from(*byte)),
                body,
            )
        }
        _ => return false,
    };
    length != 0 && body.len() == length
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A text that passes for a certificate here.
    pub(crate) fn certificate(seed: u8) -> String {
        let body = STANDARD.encode([0x30, 0x03, 0x02, 0x01, seed]);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn looks_into_the_frame() {
        assert_eq!(check_certificate(&certificate(1)), Ok(()));
        let long = {
            let mut der = vec![0x30, 0x82, 0x01, 0x00];
            der.extend([0; 256]);
            der
        };
        let pem = |der: &[u8]| {
            format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                STANDARD.encode(der)
            )
        };
        assert_eq!(check_certificate(&pem(&long)), Ok(()));
        for bad in [
            String::new(),
            "x".to_owned(),
            certificate(1).replace("CERTIFICATE", "PRIVATE KEY"),
            certificate(1).replace("MAM", "M!M"),
            certificate(1).replace("-----END", "----END"),
            pem(&[]),
            pem(&[0x30]),
            pem(&[0x30, 0x82, 0x01]),
            pem(&[0x30, 0x80, 0, 0]),
            pem(&long[..100]),
            "a".repeat(MAX_PEM_BYTES + 1),
        ] {
            assert!(check_certificate(&bad).is_err(), "{bad}");
        }
    }
}
