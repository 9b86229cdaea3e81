//! The targets, one file each.

pub mod certificate;
pub mod config;
pub mod dns;
pub mod hcl;
pub mod message;
pub mod names;
pub mod registration;
pub mod stored;
pub mod stream;
pub mod token;
pub mod xds;
