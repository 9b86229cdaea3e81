//! Twins of resolvers.

use super::super::text::{Text, text};
use super::chain::DestinationRecord;
use peerway_model::config::{
    Balance, ByLocality, Destination, Failover, HashOf, HashPolicy, LoadBalancer, Meta, ServiceResolver,
    Subset,
};
use peerway_model::filter::Filter;
use peerway_model::name::{GroupName, SubsetName};
use peerway_model::{Namespace, Partition, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
pub(in super::super) struct ResolverRecord {
    partition: Text<Partition>,
    namespace: Text<Namespace>,
    name: Text<ServiceName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_subset: Option<Text<SubsetName>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    subsets: Vec<SubsetRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redirect: Option<DestinationRecord>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    failover: BTreeMap<String, FailoverRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connect_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    load_balancer: Option<BalancerRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_locality: Option<Text<ByLocality>>,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
struct SubsetRecord {
    name: Text<SubsetName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<Text<Filter>>,
    only_passing: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FailoverRecord {
    Targets(Vec<DestinationRecord>),
    Group(Text<GroupName>),
}

#[derive(Serialize, Deserialize)]
struct BalancerRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    balance: Option<BalanceRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hash: Vec<HashRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum BalanceRecord {
    Random,
    RoundRobin,
    LeastRequest {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        choices: Option<u32>,
    },
    RingHash {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minimum: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        maximum: Option<u64>,
    },
    Maglev,
}

#[derive(Serialize, Deserialize)]
struct HashRecord {
    by: HashOfRecord,
    terminal: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum HashOfRecord {
    Header(String),
    Query(String),
    SourceIp,
    Cookie {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl_ms: Option<u64>,
        session: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
}

impl From<&ServiceResolver> for ResolverRecord {
    fn from(entry: &ServiceResolver) -> Self {
        let ServiceResolver {
            partition,
            namespace,
            name,
            default_subset,
            subsets,
            redirect,
            failover,
            connect_timeout_ms,
            request_timeout_ms,
            load_balancer,
            by_locality,
            meta,
        } = entry;
        let subset = |(name, Subset { filter, only_passing }): (&SubsetName, &Subset)| SubsetRecord {
            name: Text(name.clone()),
            filter: text(filter),
            only_passing: *only_passing,
        };
        let failover_of = |failover: &Failover| match failover {
            Failover::Targets(targets) => {
                FailoverRecord::Targets(targets.iter().map(DestinationRecord::from).collect())
            }
            Failover::Group(group) => FailoverRecord::Group(Text(group.clone())),
        };
        ResolverRecord {
            partition: Text(partition.clone()),
            namespace: Text(namespace.clone()),
            name: Text(name.clone()),
            default_subset: text(default_subset),
            subsets: subsets.iter().map(subset).collect(),
            redirect: redirect.as_ref().map(DestinationRecord::from),
            failover: failover
                .iter()
                .map(|(name, failover)| (name.clone(), failover_of(failover)))
                .collect(),
            connect_timeout_ms: *connect_timeout_ms,
            request_timeout_ms: *request_timeout_ms,
            load_balancer: load_balancer.as_ref().map(BalancerRecord::from),
            by_locality: text(by_locality),
            meta: meta.clone(),
        }
    }
}

impl From<ResolverRecord> for ServiceResolver {
    fn from(record: ResolverRecord) -> Self {
        let subset = |record: SubsetRecord| {
            let subset = Subset {
                filter: record.filter.map(|filter| filter.0),
                only_passing: record.only_passing,
            };
            (record.name.0, subset)
        };
        let failover = |record| match record {
            FailoverRecord::Targets(targets) => {
                Failover::Targets(targets.into_iter().map(Destination::from).collect())
            }
            FailoverRecord::Group(group) => Failover::Group(group.0),
        };
        ServiceResolver {
            partition: record.partition.0,
            namespace: record.namespace.0,
            name: record.name.0,
            default_subset: record.default_subset.map(|name| name.0),
            subsets: record.subsets.into_iter().map(subset).collect(),
            redirect: record.redirect.map(Destination::from),
            failover: record
                .failover
                .into_iter()
                .map(|(name, record)| (name, failover(record)))
                .collect(),
            connect_timeout_ms: record.connect_timeout_ms,
            request_timeout_ms: record.request_timeout_ms,
            load_balancer: record.load_balancer.map(LoadBalancer::from),
            by_locality: record.by_locality.map(|mode| mode.0),
            meta: record.meta,
        }
    }
}

impl From<&LoadBalancer> for BalancerRecord {
    fn from(balancer: &LoadBalancer) -> Self {
        let LoadBalancer { balance, hash } = balancer;
        let balance = balance.map(|balance| match balance {
            Balance::Random => BalanceRecord::Random,
            Balance::RoundRobin => BalanceRecord::RoundRobin,
            Balance::LeastRequest { choices } => BalanceRecord::LeastRequest { choices },
            Balance::RingHash { minimum, maximum } => BalanceRecord::RingHash { minimum, maximum },
            Balance::Maglev => BalanceRecord::Maglev,
        });
        let policy = |HashPolicy { by, terminal }: &HashPolicy| HashRecord {
            by: match by.clone() {
                HashOf::Header(name) => HashOfRecord::Header(name),
                HashOf::Query(name) => HashOfRecord::Query(name),
                HashOf::SourceIp => HashOfRecord::SourceIp,
                HashOf::Cookie {
                    name,
                    ttl_ms,
                    session,
                    path,
                } => HashOfRecord::Cookie {
                    name,
                    ttl_ms,
                    session,
                    path,
                },
            },
            terminal: *terminal,
        };
        BalancerRecord {
            balance,
            hash: hash.iter().map(policy).collect(),
        }
    }
}

impl From<BalancerRecord> for LoadBalancer {
    fn from(record: BalancerRecord) -> Self {
        let balance = record.balance.map(|record| match record {
            BalanceRecord::Random => Balance::Random,
            BalanceRecord::RoundRobin => Balance::RoundRobin,
            BalanceRecord::LeastRequest { choices } => Balance::LeastRequest { choices },
            BalanceRecord::RingHash { minimum, maximum } => Balance::RingHash { minimum, maximum },
            BalanceRecord::Maglev => Balance::Maglev,
        });
        let policy = |record: HashRecord| HashPolicy {
            by: match record.by {
                HashOfRecord::Header(name) => HashOf::Header(name),
                HashOfRecord::Query(name) => HashOf::Query(name),
                HashOfRecord::SourceIp => HashOf::SourceIp,
                HashOfRecord::Cookie {
                    name,
                    ttl_ms,
                    session,
                    path,
                } => HashOf::Cookie {
                    name,
                    ttl_ms,
                    session,
                    path,
                },
            },
            terminal: record.terminal,
        };
        LoadBalancer {
            balance,
            hash: record.hash.into_iter().map(policy).collect(),
        }
    }
}
