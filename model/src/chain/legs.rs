//! Where requests go from a step of a chain, and in which shares.

use super::{Chain, MAX_LEGS, Node, NodeId, Target};
use crate::config::{HeaderEdits, WHOLE};
use std::collections::BTreeMap;

/// One leg of a route: a target and its share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leg {
    /// Where.
    pub target: Target,
    /// Of a whole of 10,000; never 0.
    pub weight: u32,
    /// Headers towards the service.
    pub request_headers: HeaderEdits,
    /// Headers towards the caller.
    pub response_headers: HeaderEdits,
}

type Shares = BTreeMap<(Target, HeaderEdits, HeaderEdits), f64>;

/// There are more than [`MAX_LEGS`].
pub(super) struct TooMany;

impl Chain {
    /// Where requests go from a splitter or resolver: the shares of splitters of splitters are multiplied, what comes
    /// to nothing is left out, and legs that are the same are added up. The weights add up to 10,000. Empty for a
    /// step that the chain does not have, and for a router.
    pub fn legs(&self, from: &NodeId) -> Vec<Leg> {
        let shares = self.shares(from, &mut BTreeMap::new()).unwrap_or_default();
        let mut legs: Vec<(Leg, f64)> = shares
            .into_iter()
            .map(|((target, request_headers, response_headers), share)| {
                let exact = share * f64::from(WHOLE);
                let weight = whole_part(exact);
                let leg = Leg {
                    target,
                    weight,
                    request_headers,
                    response_headers,
                };
                (leg, exact - f64::from(weight))
            })
            .collect();
        settle(&mut legs);
        legs.into_iter()
            .map(|(leg, _)| leg)
            .filter(|leg| leg.weight > 0)
            .collect()
    }

    /// The shares of one at a step. Each step is looked at once, whatever leads to it, so that splits of splits of
    /// splits do not grow beyond bounds.
    pub(super) fn shares(
        &self,
        at: &NodeId,
        known: &mut BTreeMap<NodeId, Shares>,
    ) -> Result<Shares, TooMany> {
        if let Some(shares) = known.get(at) {
            return Ok(shares.clone());
        }
        let mut shares = Shares::new();
        match self.nodes.get(at) {
            Some(Node::Splitter(splits)) => {
                for split in splits.iter().filter(|split| split.written.weight > 0) {
                    let part = f64::from(split.written.weight) / f64::from(WHOLE);
                    for ((target, request, response), share) in self.shares(&split.next, known)? {
                        let edits = (
                            split.written.request_headers.with(&request),
                            split.written.response_headers.with(&response),
                        );
                        *shares.entry((target, edits.0, edits.1)).or_default() += part * share;
                    }
                    if shares.len() > MAX_LEGS {
                        return Err(TooMany);
                    }
                }
            }
            Some(Node::Resolver(resolver)) => {
                let plain = HeaderEdits::default();
                shares.insert((resolver.target.clone(), plain.clone(), plain), 1.0);
            }
            Some(Node::Router(_)) | None => {}
        }
        known.insert(at.clone(), shares.clone());
        Ok(shares)
    }
}

/// The largest whole number up to `exact`, which is between 0 and [`WHOLE`]; a little below a whole number, as
/// multiplying leaves it, counts as that one.
fn whole_part(exact: f64) -> u32 {
    let (mut low, mut high) = (0, WHOLE);
    while low < high {
        let middle = (low + high).div_ceil(2);
        match f64::from(middle) <= exact + 1e-6 {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    low
}

/// Gives what rounding took away to those from whom it took most.
fn settle(legs: &mut [(Leg, f64)]) {
    let given: u32 = legs.iter().map(|(leg, _)| leg.weight).sum();
    let mut order: Vec<usize> = (0..legs.len()).collect();
    order.sort_by(|a, b| legs[*b].1.total_cmp(&legs[*a].1).then(a.cmp(b)));
    for (index, _) in order.iter().cycle().zip(given..WHOLE) {
        legs[*index].0.weight += 1;
    }
}
