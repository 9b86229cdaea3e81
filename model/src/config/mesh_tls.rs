//! Which TLS the proxies of a mesh speak (`TLS` of `mesh`).

use crate::Invalid;
use std::collections::BTreeSet;

/// A version of TLS. What came before 1.2 is not offered: it is not safe any more (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// 1.2
    V1_2,
    /// 1.3
    V1_3,
}

/// A cipher suite of TLS 1.2. Only those with authenticated encryption and forward secrecy; TLS 1.3 has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CipherSuite {
    /// TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    EcdsaAes128,
    /// TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
    EcdsaAes256,
    /// TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
    EcdsaChaCha20,
    /// TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    RsaAes128,
    /// TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    RsaAes256,
    /// TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    RsaChaCha20,
}

/// Which TLS is spoken in one direction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TlsBounds {
    /// The oldest version; `None` is 1.2.
    pub min: Option<TlsVersion>,
    /// The newest version; `None` is 1.3.
    pub max: Option<TlsVersion>,
    /// Of TLS 1.2, the best first; empty is Envoy's own choice.
    pub ciphers: Vec<CipherSuite>,
}

/// Which TLS the proxies of a mesh speak.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct MeshTls {
    /// As servers.
    pub incoming: TlsBounds,
    /// As clients.
    pub outgoing: TlsBounds,
}

impl TlsVersion {
    /// All versions.
    pub const ALL: [TlsVersion; 2] = [TlsVersion::V1_2, TlsVersion::V1_3];

    /// Consul's text.
    pub fn as_str(self) -> &'static str {
        match self {
            TlsVersion::V1_2 => "TLSv1_2",
            TlsVersion::V1_3 => "TLSv1_3",
        }
    }

    /// The version of this text.
    pub fn parse(text: &str) -> Option<Self> {
        TlsVersion::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
    }
}

impl CipherSuite {
    /// All suites.
    pub const ALL: [CipherSuite; 6] = [
        CipherSuite::EcdsaAes128,
        CipherSuite::EcdsaAes256,
        CipherSuite::EcdsaChaCha20,
        CipherSuite::RsaAes128,
        CipherSuite::RsaAes256,
        CipherSuite::RsaChaCha20,
    ];

    /// The name in the registry of TLS parameters, which is Consul's text.
    pub fn as_str(self) -> &'static str {
        match self {
            CipherSuite::EcdsaAes128 => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            CipherSuite::EcdsaAes256 => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            CipherSuite::EcdsaChaCha20 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            CipherSuite::RsaAes128 => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            CipherSuite::RsaAes256 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            CipherSuite::RsaChaCha20 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        }
    }

    /// The suite of this text.
    pub fn parse(text: &str) -> Option<Self> {
        CipherSuite::ALL.into_iter().find(|suite| suite.as_str() == text)
    }

    /// Whether servers with an ECDSA certificate can use it; the others are for RSA.
    fn is_for_ecdsa(self) -> bool {
        matches!(
            self,
            CipherSuite::EcdsaAes128 | CipherSuite::EcdsaAes256 | CipherSuite::EcdsaChaCha20
        )
    }
}

impl TlsBounds {
    /// The oldest version.
    pub fn oldest(&self) -> TlsVersion {
        self.min.unwrap_or(TlsVersion::V1_2)
    }

    /// The newest version.
    pub fn newest(&self) -> TlsVersion {
        self.max.unwrap_or(TlsVersion::V1_3)
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        self.validate_of_any()?;
        // Workloads have ECDSA certificates: with suites for RSA alone no TLS 1.2 handshake would succeed.
        if !self.ciphers.is_empty() && !self.ciphers.iter().any(|suite| suite.is_for_ecdsa()) {
            return Err(Invalid::new(
                "CipherSuites",
                "has none for ECDSA, which the certificates of the mesh are made with; add a TLS_ECDHE_ECDSA suite",
            ));
        }
        Ok(())
    }

