//! The HTTP API that Consul's clients speak (client facts, section 1; wire facts, section 8.1).
//!
//! [`router`] answers from the local snapshot and writes through the store's Writer. Reads may block: a client
//! passes the `X-Consul-Index` of its last answer as `index` and is answered when something that the answer
//! depends on has changed, or when `wait` is over. An index is the snapshot's revision plus one, because 0 means
//! "do not wait" to clients. Every answer shows the newest snapshot of this server, which on a cluster of one
//! server is everything that was committed.
//!
//! What it needs from rooms that it must not know comes through hatches: [`Leaves`], [`Rotations`],
//! [`Introductions`] and [`Receipts`].

mod agent;
mod answer;
mod ask;
mod authority;
mod blocking;
mod catalog;
mod chain;
mod config;
mod freshness;
mod gateway;
mod health;
mod history;
mod intention;
mod maintenance;
mod nodes;
mod parts;
mod peering;
mod reach;
mod receipt;
mod refusal;
mod registration;
mod rotation;
mod routes;
mod status;
mod token;
mod virtual_addresses;

pub use ask::MAX_BODY_BYTES;
pub use blocking::{DEFAULT_WAIT, MAX_WAIT, MAX_WAITING};
pub use parts::{
    EstablishRequest, Introductions, Leaves, Parts, Ports, Receipts, Revocation, Rotations, TokenIssue,
    TokenRequest,
};
pub use receipt::{MAX_SETTLING, RECHECK};
pub use routes::router;

#[cfg(test)]
mod tests;
