//! Views of small worlds, and that upkeep never disagrees with building from nothing.

mod authorization;
mod chains;
mod cost;
mod edge;
mod entries;
mod exposed;
mod failover;
mod gateway;
mod histories;
mod http;
mod locality;
mod outside;
mod render;
mod settings;
mod sidecar;
mod standing;
mod telemetry;
mod transparent;
mod world;