    /// The same where the certificate may be of any kind.
    pub(super) fn validate_of_any(&self) -> Result<(), Invalid> {
        if self.oldest() > self.newest() {
            return Err(Invalid::new("TLSMinVersion", "is above TLSMaxVersion"));
        }
        if self.oldest() == TlsVersion::V1_3 && !self.ciphers.is_empty() {
            return Err(Invalid::new(
                "CipherSuites",
                "is for TLS 1.2, which TLSMinVersion rules out; remove one of them",
            ));
        }
        let mut seen = BTreeSet::new();
        for (index, suite) in self.ciphers.iter().enumerate() {
            if !seen.insert(suite) {
                return Err(Invalid::new(
                    format!("CipherSuites[{index}]"),
                    "is given more than once",
                ));
            }
        }
        Ok(())
    }
}

impl MeshTls {
    /// Refuses what no Envoy would take, and what would keep the proxies of the mesh from talking to each other.
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        self.incoming
            .validate()
            .map_err(|error| error.within("Incoming"))?;
        self.outgoing
            .validate()
            .map_err(|error| error.within("Outgoing"))?;
        let (servers, clients) = (&self.incoming, &self.outgoing);
        if clients.oldest() > servers.newest() || servers.oldest() > clients.newest() {
            return Err(Invalid::new(
                "Outgoing",
                "has no version in common with Incoming, so that no proxy could call another one",
            ));
        }
        let newest = servers.newest().min(clients.newest());
        let common = |suite: &CipherSuite| suite.is_for_ecdsa() && clients.ciphers.contains(suite);
        let chosen = !servers.ciphers.is_empty() && !clients.ciphers.is_empty();
        if newest == TlsVersion::V1_2 && chosen && !servers.ciphers.iter().any(common) {
            return Err(Invalid::new(
                "Outgoing.CipherSuites",
                "has no suite for ECDSA in common with Incoming, so that no proxy could call another one",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(min: Option<TlsVersion>, max: Option<TlsVersion>, ciphers: &[CipherSuite]) -> TlsBounds {
        TlsBounds {
            min,
            max,
            ciphers: ciphers.to_vec(),
        }
    }

    #[test]
    fn proxies_can_always_talk_to_each_other() {
        use CipherSuite::{EcdsaAes128, EcdsaAes256, RsaAes128};
        use TlsVersion::{V1_2, V1_3};
        let refused = |incoming: TlsBounds, outgoing: TlsBounds| {
            let error = MeshTls { incoming, outgoing }.validate().err();
            error.map(|error| error.to_string()).unwrap_or_default()
        };
        let any = TlsBounds::default();
        for good in [
            (any.clone(), any.clone()),
            (bounds(Some(V1_3), None, &[]), any.clone()),
            (any.clone(), bounds(None, Some(V1_2), &[EcdsaAes128])),
            (
                bounds(None, None, &[EcdsaAes128]),
                bounds(None, None, &[EcdsaAes256]),
            ),
        ] {
            assert_eq!(refused(good.0.clone(), good.1.clone()), "", "{good:?}");
        }
        for (incoming, outgoing, field) in [
            (
                bounds(Some(V1_3), Some(V1_2), &[]),
                any.clone(),
                "Incoming.TLSMinVersion",
            ),
            (
                any.clone(),
                bounds(Some(V1_3), None, &[EcdsaAes128]),
                "Outgoing.CipherSuites",
            ),
            (
                any.clone(),
                bounds(None, None, &[RsaAes128]),
                "Outgoing.CipherSuites",
            ),
            (
                bounds(None, None, &[EcdsaAes128; 2]),
                any.clone(),
                "Incoming.CipherSuites[1]",
            ),
            (
                bounds(None, Some(V1_2), &[]),
                bounds(Some(V1_3), None, &[]),
                "Outgoing",
            ),
            (
                bounds(None, Some(V1_2), &[EcdsaAes128]),
                bounds(None, None, &[EcdsaAes256]),
                "Outgoing.CipherSuites",
            ),
        ] {
            let error = refused(incoming, outgoing);
            assert!(error.starts_with(field), "{field}: {error}");
        }
    }

    #[test]
    fn texts_are_read_back() {
        for version in TlsVersion::ALL {
            assert_eq!(TlsVersion::parse(version.as_str()), Some(version));
        }
        for suite in CipherSuite::ALL {
            assert_eq!(CipherSuite::parse(suite.as_str()), Some(suite));
        }
        assert_eq!(TlsVersion::parse("TLSv1_1"), None);
    }
}
