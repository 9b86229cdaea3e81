//! To be built.

pub mod hcl;
