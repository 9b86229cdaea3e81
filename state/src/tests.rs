//! What holds for every transaction and every history of them.

mod cascades;
mod chains;
mod edge;
mod fixtures;
mod histories;
mod observation;
mod refusals;
mod tokens;
mod topics;

mod virtual_addresses;
