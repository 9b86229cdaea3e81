//! What registrations, `service-defaults` and `proxy-defaults` may all say about a sidecar.

mod expose;

pub(crate) use expose::ExposeJson;

use crate::fields::Fields;
use peerway_model::{Invalid, ProxyMode, SidecarSettings};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Takes `Mode`, `TransparentProxy` and `Expose`.
pub(crate) fn sidecar_settings_from(fields: &mut Fields<'_>) -> Result<SidecarSettings, Invalid> {
    let mode = fields.parsed("Mode", |text| {
        ProxyMode::parse(text).ok_or_else(|| {
            Invalid::new(
                "",
                format!("{text:?} is not a mode, use \"direct\" or \"transparent\""),
            )
        })
    })?;
    let mut settings = SidecarSettings {
        mode,
        ..SidecarSettings::default()
    };
    if let Some(mut transparent) = fields.object("TransparentProxy")? {
        settings.outbound_port = Some(transparent.port("OutboundListenerPort")?).filter(|port| *port != 0);
        settings.dialed_directly = transparent.flag("DialedDirectly")?;
        transparent.finish()?;
    }
    settings.exposed = expose::exposed_from(fields)?;
    Ok(settings)
}

/// Puts what is said into a config entry.
pub(crate) fn put_sidecar_settings(out: &mut Map<String, Value>, settings: &SidecarSettings) {
    if let Some(mode) = settings.mode {
        out.insert("Mode".to_owned(), json!(mode.as_str()));
    }
    if let Some(transparent) = TransparentJson::of(settings) {
        out.insert("TransparentProxy".to_owned(), json!(transparent));
    }
    if !settings.exposed.is_empty() {
        out.insert("Expose".to_owned(), json!(ExposeJson::of(&settings.exposed)));
    }
}

/// `TransparentProxy` in answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are Consul's, named as there")]
pub struct TransparentJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outbound_listener_port: Option<u16>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dialed_directly: bool,
}

impl TransparentJson {
    /// What is said; `None` when that is nothing.
    pub(crate) fn of(settings: &SidecarSettings) -> Option<Self> {
        let says_something = settings.outbound_port.is_some() || settings.dialed_directly;
        says_something.then_some(TransparentJson {
            outbound_listener_port: settings.outbound_port,
            dialed_directly: settings.dialed_directly,
        })
    }

    /// What counts; `None` when nothing is redirected.
    pub(crate) fn counting(settings: &SidecarSettings) -> Option<Self> {
        settings.transparent().map(|transparent| TransparentJson {
            outbound_listener_port: Some(transparent.outbound_port),
            dialed_directly: transparent.dialed_directly,
        })
    }
}
