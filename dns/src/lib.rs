//! Service names to answers: Consul's DNS names, answered from the newest snapshot.
//!
//! [`answer`] and [`respond`] are pure: a snapshot, a zone, a question and a seed in, an answer out. [`serve`] is the
//! thin part with sockets. Nothing is asked of anybody else: a name outside the zone is refused.

mod answer;
mod asked;
mod find;
mod metrics;
mod record;
mod serve;
mod service;
mod wire;
mod zone;

pub use answer::{Answer, Known, Question, answer};
pub use record::DnsName;
pub use serve::{MAX_QUERY_BYTES, Parts, Stale, serve};
pub use wire::{MAX_UDP_BYTES, MIN_UDP_BYTES, Reply, Transport, respond};
pub use zone::{Domain, MAX_TTL, ServiceTtls, Soa, Zone};

#[cfg(test)]
mod tests;
