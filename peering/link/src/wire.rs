//! The protobuf messages of a peering, written by hand from the field tables of the wire facts (sections 2.4, 3.1
//! and 4), and their conversion to and from the inner types. Fields that no one reads are not declared: protobuf
//! skips what it does not know.

mod decode;
mod encode;
mod messages;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub(crate) use decode::message as decode;
pub(crate) use encode::message as encode;
pub(crate) use messages::{ExchangeSecretRequest, ExchangeSecretResponse, ReplicationMessage};

use peerway_peering_protocol::Message;
use prost::Message as _;

/// A message as its bytes, without the length in front that gRPC adds.
pub fn to_bytes(message: &Message) -> Vec<u8> {
    encode(message).encode_to_vec()
}

/// The message of these bytes.
///
/// # Errors
/// A clause when they are not one.
pub fn from_bytes(bytes: &[u8]) -> Result<Message, String> {
    ReplicationMessage::decode(bytes)
        .map(decode)
        .map_err(|error| error.to_string())
}
