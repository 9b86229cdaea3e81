//! `/v1/peerway/virtual-addresses`: where the services of the mesh are dialled by clients of transparent sidecars.

use crate::answer::indexed;
use crate::ask::Ask;
use crate::refusal::Refusal;
use crate::routes::App;
use axum::extract::State;
use axum::response::Response;
use peerway_api_types::catalog::VirtualAddressJson;
use peerway_state::Topic;

/// All of a partition, with those of its peers' services.
pub(crate) async fn list(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let partition = ask.partition();
    let snapshot = app.watch(&ask, |_| vec![Topic::VirtualAddresses]).await?;
    let all: Vec<VirtualAddressJson> = snapshot
        .virtual_addresses()
        .filter(|own| own.service.partition == partition)
        .map(|own| VirtualAddressJson::from(&*own.row))
        .collect();
    indexed(&ask, &snapshot, &all)
}
