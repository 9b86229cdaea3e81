//! `service-resolver`: which instances a service is, and what stands in for them (xDS facts, section 6.5).

use super::service_router::{at_most, bounded, short};
use super::{ByLocality, Destination, LoadBalancer, Meta};
use crate::filter::Filter;
use crate::name::{Namespace, Partition, ServiceName, SubsetName};
use crate::{GroupName, Invalid};
use std::collections::BTreeMap;

/// Most subsets of a resolver.
pub const MAX_SUBSETS: usize = 64;
/// Most targets that one failover names.
pub const MAX_FAILOVER_TARGETS: usize = 32;
/// The key of the failover of every subset.
pub const ANY_SUBSET: &str = "*";

/// Some of the instances of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Subset {
    /// Which; `None` means all.
    pub filter: Option<Filter>,
    /// Whether an instance with a warning is left out too.
    pub only_passing: bool,
}

/// What stands in when no instance is well.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Failover {
    /// In this order.
    Targets(Vec<Destination>),
    /// The members of a sameness group, in its order.
    Group(GroupName),
}

/// How a service becomes instances.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceResolver {
    /// The partition.
    pub partition: Partition,
    /// The namespace.
    pub namespace: Namespace,
    /// The service.
    pub name: ServiceName,
    /// The subset of those who name none.
    pub default_subset: Option<SubsetName>,
    /// The subsets.
    pub subsets: BTreeMap<SubsetName, Subset>,
    /// Another service instead of this one.
    pub redirect: Option<Destination>,
    /// By subset; `*` for every one that has none of its own. The empty key is the service without a subset.
    pub failover: BTreeMap<String, Failover>,
    /// How long making a connection may take, in milliseconds.
    pub connect_timeout_ms: Option<u64>,
    /// How long an answer may take, in milliseconds.
    pub request_timeout_ms: Option<u64>,
    /// How an instance is chosen.
    pub load_balancer: Option<LoadBalancer>,
    /// Whether those that are near are preferred; `None` means as `proxy-defaults` say.
    pub by_locality: Option<ByLocality>,
    /// The operator's pairs.
    pub meta: Meta,
}

impl ServiceResolver {
    /// The failover of a subset.
    pub fn failover_of(&self, subset: Option<&SubsetName>) -> Option<&Failover> {
        let name = subset.map_or("", SubsetName::as_str);
        self.failover.get(name).or_else(|| self.failover.get(ANY_SUBSET))
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        at_most("Subsets", self.subsets.len(), MAX_SUBSETS)?;
        if let Some(name) = &self.default_subset {
            self.has("DefaultSubset", name)?;
        }
        if self.redirect.is_some() && !self.failover.is_empty() {
            return Err(Invalid::new(
                "Failover",
                "does not go together with Redirect: write it into the resolver of the other service",
            ));
        }
        if self.redirect.is_some() && self.by_locality.is_some() {
            return Err(Invalid::new(
                "PrioritizeByLocality",
                "does not go together with Redirect: write it into the resolver of the other service",
            ));
        }
        if let Some(redirect) = &self.redirect {
            self.redirect(redirect)
                .map_err(|error| error.within("Redirect"))?;
        }
        for (name, failover) in &self.failover {
            bounded("Failover", name)?;
            let at = format!("Failover[{name:?}]");
            if name != ANY_SUBSET && !name.is_empty() {
                let subset = SubsetName::new(name).map_err(|error| error.within(&at))?;
                self.has(&at, &subset)?;
            }
            if let Failover::Targets(targets) = failover {
                self.targets(name, targets).map_err(|error| error.within(&at))?;
            }
        }
        short("ConnectTimeout", self.connect_timeout_ms)?;
        short("RequestTimeout", self.request_timeout_ms)?;
        match &self.load_balancer {
            None => Ok(()),
            Some(balancer) => balancer.validate().map_err(|error| error.within("LoadBalancer")),
        }
    }

    fn has(&self, at: &str, subset: &SubsetName) -> Result<(), Invalid> {
        if self.subsets.contains_key(subset) {
            return Ok(());
        }
        Err(Invalid::new(
            at,
            format!("there is no subset {subset:?} in Subsets, add it"),
        ))
    }

    fn redirect(&self, redirect: &Destination) -> Result<(), Invalid> {
        redirect.validate()?;
        if redirect.is_empty() {
            return Err(Invalid::new("", "is empty, name a Service or remove it"));
        }
        if redirect.service.is_none() && redirect.peer.is_some() {
            return Err(Invalid::new("Service", "is required with Peer"));
        }
        if redirect.service.is_none() && redirect.subset.is_some() {
            return Err(Invalid::new("Service", "is required with ServiceSubset"));
        }
        let same = redirect.peer.is_none()
            && redirect.service.as_ref().is_none_or(|name| *name == self.name)
            && redirect
                .namespace
                .as_ref()
                .is_none_or(|name| *name == self.namespace)
            && redirect
                .partition
                .as_ref()
                .is_none_or(|name| *name == self.partition);
        if same {
            return Err(Invalid::new(
                "Service",
                "is the service itself, use DefaultSubset",
            ));
        }
        Ok(())
    }

    fn targets(&self, name: &str, targets: &[Destination]) -> Result<(), Invalid> {
        if targets.is_empty() {
            return Err(Invalid::new("Targets", "needs at least one target"));
        }
        at_most("Targets", targets.len(), MAX_FAILOVER_TARGETS)?;
        for (index, target) in targets.iter().enumerate() {
            let at = format!("Targets[{index}]");
            target.validate().map_err(|error| error.within(&at))?;
            let own = target.peer.is_none()
                && target
                    .service
                    .as_ref()
                    .is_none_or(|service| *service == self.name)
                && target.namespace.as_ref().is_none_or(|own| *own == self.namespace)
                && target.partition.as_ref().is_none_or(|own| *own == self.partition);
            match &target.subset {
                Some(subset) if own => self.has(&format!("{at}.ServiceSubset"), subset)?,
                None if own && name.is_empty() => {
                    return Err(Invalid::new(at, "is the service itself, name another one"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
