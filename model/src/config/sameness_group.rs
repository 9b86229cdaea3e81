//! `sameness-group`: partitions and peers in which services of one name are the same service.

use super::Meta;
use super::service_router::at_most;
use crate::Invalid;
use crate::name::{GroupName, Partition, PeerName};
use std::collections::BTreeSet;

/// Most members of a group.
pub const MAX_MEMBERS: usize = 32;

/// A place in which the services of a group are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// A partition of this cluster.
    Partition(Partition),
    /// A peer, by its local name. It need not exist yet.
    Peer(PeerName),
}

/// Places that have the same services.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SamenessGroup {
    /// The partition whose group it is.
    pub partition: Partition,
    /// The name.
    pub name: GroupName,
    /// Whether every service of the partition without a failover of its own fails over to the members.
    pub default_for_failover: bool,
    /// Whether the partition itself comes before all members.
    pub include_local: bool,
    /// In the order in which they stand in for each other.
    pub members: Vec<Member>,
    /// The operator's pairs.
    pub meta: Meta,
}

impl SamenessGroup {
    /// The members in order, the partition itself first where it is included.
    pub fn ordered(&self) -> impl Iterator<Item = Member> + '_ {
        let local = Member::Partition(self.partition.clone());
        let first = self.include_local.then_some(local.clone());
        let skip = self.include_local.then_some(local);
        first.into_iter().chain(
            self.members
                .iter()
                .filter(move |member| Some(*member) != skip.as_ref())
                .cloned(),
        )
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        at_most("Members", self.members.len(), MAX_MEMBERS)?;
        let mut seen = BTreeSet::new();
        for (index, member) in self.members.iter().enumerate() {
            if !seen.insert(member) {
                return Err(Invalid::new(
                    format!("Members[{index}]"),
                    "is given more than once",
                ));
            }
        }
        let local = self.include_local || seen.contains(&Member::Partition(self.partition.clone()));
        if self.default_for_failover && !local {
            return Err(Invalid::new(
                "DefaultForFailover",
                "needs the partition itself among the Members, or IncludeLocal",
            ));
        }
        Ok(())
    }
}
