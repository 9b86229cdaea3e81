//! Twin of the tracing settings.

use peerway_model::ServiceAddress;
use peerway_model::config::Tracing;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct TracingRecord {
    address: String,
    port: u16,
    sampling: u32,
}

impl From<&Tracing> for TracingRecord {
    fn from(tracing: &Tracing) -> Self {
        let Tracing {
            collector: ServiceAddress { address, port },
            sampling,
        } = tracing;
        TracingRecord {
            address: address.clone(),
            port: *port,
            sampling: *sampling,
        }
    }
}

impl From<TracingRecord> for Tracing {
    fn from(record: TracingRecord) -> Self {
        Tracing {
            collector: ServiceAddress {
                address: record.address,
                port: record.port,
            },
            sampling: record.sampling,
        }
    }
}
