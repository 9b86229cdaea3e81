//! Peerings as JSON, and the bodies that make them (wire facts, section 8.1).

use crate::fields::Fields;
use crate::freshness::FreshnessJson;
use crate::moment::rfc3339;
use crate::token::{TokenInfoJson, TokenTerms, token_terms};
use peerway_model::config::Meta;
use peerway_model::{Invalid, Partition, PeerName, Peering, PeeringState, Secret, StreamStatus};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The body of `POST /v1/peering/token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBody {
    /// The name that the peer will have here.
    pub peer: PeerName,
    /// The partition that the peering belongs to.
    pub partition: Partition,
    /// The operator's pairs.
    pub meta: Meta,
    /// `host:port` to put into the token instead of this cluster's own addresses.
    pub external_addresses: Vec<String>,
    /// What Consul's tokens do not have.
    pub terms: TokenTerms,
}

/// The body of `POST /v1/peering/establish`. No `Debug`: the token is a secret.
#[derive(Clone)]
pub struct EstablishBody {
    /// The name that the peer will have here.
    pub peer: PeerName,
    /// The partition that the peering belongs to.
    pub partition: Partition,
    /// The operator's pairs.
    pub meta: Meta,
    /// As the other cluster made it.
    pub token: Secret,
}

/// Reads the body of `POST /v1/peering/token`. `partition` is that of a body that names none.
///
/// # Errors
/// What is wrong, missing or unknown, with its path.
pub fn token_body_from_json(value: &Value, partition: &Partition) -> Result<TokenBody, Invalid> {
    let mut fields = Fields::new("", value)?;
    let body = TokenBody {
        peer: peer_name(&mut fields)?,
        partition: partition_of(&mut fields, partition)?,
        meta: fields.meta()?,
        external_addresses: fields.texts("ServerExternalAddresses")?,
        terms: token_terms(&mut fields)?,
    };
    fields.finish()?;
    Ok(body)
}

/// Reads the body of `POST /v1/peering/establish`. `partition` is that of a body that names none.
///
/// # Errors
/// What is wrong, missing or unknown, with its path.
pub fn establish_body_from_json(value: &Value, partition: &Partition) -> Result<EstablishBody, Invalid> {
    let mut fields = Fields::new("", value)?;
    let body = EstablishBody {
        peer: peer_name(&mut fields)?,
        partition: partition_of(&mut fields, partition)?,
        meta: fields.meta()?,
        token: Secret::new(fields.required("PeeringToken")?),
    };
    fields.finish()?;
    Ok(body)
}

fn peer_name(fields: &mut Fields<'_>) -> Result<PeerName, Invalid> {
    let at = fields.at("PeerName");
    PeerName::new(&fields.required("PeerName")?).map_err(|error| error.within(&at))
}

fn partition_of(fields: &mut Fields<'_>, default: &Partition) -> Result<Partition, Invalid> {
    Ok(fields
        .parsed("Partition", Partition::new)?
        .unwrap_or_else(|| default.clone()))
}

/// The answer of `POST /v1/peering/token`. No `Debug`: the token is a secret.
#[derive(Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TokenJson {
    /// Base64; whoever has it can become the peer.
    pub peering_token: String,
    /// By what the token is spoken of. Not in Consul, like the rest.
    #[serde(rename = "AccessorID")]
    pub accessor_id: String,
    /// Until when it can be used, RFC 3339; absent when that is not limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<String>,
}

impl TokenJson {
    /// A token with its accessor, and until when it can be used in unix milliseconds.
    pub fn new(peering_token: String, accessor_id: String, expires_at: Option<u64>) -> Self {
        TokenJson {
            peering_token,
            accessor_id,
            expiration_time: expires_at.and_then(rfc3339),
        }
    }
}

/// A peering in answers. Secrets and manual addresses never show.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PeeringJson {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    meta: BTreeMap<String, String>,
    state: &'static str,
    #[serde(rename = "PeerID", skip_serializing_if = "Option::is_none")]
    peer_id: Option<String>,
    #[serde(rename = "PeerCAPems", skip_serializing_if = "Vec::is_empty")]
    peer_ca_pems: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_server_name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    peer_server_addresses: Vec<String>,
    stream_status: StreamStatusJson,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<TokenInfoJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    withheld_services: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    freshness: Option<FreshnessJson>,
    create_index: u64,
    modify_index: u64,
    remote: RemoteJson,
}

/// What is known of the stream; the last two fields are not in Consul.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StreamStatusJson {
    imported_services: Vec<String>,
    exported_services: Vec<String>,
    last_heartbeat: Option<String>,
    last_receive: Option<String>,
    last_send: Option<String>,
    last_applied: Option<String>,
    last_error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RemoteJson {
    partition: String,
    datacenter: String,
}

impl PeeringJson {
    /// `peering` with its revisions and what is known of its stream. A peering that is being deleted or was
    /// terminated keeps saying so, whatever its stream does. With a line for each service if `services` says so.
    pub fn new(
        peering: &Peering,
        status: Option<&StreamStatus>,
        services: bool,
        create_index: u64,
        modify_index: u64,
    ) -> Self {
        let state = match (peering.state, status) {
            (PeeringState::Deleting | PeeringState::Terminated, _) | (_, None) => peering.state,
            (_, Some(status)) => status.state,
        };
        let partition = &peering.key.partition;
        PeeringJson {
            id: peering.id.clone(),
            name: peering.key.name.to_string(),
            partition: (!partition.is_default()).then(|| partition.to_string()),
            deleted_at: peering.deleted_at.and_then(rfc3339),
            meta: peering.meta.clone(),
            state: state.as_str(),
            peer_id: peering.remote_id.clone(),
            peer_ca_pems: peering.ca_pems.clone(),
            peer_server_name: peering.server_name.clone(),
            peer_server_addresses: peering.server_addresses.clone(),
            stream_status: status.map(StreamStatusJson::from).unwrap_or_default(),
            tokens: Vec::new(),
            withheld_services: Vec::new(),
            freshness: status
                .and_then(|status| status.freshness.as_ref())
                .map(|freshness| FreshnessJson::new(freshness, services)),
            create_index,
            modify_index,
            remote: RemoteJson {
                partition: peering.remote.partition.clone(),
                datacenter: peering.remote.datacenter.clone(),
            },
        }
    }
}

impl PeeringJson {
    /// The same with what its tokens are, and what they keep from the peer though it is exported to it. Neither is in
    /// Consul.
    #[must_use]
    pub fn with_tokens(self, tokens: Vec<TokenInfoJson>, withheld_services: Vec<String>) -> Self {
        PeeringJson {
            tokens,
            withheld_services,
            ..self
        }
    }
}

impl From<&StreamStatus> for StreamStatusJson {
    fn from(status: &StreamStatus) -> Self {
        StreamStatusJson {
            imported_services: status.imported.clone(),
            exported_services: status.exported.clone(),
            last_heartbeat: status.last_heartbeat.and_then(rfc3339),
            last_receive: status.last_receive.and_then(rfc3339),
            last_send: status.last_send.and_then(rfc3339),
            last_applied: status.last_applied.and_then(rfc3339),
            last_error: status.last_error.clone(),
        }
    }
}
