//! The kinds of config entries and what they have in common.

use super::{ExportedServices, Mesh, ProxyDefaults, ServiceDefaults, ServiceIntentions};
use crate::Invalid;
use crate::name::{Namespace, Partition};
use std::collections::BTreeMap;
use std::fmt;

/// Most pairs of an entry's or a peering's `Meta`.
pub const MAX_META_PAIRS: usize = 64;
/// Longest key of `Meta`, in bytes.
pub const MAX_META_KEY_BYTES: usize = 128;
/// Longest value of `Meta`, in bytes.
pub const MAX_META_VALUE_BYTES: usize = 512;

/// Free-form pairs by an operator.
pub type Meta = BTreeMap<String, String>;

/// The kinds that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigKind {
    /// Which services go to which peers.
    ExportedServices,
    /// Who may call a service.
    ServiceIntentions,
    /// Settings of the whole mesh.
    Mesh,
    /// Defaults of all proxies.
    ProxyDefaults,
    /// Defaults of one service.
    ServiceDefaults,
}

impl ConfigKind {
    /// All kinds, in the order in which help texts list them.
    pub const ALL: [ConfigKind; 5] = [
        ConfigKind::ExportedServices,
        ConfigKind::Mesh,
        ConfigKind::ProxyDefaults,
        ConfigKind::ServiceDefaults,
        ConfigKind::ServiceIntentions,
    ];

    /// Consul's text.
    pub fn as_str(self) -> &'static str {
        match self {
            ConfigKind::ExportedServices => "exported-services",
            ConfigKind::ServiceIntentions => "service-intentions",
            ConfigKind::Mesh => "mesh",
            ConfigKind::ProxyDefaults => "proxy-defaults",
            ConfigKind::ServiceDefaults => "service-defaults",
        }
    }

    /// The kind of this text; the error lists the offered ones.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        ConfigKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| {
                let offered: Vec<&str> = ConfigKind::ALL.iter().map(|kind| kind.as_str()).collect();
                Invalid::new(
                    "Kind",
                    format!(
                        "unknown config entry kind {text:?}, offered are {}",
                        offered.join(", ")
                    ),
                )
            })
    }
}

impl fmt::Display for ConfigKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The key of an entry. `name` is text because some kinds allow `*` or have a fixed name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigKey {
    /// The kind.
    pub kind: ConfigKind,
    /// The partition.
    pub partition: Partition,
    /// The namespace as text, `*` for intentions on all namespaces; `default` for kinds without one.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ConfigKey {
    /// A key in the given partition and namespace.
    pub fn new(kind: ConfigKind, partition: &Partition, namespace: &str, name: &str) -> Self {
        ConfigKey {
            kind,
            partition: partition.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The one entry of a kind that exists once a partition: `mesh/mesh`, `proxy-defaults/global`, `exported-services/PARTITION`.
    pub fn singleton(kind: ConfigKind, partition: &Partition) -> Self {
        let name = match kind {
            ConfigKind::Mesh => "mesh",
            ConfigKind::ProxyDefaults => "global",
            _ => partition.as_str(),
        };
        ConfigKey::new(kind, partition, Namespace::default().as_str(), name)
    }
}

/// Any config entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ConfigEntry {
    /// Which services go to which peers.
    ExportedServices(ExportedServices),
    /// Who may call a service.
    ServiceIntentions(ServiceIntentions),
    /// Settings of the whole mesh.
    Mesh(Mesh),
    /// Defaults of all proxies.
    ProxyDefaults(ProxyDefaults),
    /// Defaults of one service.
    ServiceDefaults(ServiceDefaults),
}

impl ConfigEntry {
    /// The kind.
    pub fn kind(&self) -> ConfigKind {
        self.key().kind
    }

    /// The key that it is stored under.
    pub fn key(&self) -> ConfigKey {
        match self {
            ConfigEntry::ExportedServices(entry) => {
                ConfigKey::singleton(ConfigKind::ExportedServices, &entry.partition)
            }
            ConfigEntry::Mesh(entry) => ConfigKey::singleton(ConfigKind::Mesh, &entry.partition),
            ConfigEntry::ProxyDefaults(entry) => {
                ConfigKey::singleton(ConfigKind::ProxyDefaults, &entry.partition)
            }
            ConfigEntry::ServiceIntentions(entry) => ConfigKey {
                kind: ConfigKind::ServiceIntentions,
                partition: entry.partition.clone(),
                namespace: entry.namespace.to_string(),
                name: entry.name.to_string(),
            },
            ConfigEntry::ServiceDefaults(entry) => ConfigKey::new(
                ConfigKind::ServiceDefaults,
                &entry.partition,
                entry.namespace.as_str(),
                entry.name.as_str(),
            ),
        }
    }

    /// The operator's pairs.
    pub fn meta(&self) -> &Meta {
        match self {
            ConfigEntry::ExportedServices(entry) => &entry.meta,
            ConfigEntry::ServiceIntentions(entry) => &entry.meta,
            ConfigEntry::Mesh(entry) => &entry.meta,
            ConfigEntry::ProxyDefaults(entry) => &entry.meta,
            ConfigEntry::ServiceDefaults(entry) => &entry.meta,
        }
    }

    /// Refuses what the types alone cannot; the error carries the path of the field.
    pub fn validate(&self) -> Result<(), Invalid> {
        validate_meta(self.meta()).map_err(|error| error.within("Meta"))?;
        match self {
            ConfigEntry::ExportedServices(entry) => entry.validate(),
            ConfigEntry::ServiceIntentions(entry) => entry.validate(),
            ConfigEntry::ProxyDefaults(entry) => entry.validate(),
            ConfigEntry::Mesh(_) | ConfigEntry::ServiceDefaults(_) => Ok(()),
        }
    }
}

/// Refuses more pairs, or longer ones, than Consul accepts (wire facts, section 6.2).
pub fn validate_meta(meta: &Meta) -> Result<(), Invalid> {
    if meta.len() > MAX_META_PAIRS {
        return Err(Invalid::new(
            "",
            format!("has {} pairs, at most {MAX_META_PAIRS} are allowed", meta.len()),
        ));
    }
    for (key, value) in meta {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if key.is_empty() || key.len() > MAX_META_KEY_BYTES || !key.bytes().all(allowed) {
            return Err(Invalid::new(
                "",
                format!("key {key:?} must be 1 to {MAX_META_KEY_BYTES} letters, digits, '-' or '_'"),
            ));
        }
        if key.starts_with("consul-") {
            return Err(Invalid::new(
                "",
                format!("key {key:?} uses the reserved prefix 'consul-'"),
            ));
        }
        if value.len() > MAX_META_VALUE_BYTES {
            return Err(Invalid::new(
                "",
                format!("value of {key:?} is longer than {MAX_META_VALUE_BYTES} bytes"),
            ));
        }
    }
    Ok(())
}
