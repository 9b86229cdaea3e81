//! Certificates by recipe.

use crate::tests::openssl::openssl;
use peerway_model::{BroughtRoot, Secret};
use peerway_runtime::{SystemClock, UnixMillis};
use tempfile::TempDir;

/// The moment that openssl takes for now as well.
pub(crate) fn now() -> UnixMillis {
    SystemClock::shared().now()
}

/// What a root must have.
pub(crate) const GOOD: &str = "basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\nsubjectKeyIdentifier = hash\n";

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Curve(&'static str),
    Rsa(u16),
    Ed25519,
}

pub(crate) struct Recipe {
    pub(crate) kind: Kind,
    pub(crate) digest: &'static str,
    /// Lines of a `dn` section.
    pub(crate) subject: String,
    /// Lines of an extension section.
    pub(crate) extensions: String,
    pub(crate) days: u32,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            kind: Kind::Curve("P-256"),
            digest: "sha256",
            subject: "O = Example\nCN = Example Root".to_owned(),
            extensions: GOOD.to_owned(),
            days: 365,
        }
    }
}

/// A certificate in `root.pem` with its key in `key.pem`.
pub(crate) struct Made {
    folder: TempDir,
    pub(crate) brought: BroughtRoot,
    kind: Kind,
}

impl Recipe {
    pub(crate) fn make(&self) -> Made {
        let folder = tempfile::tempdir().unwrap();
        let bits;
        let curve;
        let key: &[&str] = match self.kind {
            Kind::Curve(name) => {
                curve = format!("ec_paramgen_curve:{name}");
                &["-algorithm", "EC", "-pkeyopt", &curve]
            }
            Kind::Rsa(length) => {
                bits = format!("rsa_keygen_bits:{length}");
                &["-algorithm", "RSA", "-pkeyopt", &bits]
            }
            Kind::Ed25519 => &["-algorithm", "ED25519"],
        };
        openssl(folder.path(), &[&["genpkey", "-out", "key.pem"], key].concat());
        let config = format!(
            "[req]\nprompt = no\ndistinguished_name = dn\nx509_extensions = ext\n[dn]\n{}\n[ext]\n{}\n",
            self.subject, self.extensions
        );
        std::fs::write(folder.path().join("config"), config).unwrap();
        let (days, digest) = (self.days.to_string(), format!("-{}", self.digest));
        let make = [
            "req", "-x509", "-config", "config", "-key", "key.pem", "-out", "root.pem", "-days", &days,
            &digest,
        ];
        openssl(folder.path(), &make);
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let brought = BroughtRoot {
            certificate: read("root.pem"),
            key: Secret::new(read("key.pem")),
        };
        Made {
            folder,
            brought,
            kind: self.kind,
        }
    }
}

impl Made {
    /// The key as older programs write it (SEC 1, PKCS#1), with the curve in front.
    pub(crate) fn older_key(&self) -> Secret {
        let folder = self.folder.path();
        let text = match self.kind {
            Kind::Curve(name) => {
                let curve = openssl(folder, &["ecparam", "-name", name]);
                curve + &openssl(folder, &["ec", "-in", "key.pem"])
            }
            Kind::Rsa(_) => openssl(folder, &["rsa", "-in", "key.pem", "-traditional"]),
            Kind::Ed25519 => panic!("there is no older form"),
        };
        Secret::new(text)
    }

    pub(crate) fn encrypted_key(&self) -> String {
        let hide = ["pkcs8", "-topk8", "-in", "key.pem", "-passout", "pass:secret"];
        openssl(self.folder.path(), &hide)
    }

    /// A request for a certificate with this key.
    pub(crate) fn request(&self) -> String {
        let ask = ["req", "-new", "-config", "config", "-key", "key.pem"];
        openssl(self.folder.path(), &ask)
    }

    /// An intermediate: a certificate of this key that `other` has signed.
    pub(crate) fn signed_by(&self, other: &Made) -> String {
        let folder = self.folder.path();
        std::fs::write(folder.join("extensions"), GOOD).unwrap();
        let at = |name: &str| other.folder.path().join(name).display().to_string();
        let (root, key) = (at("root.pem"), at("key.pem"));
        let subject = "/CN=Intermediate";
        let ask = [
            "req", "-new", "-subj", subject, "-key", "key.pem", "-out", "request",
        ];
        openssl(folder, &ask);
        let sign = [
            "x509",
            "-req",
            "-in",
            "request",
            "-CA",
            &root,
            "-CAkey",
            &key,
            "-extfile",
            "extensions",
            "-days",
            "90",
        ];
        openssl(folder, &sign)
    }
}
