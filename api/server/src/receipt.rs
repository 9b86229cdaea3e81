//! `/v1/peerway/change` and `/v1/peerway/proxies`: who has taken a change, and how the proxies are.
//!
//! A change is named by the revision of its commit, which every answer to a write carries in a header.

use crate::answer::json;
use crate::ask::Ask;
use crate::blocking::wait_limit;
use crate::refusal::Refusal;
use crate::routes::App;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use peerway_api_types::receipt::{ProxyJson, ReceiptJson};
use peerway_state::Revision;
use std::time::Duration;

/// How often a query that waits for a change to settle looks again. A look costs one at every stream of a proxy.
pub const RECHECK: Duration = Duration::from_millis(100);
/// How many queries may wait for a change to settle; further ones are refused with 429.
pub const MAX_SETTLING: usize = 16;

/// What has become of a change. With `wait` the answer comes when everybody who is there has answered, or when the
/// time is up.
pub(crate) async fn change(
    State(app): State<App>,
    Path(id): Path<String>,
    ask: Ask,
) -> Result<Response, Refusal> {
    let change: Revision = id.parse().map_err(|_| {
        Refusal::bad(format!(
            "change: {id:?} is not the id of a change, give the number that the answer to the write has in X-Peerway-Change"
        ))
    })?;
    let newest = app.parts.reader.snapshot().revision();
    if change > newest {
        return Err(Refusal::absent(format!(
            "change {change} is not known here, the newest is {newest}"
        )));
    }
    let receipts = &app.parts.receipts;
    let mut receipt = receipts.receipt(change);
    if ask.first("wait").is_some() && !receipt.is_settled() {
        let limit = wait_limit(&ask)?;
        let _place = app.settling.try_acquire().map_err(|_| {
            Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("{MAX_SETTLING} queries wait for a change already, retry later or without wait"),
            )
        })?;
        let waited = tokio::time::timeout(limit, async {
            loop {
                tokio::time::sleep(RECHECK).await;
                let receipt = receipts.receipt(change);
                if receipt.is_settled() {
                    return receipt;
                }
            }
        });
        receipt = match waited.await {
            Ok(settled) => settled,
            Err(_) => receipts.receipt(change),
        };
    }
    json(&ask, &ReceiptJson::new(change, &receipt))
}

/// Every proxy that is registered or connected.
pub(crate) async fn proxies(State(app): State<App>, ask: Ask) -> Result<Response, Refusal> {
    let reports = app.parts.receipts.proxies();
    let shown: Vec<ProxyJson> = reports.iter().map(ProxyJson::from).collect();
    json(&ask, &shown)
}
