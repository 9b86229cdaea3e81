//! Small messages that everything is wrapped in.

use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress, TransportSocket, transport_socket};
use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source};
use envoy_types::pb::google::protobuf::{Duration, UInt32Value};
use envoy_types::util::pack_any;
use peerway_model::ServiceAddress;
use prost::{Message, Name};

pub(crate) fn address(address: &ServiceAddress) -> Address {
    Address {
        address: Some(AddressKind::SocketAddress(SocketAddress {
            address: address.address.clone(),
            port_specifier: Some(PortSpecifier::PortValue(u32::from(address.port))),
            ..SocketAddress::default()
        })),
    }
}

pub(crate) fn tls_socket<M: Message + Name>(context: M) -> TransportSocket {
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(pack_any(context))),
    }
}

pub(crate) fn inline(text: impl Into<String>) -> DataSource {
    DataSource {
        specifier: Some(data_source::Specifier::InlineString(text.into())),
        ..DataSource::default()
    }
}

/// The content of a file on the machine of the proxy.
pub(crate) fn file(path: &str) -> DataSource {
    DataSource {
        specifier: Some(data_source::Specifier::Filename(path.to_owned())),
        ..DataSource::default()
    }
}

pub(crate) fn number(value: u32) -> UInt32Value {
    UInt32Value { value }
}

/// A duration in Envoy's type; held at what fits, which no timeout of ours reaches.
pub(crate) fn millis(value: u64) -> Duration {
    Duration {
        seconds: i64::try_from(value / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(value % 1000 * 1_000_000).unwrap_or(0),
    }
}
