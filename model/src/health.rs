//! Checks and the one status that several of them amount to.

use crate::Invalid;
use crate::key::CheckKey;
use crate::name::{InstanceId, Namespace, ServiceName};

/// The result of a check, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckStatus {
    /// All is well.
    Passing,
    /// Degraded, still serving.
    Warning,
    /// Not serving.
    Critical,
    /// Taken out by an operator.
    Maintenance,
}

impl CheckStatus {
    /// Consul's text.
    pub fn as_str(self) -> &'static str {
        match self {
            CheckStatus::Passing => "passing",
            CheckStatus::Warning => "warning",
            CheckStatus::Critical => "critical",
            CheckStatus::Maintenance => "maintenance",
        }
    }

    /// The status of this text.
    pub fn parse(text: &str) -> Option<Self> {
        [
            CheckStatus::Passing,
            CheckStatus::Warning,
            CheckStatus::Critical,
            CheckStatus::Maintenance,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
    }
}

/// Most instances that a [`HealthSummary`] counts.
pub const MAX_COUNTED: u32 = 1_000_000;

/// How the instances behind a service are, in numbers: what an exporter tells an importer, who sees only gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HealthSummary {
    /// Instances that traffic may go to.
    pub healthy: u32,
    /// All instances; at most [`MAX_COUNTED`].
    pub total: u32,
    /// The weights of the healthy ones together; at least 1 for each of them.
    pub weight: u32,
    /// Instances that an operator is taking out; not among the healthy ones.
    pub draining: u32,
}

impl HealthSummary {
    /// The summary with one more instance; `weight` is what it has in its status.
    #[must_use]
    pub fn with(self, status: CheckStatus, weight: u32) -> Self {
        let serves = status <= CheckStatus::Warning && weight > 0;
        let more = |count: u32, one: bool| count.saturating_add(u32::from(one)).min(MAX_COUNTED);
        HealthSummary {
            healthy: more(self.healthy, serves),
            total: more(self.total, true),
            weight: self.weight.saturating_add(if serves { weight } else { 0 }),
            draining: more(self.draining, status == CheckStatus::Maintenance),
        }
    }

    /// Checks one that somebody else counted.
    ///
    /// # Errors
    /// When the numbers cannot be true together.
    pub fn validate(&self) -> Result<(), Invalid> {
        let refuse = |field: &str, problem: String| Err(Invalid::new(field, problem));
        if self.total > MAX_COUNTED {
            return refuse(
                "Total",
                format!("is {}, at most {MAX_COUNTED} are counted", self.total),
            );
        }
        if u64::from(self.healthy) + u64::from(self.draining) > u64::from(self.total) {
            return refuse("Total", "is less than Healthy and Draining together".to_owned());
        }
        if self.weight < self.healthy || (self.healthy == 0 && self.weight > 0) {
            return refuse("Weight", "is not that of the healthy instances".to_owned());
        }
        Ok(())
    }
}

/// The health of a node (`service` is `None`) or of one instance on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    /// Origin, partition, node and check id.
    pub key: CheckKey,
    /// For people.
    pub name: String,
    /// The result.
    pub status: CheckStatus,
    /// Written by people.
    pub notes: String,
    /// Written by the check.
    pub output: String,
    /// The instance that it belongs to.
    pub instance: Option<InstanceId>,
    /// The service of that instance.
    pub service: Option<(Namespace, ServiceName)>,
}

/// The id of the check by which an operator takes a node out (Consul's).
pub const NODE_MAINTENANCE: &str = "_node_maintenance";
/// The same for an instance, before its id.
pub const SERVICE_MAINTENANCE: &str = "_service_maintenance:";

/// One status for many checks (wire facts, section 5.4): maintenance wins outright, else the worst. `None` without
/// checks, which counts as passing.
pub fn flatten<'a>(checks: impl IntoIterator<Item = &'a Check>) -> Option<CheckStatus> {
    checks
        .into_iter()
        .map(|check| {
            let id = check.key.id.as_str();
            let maintenance = id == NODE_MAINTENANCE || id.starts_with(SERVICE_MAINTENANCE);
            if maintenance {
                CheckStatus::Maintenance
            } else {
                check.status
            }
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{NodeKey, Origin};
    use crate::name::{CheckId, NodeName, Partition};

    fn check(id: &str, status: CheckStatus) -> Check {
        let node = NodeKey {
            origin: Origin::Local,
            partition: Partition::default(),
            name: NodeName::new("n").unwrap(),
        };
        Check {
            key: CheckKey {
                node,
                id: CheckId::new(id).unwrap(),
            },
            name: String::new(),
            status,
            notes: String::new(),
            output: String::new(),
            instance: None,
            service: None,
        }
    }

    #[test]
    fn a_summary_counts_whom_traffic_may_go_to() {
        use CheckStatus::{Critical, Maintenance, Passing, Warning};
        let all = [
            (Passing, 5),
            (Warning, 2),
            (Warning, 0),
            (Critical, 9),
            (Maintenance, 9),
        ];
        let sum = all
            .into_iter()
            .fold(HealthSummary::default(), |sum, (status, weight)| {
                sum.with(status, weight)
            });
        let expected = HealthSummary {
            healthy: 2,
            total: 5,
            weight: 7,
            draining: 1,
        };
        assert_eq!(sum, expected);
        assert_eq!(sum.validate(), Ok(()));
        assert_eq!(HealthSummary::default().validate(), Ok(()));
    }

    #[test]
    fn the_worst_counts_and_maintenance_outranks_all() {
        use CheckStatus::{Critical, Maintenance, Passing, Warning};
        assert_eq!(flatten([]), None);
        assert_eq!(
            flatten(&[check("a", Passing), check("b", Warning)]),
            Some(Warning)
        );
        assert_eq!(
            flatten(&[check("a", Critical), check("b", Warning)]),
            Some(Critical)
        );
        assert_eq!(flatten(&[check("_node_maintenance", Passing)]), Some(Maintenance));
        assert_eq!(
            flatten(&[check("_service_maintenance:web", Critical)]),
            Some(Maintenance)
        );
    }
}
