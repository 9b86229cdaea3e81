//! `inline-certificate`: a certificate of an operator's own, with its key.

use super::Meta;
use crate::name::{Namespace, Partition, ServiceName};
use crate::{Invalid, Secret};
use std::fmt;
use std::hash::{Hash, Hasher};

/// Longest text of a certificate with those that lead to it, or of a key, in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 64 << 10;

/// A certificate and its key. Whether the two belong together is looked at by whoever knows keys, when it is written.
#[derive(Clone)]
pub struct InlineCertificate {
    /// The partition.
    pub partition: Partition,
    /// The namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ServiceName,
    /// PEM: the certificate, then those that lead to a root.
    pub certificate: String,
    /// PEM.
    pub key: Secret,
    /// The operator's pairs.
    pub meta: Meta,
}

/// Without the key.
impl fmt::Debug for InlineCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "InlineCertificate({}/{}/{})",
            self.partition, self.namespace, self.name
        )
    }
}

impl PartialEq for InlineCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.partition == other.partition
            && self.namespace == other.namespace
            && self.name == other.name
            && self.certificate == other.certificate
            && self.key.matches(other.key.expose())
            && self.meta == other.meta
    }
}

impl Eq for InlineCertificate {}

/// Without the key: one certificate has one.
impl Hash for InlineCertificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (
            &self.partition,
            &self.namespace,
            &self.name,
            &self.certificate,
            &self.meta,
        )
            .hash(state);
    }
}

impl InlineCertificate {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        for (field, text, label) in [
            ("Certificate", self.certificate.as_str(), "CERTIFICATE"),
            ("PrivateKey", self.key.expose(), "PRIVATE KEY"),
        ] {
            if text.len() > MAX_CERTIFICATE_BYTES {
                return Err(Invalid::new(
                    field,
                    format!(
                        "is {} bytes long, at most {MAX_CERTIFICATE_BYTES} are allowed",
                        text.len()
                    ),
                ));
            }
            if !text.contains("-----BEGIN ") || !text.contains(&format!("{label}-----")) {
                return Err(Invalid::new(field, format!("is not PEM text of a {label}")));
            }
        }
        Ok(())
    }
}
