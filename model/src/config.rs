//! Config entries: what operators write to say how the mesh behaves.

mod entry;
mod exported_services;
mod pattern;
mod service_intentions;
mod settings;

pub use entry::{
    ConfigEntry, ConfigKey, ConfigKind, MAX_META_KEY_BYTES, MAX_META_PAIRS, MAX_META_VALUE_BYTES, Meta,
    validate_meta,
};
pub use exported_services::{Consumer, ExportedService, ExportedServices};
pub use pattern::Pattern;
pub use service_intentions::{Action, MAX_DESCRIPTION_BYTES, ServiceIntentions, Source};
pub use settings::{Mesh, Protocol, ProxyDefaults, ServiceDefaults};

#[cfg(test)]
mod tests;
