//! The demo: two clusters, real Envoys, a peering and a call across; also the stage that end-to-end tests use.
//!
//! [`stage`] runs processes, [`envoy`] asks Envoy's admin interface, [`cluster`] is one Peerway with its services, and
//! [`story`] tells what happens, step by step.

pub mod cluster;
pub mod envoy;
pub mod ports;
pub mod report;
pub mod stage;
pub mod story;
