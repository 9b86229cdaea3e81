//! Twins of the entries that chains are made of.

use super::super::text::{Text, text};
use peerway_model::config::{
    Destination, HeaderEdits, HeaderTest, Member, Meta, PathTest, QueryTest, RequestMatch, RouteDestination,
    SamenessGroup, ServiceRoute, ServiceRouter, ServiceSplitter, Split, TextTest,
};
use peerway_model::name::{GroupName, SubsetName};
use peerway_model::{Namespace, Partition, PeerName, Regular, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Serialize, Deserialize)]
pub(in super::super) struct RouterRecord {
    partition: Text<Partition>,
    namespace: Text<Namespace>,
    name: Text<ServiceName>,
    #[serde(default)]
    routes: Vec<RouteRecord>,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
pub(super) struct RouteRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<PathRecord>,
    #[serde(default, skip_serializing_if = "is_false")]
    case_insensitive: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<TestRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    query: Vec<TestRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    methods: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destination: Option<RouteDestinationRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PathRecord {
    Exact(String),
    Prefix(String),
    Regex(Text<Regular>),
}

#[derive(Serialize, Deserialize)]
struct TestRecord {
    name: String,
    test: TextTestRecord,
    #[serde(default, skip_serializing_if = "is_false")]
    invert: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TextTestRecord {
    Present,
    Exact(String),
    Prefix(String),
    Suffix(String),
    Regex(Text<Regular>),
}

#[derive(Serialize, Deserialize)]
struct RouteDestinationRecord {
    to: DestinationRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix_rewrite: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_retries: Option<u32>,
    #[serde(default, skip_serializing_if = "is_false")]
    retry_on_connect_failure: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retry_on: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    retry_on_status_codes: Vec<u16>,
    #[serde(default, skip_serializing_if = "EditsRecord::is_empty")]
    request_headers: EditsRecord,
    #[serde(default, skip_serializing_if = "EditsRecord::is_empty")]
    response_headers: EditsRecord,
}

#[derive(Serialize, Deserialize)]
pub(super) struct DestinationRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<Text<ServiceName>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subset: Option<Text<SubsetName>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<Text<Namespace>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partition: Option<Text<Partition>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<Text<PeerName>>,
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct EditsRecord {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    add: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    set: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    remove: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
pub(in super::super) struct SplitterRecord {
    partition: Text<Partition>,
    namespace: Text<Namespace>,
    name: Text<ServiceName>,
    splits: Vec<SplitRecord>,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
struct SplitRecord {
    weight: u32,
    to: DestinationRecord,
    #[serde(default, skip_serializing_if = "EditsRecord::is_empty")]
    request_headers: EditsRecord,
    #[serde(default, skip_serializing_if = "EditsRecord::is_empty")]
    response_headers: EditsRecord,
}

#[derive(Serialize, Deserialize)]
pub(in super::super) struct GroupRecord {
    partition: Text<Partition>,
    name: Text<GroupName>,
    default_for_failover: bool,
    include_local: bool,
    #[serde(default)]
    members: Vec<MemberRecord>,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MemberRecord {
    Partition(Text<Partition>),
    Peer(Text<PeerName>),
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl EditsRecord {
    pub(super) fn is_empty(&self) -> bool {
        self.add.is_empty() && self.set.is_empty() && self.remove.is_empty()
    }
}

impl From<&HeaderEdits> for EditsRecord {
    fn from(edits: &HeaderEdits) -> Self {
        let HeaderEdits { add, set, remove } = edits.clone();
        EditsRecord { add, set, remove }
    }
}

impl From<EditsRecord> for HeaderEdits {
    fn from(record: EditsRecord) -> Self {
        let EditsRecord { add, set, remove } = record;
        HeaderEdits { add, set, remove }
    }
}

impl From<&Destination> for DestinationRecord {
    fn from(to: &Destination) -> Self {
        let Destination {
            service,
            subset,
            namespace,
            partition,
            peer,
        } = to;
        DestinationRecord {
            service: text(service),
            subset: text(subset),
            namespace: text(namespace),
            partition: text(partition),
            peer: text(peer),
        }
    }
}

impl From<DestinationRecord> for Destination {
    fn from(record: DestinationRecord) -> Self {
        Destination {
            service: record.service.map(|name| name.0),
            subset: record.subset.map(|name| name.0),
            namespace: record.namespace.map(|name| name.0),
            partition: record.partition.map(|name| name.0),
            peer: record.peer.map(|name| name.0),
        }
    }
}

impl From<&TextTest> for TextTestRecord {
    fn from(test: &TextTest) -> Self {
        match test {
            TextTest::Present => TextTestRecord::Present,
            TextTest::Exact(value) => TextTestRecord::Exact(value.clone()),
            TextTest::Prefix(value) => TextTestRecord::Prefix(value.clone()),
            TextTest::Suffix(value) => TextTestRecord::Suffix(value.clone()),
            TextTest::Regex(value) => TextTestRecord::Regex(Text(value.clone())),
        }
    }
}

impl From<TextTestRecord> for TextTest {
    fn from(record: TextTestRecord) -> Self {
        match record {
            TextTestRecord::Present => TextTest::Present,
            TextTestRecord::Exact(value) => TextTest::Exact(value),
            TextTestRecord::Prefix(value) => TextTest::Prefix(value),
            TextTestRecord::Suffix(value) => TextTest::Suffix(value),
            TextTestRecord::Regex(value) => TextTest::Regex(value.0),
        }
    }
}

impl From<&ServiceRoute> for RouteRecord {
    fn from(route: &ServiceRoute) -> Self {
        let ServiceRoute { request, destination } = route;
        let RequestMatch {
            path,
            case_insensitive,
            headers,
            query,
            methods,
        } = request;
        let header = |HeaderTest { name, test, invert }: &HeaderTest| TestRecord {
            name: name.clone(),
            test: test.into(),
            invert: *invert,
        };
        let parameter = |QueryTest { name, test }: &QueryTest| TestRecord {
            name: name.clone(),
            test: test.into(),
            invert: false,
        };
        RouteRecord {
            path: match path {
                PathTest::Any => None,
                PathTest::Exact(path) => Some(PathRecord::Exact(path.clone())),
                PathTest::Prefix(path) => Some(PathRecord::Prefix(path.clone())),
                PathTest::Regex(path) => Some(PathRecord::Regex(Text(path.clone()))),
            },
            case_insensitive: *case_insensitive,
            headers: headers.iter().map(header).collect(),
            query: query.iter().map(parameter).collect(),
            methods: methods.clone(),
            destination: destination.as_ref().map(RouteDestinationRecord::from),
        }
    }
}

impl From<RouteRecord> for ServiceRoute {
    fn from(record: RouteRecord) -> Self {
        let header = |record: TestRecord| HeaderTest {
            name: record.name,
            test: record.test.into(),
            invert: record.invert,
        };
        let parameter = |record: TestRecord| QueryTest {
            name: record.name,
            test: record.test.into(),
        };
        ServiceRoute {
            request: RequestMatch {
                path: match record.path {
                    None => PathTest::Any,
                    Some(PathRecord::Exact(path)) => PathTest::Exact(path),
                    Some(PathRecord::Prefix(path)) => PathTest::Prefix(path),
                    Some(PathRecord::Regex(path)) => PathTest::Regex(path.0),
                },
                case_insensitive: record.case_insensitive,
                headers: record.headers.into_iter().map(header).collect(),
                query: record.query.into_iter().map(parameter).collect(),
                methods: record.methods,
            },
            destination: record.destination.map(RouteDestination::from),
        }
    }
}

impl From<&RouteDestination> for RouteDestinationRecord {
    fn from(destination: &RouteDestination) -> Self {
        let RouteDestination {
            to,
            prefix_rewrite,
            request_timeout_ms,
            idle_timeout_ms,
            num_retries,
            retry_on_connect_failure,
            retry_on,
            retry_on_status_codes,
            request_headers,
            response_headers,
        } = destination;
        RouteDestinationRecord {
            to: to.into(),
            prefix_rewrite: prefix_rewrite.clone(),
            request_timeout_ms: *request_timeout_ms,
            idle_timeout_ms: *idle_timeout_ms,
            num_retries: *num_retries,
            retry_on_connect_failure: *retry_on_connect_failure,
            retry_on: retry_on.clone(),
            retry_on_status_codes: retry_on_status_codes.clone(),
            request_headers: request_headers.into(),
            response_headers: response_headers.into(),
        }
    }
}

impl From<RouteDestinationRecord> for RouteDestination {
    fn from(record: RouteDestinationRecord) -> Self {
        RouteDestination {
            to: record.to.into(),
            prefix_rewrite: record.prefix_rewrite,
            request_timeout_ms: record.request_timeout_ms,
            idle_timeout_ms: record.idle_timeout_ms,
            num_retries: record.num_retries,
            retry_on_connect_failure: record.retry_on_connect_failure,
            retry_on: record.retry_on,
            retry_on_status_codes: record.retry_on_status_codes,
            request_headers: record.request_headers.into(),
            response_headers: record.response_headers.into(),
        }
    }
}

impl From<&ServiceRouter> for RouterRecord {
    fn from(entry: &ServiceRouter) -> Self {
        let ServiceRouter {
            partition,
            namespace,
            name,
            routes,
            meta,
        } = entry;
        RouterRecord {
            partition: Text(partition.clone()),
            namespace: Text(namespace.clone()),
            name: Text(name.clone()),
            routes: routes.iter().map(RouteRecord::from).collect(),
            meta: meta.clone(),
        }
    }
}

impl From<RouterRecord> for ServiceRouter {
    fn from(record: RouterRecord) -> Self {
        ServiceRouter {
            partition: record.partition.0,
            namespace: record.namespace.0,
            name: record.name.0,
            routes: record.routes.into_iter().map(ServiceRoute::from).collect(),
            meta: record.meta,
        }
    }
}

impl From<&ServiceSplitter> for SplitterRecord {
    fn from(entry: &ServiceSplitter) -> Self {
        let ServiceSplitter {
            partition,
            namespace,
            name,
            splits,
            meta,
        } = entry;
        let split = |split: &Split| {
            let Split {
                weight,
                to,
                request_headers,
                response_headers,
            } = split;
            SplitRecord {
                weight: *weight,
                to: to.into(),
                request_headers: request_headers.into(),
                response_headers: response_headers.into(),
            }
        };
        SplitterRecord {
            partition: Text(partition.clone()),
            namespace: Text(namespace.clone()),
            name: Text(name.clone()),
            splits: splits.iter().map(split).collect(),
            meta: meta.clone(),
        }
    }
}

impl From<SplitterRecord> for ServiceSplitter {
    fn from(record: SplitterRecord) -> Self {
        let split = |record: SplitRecord| Split {
            weight: record.weight,
            to: record.to.into(),
            request_headers: record.request_headers.into(),
            response_headers: record.response_headers.into(),
        };
        ServiceSplitter {
            partition: record.partition.0,
            namespace: record.namespace.0,
            name: record.name.0,
            splits: record.splits.into_iter().map(split).collect(),
            meta: record.meta,
        }
    }
}

impl From<&SamenessGroup> for GroupRecord {
    fn from(entry: &SamenessGroup) -> Self {
        let SamenessGroup {
            partition,
            name,
            default_for_failover,
            include_local,
            members,
            meta,
        } = entry;
        let member = |member: &Member| match member {
            Member::Partition(partition) => MemberRecord::Partition(Text(partition.clone())),
            Member::Peer(peer) => MemberRecord::Peer(Text(peer.clone())),
        };
        GroupRecord {
            partition: Text(partition.clone()),
            name: Text(name.clone()),
            default_for_failover: *default_for_failover,
            include_local: *include_local,
            members: members.iter().map(member).collect(),
            meta: meta.clone(),
        }
    }
}

impl From<GroupRecord> for SamenessGroup {
    fn from(record: GroupRecord) -> Self {
        let member = |record| match record {
            MemberRecord::Partition(partition) => Member::Partition(partition.0),
            MemberRecord::Peer(peer) => Member::Peer(peer.0),
        };
        SamenessGroup {
            partition: record.partition.0,
            name: record.name.0,
            default_for_failover: record.default_for_failover,
            include_local: record.include_local,
            members: record.members.into_iter().map(member).collect(),
            meta: record.meta,
        }
    }
}
