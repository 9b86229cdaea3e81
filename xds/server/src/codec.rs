//! Messages on the wire. Requests are decoded by prost, responses are put together from bytes that exist already.

use crate::piece::Piece;
use bytes::{BufMut, Bytes, BytesMut};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use peerway_xds_protocol::DeltaResponse;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// Field numbers of `envoy.service.discovery.v3.DeltaDiscoveryResponse`.
mod response {
    pub(super) const RESOURCES: u32 = 2;
    pub(super) const TYPE_URL: u32 = 4;
    pub(super) const NONCE: u32 = 5;
    pub(super) const REMOVED_RESOURCES: u32 = 6;
}

/// Field numbers of `envoy.service.discovery.v3.Resource`.
mod resource {
    pub(super) const VERSION: u32 = 1;
    pub(super) const RESOURCE: u32 = 2;
    pub(super) const NAME: u32 = 3;
}

/// The encoded `DeltaDiscoveryResponse`.
pub(crate) fn frame(message: &DeltaResponse<Piece>) -> Bytes {
    let url = message.kind.type_url();
    let mut length =
        field_len(response::TYPE_URL, url.len()) + field_len(response::NONCE, message.nonce.len());
    length += message
        .resources
        .iter()
        .map(|piece| field_len(response::RESOURCES, inner_len(piece)))
        .sum::<usize>();
    length += message
        .removed
        .iter()
        .map(|name| field_len(response::REMOVED_RESOURCES, name.len()))
        .sum::<usize>();
    let mut out = BytesMut::with_capacity(length);
    for piece in &message.resources {
        encode_key(response::RESOURCES, WireType::LengthDelimited, &mut out);
        encode_varint(inner_len(piece) as u64, &mut out);
        let Piece(piece) = piece;
        field(resource::VERSION, piece.version.as_bytes(), &mut out);
        field(resource::RESOURCE, &piece.bytes, &mut out);
        field(resource::NAME, piece.name.as_bytes(), &mut out);
    }
    field(response::TYPE_URL, url.as_bytes(), &mut out);
    field(response::NONCE, message.nonce.as_bytes(), &mut out);
    for name in &message.removed {
        field(response::REMOVED_RESOURCES, name.as_bytes(), &mut out);
    }
    out.freeze()
}

fn inner_len(Piece(piece): &Piece) -> usize {
    field_len(resource::VERSION, piece.version.len())
        + field_len(resource::RESOURCE, piece.bytes.len())
        + field_len(resource::NAME, piece.name.len())
}

fn field_len(tag: u32, bytes: usize) -> usize {
    key_len(tag) + encoded_len_varint(bytes as u64) + bytes
}

fn field(tag: u32, bytes: &[u8], out: &mut BytesMut) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.put_slice(bytes);
}

/// Decodes requests, passes framed responses through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeltaCodec;

impl Codec for DeltaCodec {
    type Encode = Bytes;
    type Decode = DeltaDiscoveryRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for DeltaCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for DeltaCodec {
    type Item = DeltaDiscoveryRequest;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<DeltaDiscoveryRequest>, Status> {
        DeltaDiscoveryRequest::decode(bytes).map(Some).map_err(|error| {
            Status::invalid_argument(format!("the request is not a DeltaDiscoveryRequest: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
    use peerway_mesh::{Endpoints, Fragment};
    use peerway_xds_protocol::Kind;
    use peerway_xds_translate::{Dialect, translate};

    #[test]
    fn a_framed_response_is_what_prost_reads() {
        let pieces = ["a", "b"].map(|name| {
            let fragment = Fragment::Endpoints(Endpoints {
                cluster: name.to_owned(),
                members: Vec::new(),
            });
            Piece::new(translate(&fragment, Dialect::From1_36), 0)
        });
        let framed = frame(&DeltaResponse {
            kind: Kind::Endpoints,
            nonce: "0000002a".to_owned(),
            resources: pieces.to_vec(),
            removed: vec!["gone".to_owned(), String::new()],
        });
        let read = DeltaDiscoveryResponse::decode(framed.clone()).unwrap();
        assert_eq!(read.encoded_len(), framed.len(), "nothing was skipped as unknown");
        assert_eq!(
            (read.type_url.as_str(), read.nonce.as_str()),
            (Kind::Endpoints.type_url(), "0000002a")
        );
        assert_eq!(read.removed_resources, ["gone", ""]);
        for (resource, piece) in read.resources.iter().zip(&pieces) {
            assert_eq!(
                (&resource.name, &resource.version),
                (&piece.0.name, &piece.0.version)
            );
            let any = resource.resource.as_ref().unwrap();
            assert_eq!(any.type_url, Kind::Endpoints.type_url());
            assert_eq!(any.encode_to_vec(), piece.0.bytes);
        }
        assert_eq!(read.resources.len(), 2);
    }
}
