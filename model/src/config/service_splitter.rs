//! `service-splitter`: which share of the requests for a service goes where (xDS facts, section 6.5).

use super::service_router::at_most;
use super::{Destination, HeaderEdits, Meta};
use crate::Invalid;
use crate::name::{Namespace, Partition, ServiceName};
use std::collections::BTreeSet;

/// Most splits of a splitter.
pub const MAX_SPLITS: usize = 64;
/// All of the requests, in hundredths of a percent.
pub const WHOLE: u32 = 10_000;

/// A share of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Split {
    /// In hundredths of a percent: 100 % is [`WHOLE`].
    pub weight: u32,
    /// Where it goes.
    pub to: Destination,
    /// Headers towards the service.
    pub request_headers: HeaderEdits,
    /// Headers towards the caller.
    pub response_headers: HeaderEdits,
}

/// The shares of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceSplitter {
    /// The partition.
    pub partition: Partition,
    /// The namespace.
    pub namespace: Namespace,
    /// The service.
    pub name: ServiceName,
    /// Together 100 %.
    pub splits: Vec<Split>,
    /// The operator's pairs.
    pub meta: Meta,
}

impl ServiceSplitter {
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        if self.splits.is_empty() {
            return Err(Invalid::new("Splits", "needs at least one split"));
        }
        at_most("Splits", self.splits.len(), MAX_SPLITS)?;
        let mut seen = BTreeSet::new();
        for (index, split) in self.splits.iter().enumerate() {
            let at = format!("Splits[{index}]");
            if split.weight > WHOLE {
                return Err(Invalid::new(format!("{at}.Weight"), "must be from 0 to 100"));
            }
            split.to.validate().map_err(|error| error.within(&at))?;
            let mut to = split.to.clone();
            to.service.get_or_insert_with(|| self.name.clone());
            to.namespace.get_or_insert_with(|| self.namespace.clone());
            if to.peer.is_none() {
                to.partition.get_or_insert_with(|| self.partition.clone());
            }
            if !seen.insert(to) {
                return Err(Invalid::new(
                    at,
                    "leads where an earlier split leads, add its Weight to that one",
                ));
            }
            split
                .request_headers
                .validate()
                .map_err(|error| error.within(&format!("{at}.RequestHeaders")))?;
            split
                .response_headers
                .validate()
                .map_err(|error| error.within(&format!("{at}.ResponseHeaders")))?;
        }
        let sum: u32 = self.splits.iter().map(|split| split.weight).sum();
        if sum != WHOLE {
            return Err(Invalid::new(
                "Splits",
                format!(
                    "the weights add up to {}.{:02}, must be 100",
                    sum / 100,
                    sum % 100
                ),
            ));
        }
        Ok(())
    }
}
