//! Twin of what may be said about a sidecar in several places.

use super::text::{Text, text};
use peerway_model::{ProxyMode, SidecarSettings};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
pub(super) struct SidecarRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<Text<ProxyMode>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outbound_port: Option<u16>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dialed_directly: bool,
}

impl SidecarRecord {
    pub(super) fn is_default(&self) -> bool {
        self.mode.is_none() && self.outbound_port.is_none() && !self.dialed_directly
    }
}

impl From<&SidecarSettings> for SidecarRecord {
    fn from(settings: &SidecarSettings) -> Self {
        let SidecarSettings {
            mode,
            outbound_port,
            dialed_directly,
        } = settings;
        SidecarRecord {
            mode: text(mode),
            outbound_port: *outbound_port,
            dialed_directly: *dialed_directly,
        }
    }
}

impl From<SidecarRecord> for SidecarSettings {
    fn from(record: SidecarRecord) -> Self {
        SidecarSettings {
            mode: record.mode.map(|mode| mode.0),
            outbound_port: record.outbound_port,
            dialed_directly: record.dialed_directly,
        }
    }
}
