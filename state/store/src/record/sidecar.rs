//! Twin of what may be said about a sidecar in several places.

use super::text::{Text, text};
use peerway_model::config::Protocol;
use peerway_model::{ExposedPath, ProxyMode, SidecarSettings};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
pub(super) struct SidecarRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mode: Option<Text<ProxyMode>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outbound_port: Option<u16>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dialed_directly: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exposed: Vec<ExposedRecord>,
}

#[derive(Serialize, Deserialize)]
struct ExposedRecord {
    path: String,
    local_port: u16,
    listener_port: u16,
    protocol: Text<Protocol>,
}

impl From<&ExposedPath> for ExposedRecord {
    fn from(path: &ExposedPath) -> Self {
        let ExposedPath {
            path,
            local_port,
            listener_port,
            protocol,
        } = path;
        ExposedRecord {
            path: path.clone(),
            local_port: *local_port,
            listener_port: *listener_port,
            protocol: Text(*protocol),
        }
    }
}

impl From<ExposedRecord> for ExposedPath {
    fn from(record: ExposedRecord) -> Self {
        ExposedPath {
            path: record.path,
            local_port: record.local_port,
            listener_port: record.listener_port,
            protocol: record.protocol.0,
        }
    }
}

impl SidecarRecord {
    pub(super) fn is_default(&self) -> bool {
        self.mode.is_none()
            && self.outbound_port.is_none()
            && !self.dialed_directly
            && self.exposed.is_empty()
    }
}

impl From<&SidecarSettings> for SidecarRecord {
    fn from(settings: &SidecarSettings) -> Self {
        let SidecarSettings {
            mode,
            outbound_port,
            dialed_directly,
            exposed,
        } = settings;
        SidecarRecord {
            mode: text(mode),
            outbound_port: *outbound_port,
            dialed_directly: *dialed_directly,
            exposed: exposed.iter().map(ExposedRecord::from).collect(),
        }
    }
}

impl From<SidecarRecord> for SidecarSettings {
    fn from(record: SidecarRecord) -> Self {
        SidecarSettings {
            mode: record.mode.map(|mode| mode.0),
            outbound_port: record.outbound_port,
            dialed_directly: record.dialed_directly,
            exposed: record.exposed.into_iter().map(ExposedPath::from).collect(),
        }
    }
}
