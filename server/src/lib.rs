//! The composition root: settings, wiring, and the order of start and stop.

pub mod settings;

pub use settings::{Overrides, Settings, SettingsError};

/// Placeholder until the rooms are wired.
///
/// # Errors
/// Never.
pub fn run(_settings: Settings) -> Result<(), SettingsError> {
    Ok(())
}
