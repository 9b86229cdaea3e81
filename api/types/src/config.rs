//! Config entries as JSON (xDS facts, section 6).

mod access_logs;
mod api_gateway;
mod edge_route;
mod ingress;
mod jwt_requirement;
mod mesh_tls;
mod permission;
mod read;
mod status;
mod tracing;
mod upstreams;
mod write;

pub(crate) use jwt_requirement::jwt_json;
pub(crate) use permission::put_verdict;
pub(crate) use read::strict_tls_only;
pub use read::{config_entry_fields, config_entry_from_json};
pub use status::put_status;
pub use write::{ConfigIndexes, config_entry_to_json};
pub(crate) use write::{by_locality, load_balancer, route, split, subset, weight};
