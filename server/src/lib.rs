//! The composition root: settings, wiring, and the order of start and stop.

mod hatches;
mod listen;
mod receipts;
mod rotation;
mod run;
mod seed;
pub mod settings;
mod tls;

pub use run::{RunError, run};
pub use settings::{Overrides, Settings, SettingsError};
