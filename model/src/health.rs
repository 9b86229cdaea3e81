//! Checks and the one status that several of them amount to.

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

/// One status for many checks (wire facts, section 5.4): maintenance wins outright, else the worst. `None` without
/// checks, which counts as passing.
pub fn flatten<'a>(checks: impl IntoIterator<Item = &'a Check>) -> Option<CheckStatus> {
    checks
        .into_iter()
        .map(|check| {
            let id = check.key.id.as_str();
            let maintenance = id == "_node_maintenance" || id.starts_with("_service_maintenance:");
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
