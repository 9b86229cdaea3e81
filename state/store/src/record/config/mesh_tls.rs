//! Twin of the TLS of a mesh.

use super::super::text::{Text, text};
use peerway_model::config::{CipherSuite, MeshTls, TlsBounds, TlsVersion};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Default)]
pub(super) struct MeshTlsRecord {
    #[serde(default, skip_serializing_if = "BoundsRecord::is_default")]
    incoming: BoundsRecord,
    #[serde(default, skip_serializing_if = "BoundsRecord::is_default")]
    outgoing: BoundsRecord,
}

#[derive(Serialize, Deserialize, Default)]
pub(super) struct BoundsRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<Text<TlsVersion>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<Text<TlsVersion>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ciphers: Vec<Text<CipherSuite>>,
}

impl MeshTlsRecord {
    pub(super) fn is_default(&self) -> bool {
        self.incoming.is_default() && self.outgoing.is_default()
    }
}

impl BoundsRecord {
    pub(super) fn is_default(&self) -> bool {
        self.min.is_none() && self.max.is_none() && self.ciphers.is_empty()
    }
}

impl From<&MeshTls> for MeshTlsRecord {
    fn from(tls: &MeshTls) -> Self {
        let MeshTls { incoming, outgoing } = tls;
        MeshTlsRecord {
            incoming: incoming.into(),
            outgoing: outgoing.into(),
        }
    }
}

impl From<MeshTlsRecord> for MeshTls {
    fn from(record: MeshTlsRecord) -> Self {
        MeshTls {
            incoming: record.incoming.into(),
            outgoing: record.outgoing.into(),
        }
    }
}

impl From<&TlsBounds> for BoundsRecord {
    fn from(bounds: &TlsBounds) -> Self {
        let TlsBounds { min, max, ciphers } = bounds;
        BoundsRecord {
            min: text(min),
            max: text(max),
            ciphers: ciphers.iter().copied().map(Text).collect(),
        }
    }
}

impl From<BoundsRecord> for TlsBounds {
    fn from(record: BoundsRecord) -> Self {
        TlsBounds {
            min: record.min.map(|version| version.0),
            max: record.max.map(|version| version.0),
            ciphers: record.ciphers.into_iter().map(|suite| suite.0).collect(),
        }
    }
}
