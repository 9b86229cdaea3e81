//! The protobuf messages of a peering, written by hand from the field tables of the wire facts (sections 2.4, 3.1
//! and 4), and their conversion to and from the inner types. Fields that no one reads are not declared: protobuf
//! skips what it does not know.

mod decode;
mod encode;
mod messages;
#[cfg(test)]
mod tests;

pub(crate) use decode::message as decode;
pub(crate) use encode::message as encode;
pub(crate) use messages::{ExchangeSecretRequest, ExchangeSecretResponse, ReplicationMessage};
