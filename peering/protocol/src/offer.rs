//! Instances as they cross: the wire's fields in plain types, before anybody believed them.

use crate::resource::SIDECAR_SUFFIX;
use peerway_model::{CheckStatus, Instance, Node, PeerMeta, ServiceKind, ServiceName};
use std::collections::BTreeMap;

/// The tagged address that Consul fills with a virtual address of the exporter; never sent.
const TAG_VIRTUAL: &str = "consul-virtual";

/// A node as offered.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OfferedNode {
    /// UUID or empty.
    pub id: String,
    /// The name.
    pub name: String,
    /// IP address or host name.
    pub address: String,
    /// The exporter's datacenter.
    pub datacenter: String,
    /// `lan`, `wan` and others.
    pub tagged_addresses: BTreeMap<String, String>,
    /// Free-form pairs.
    pub meta: BTreeMap<String, String>,
}

/// What makes an offered instance a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OfferedProxy {
    /// The service that it stands for.
    pub destination: String,
    /// The instance that it stands for.
    pub destination_id: String,
}

/// A service instance as offered.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OfferedService {
    /// Empty or `connect-proxy`.
    pub kind: String,
    /// The id.
    pub id: String,
    /// The name, equal to the resource id.
    pub name: String,
    /// Empty means `default`.
    pub namespace: String,
    /// Labels.
    pub tags: Vec<String>,
    /// IP address or host name; empty means the node's.
    pub address: String,
    /// 0 means none.
    pub port: i32,
    /// Address and port by tag.
    pub tagged_addresses: BTreeMap<String, (String, i32)>,
    /// Free-form pairs.
    pub meta: BTreeMap<String, String>,
    /// Passing and warning.
    pub weights: Option<(i32, i32)>,
    /// Kept for Consul's clients.
    pub enable_tag_override: bool,
    /// On a proxy.
    pub proxy: Option<OfferedProxy>,
    /// On a proxy: how to dial.
    pub peer_meta: Option<PeerMeta>,
}

/// A check as offered; an exporter flattens all into one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OfferedCheck {
    /// The id.
    pub id: String,
    /// For people.
    pub name: String,
    /// `passing`, `warning`, `critical` or `maintenance`.
    pub status: String,
    /// The node's name.
    pub node: String,
    /// The instance's id.
    pub service_id: String,
    /// The service's name.
    pub service_name: String,
}

/// An instance with its node and health, as offered.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OfferedInstance {
    /// The node.
    pub node: OfferedNode,
    /// The instance.
    pub service: OfferedService,
    /// At most one from an exporter that follows the facts.
    pub checks: Vec<OfferedCheck>,
}

impl OfferedInstance {
    /// A local instance of an ordinary service, as an exporter offers it (wire facts, section 5.2). `status` is the
    /// flattened health, `None` without checks.
    pub fn of_typical(node: &Node, instance: &Instance, status: Option<CheckStatus>) -> Self {
        let mut service = addressed(instance);
        service.id = instance.key.id.to_string();
        service.name = instance.service.to_string();
        service.namespace = spelt(instance.namespace.is_default(), instance.namespace.as_str());
        service.tags = instance.tags.clone();
        service.meta = instance.meta.clone();
        service.enable_tag_override = instance.enable_tag_override;
        OfferedInstance::with_check(offered_node(node), service, status)
    }

    /// What stands for the sidecars of `service`: the local mesh gateway `gateway`, the `index`-th (wire facts,
    /// section 5.3). `meta` says how to dial it.
    pub fn of_gateway(
        node: &Node,
        gateway: &Instance,
        status: Option<CheckStatus>,
        service: &ServiceName,
        index: usize,
        meta: PeerMeta,
    ) -> Self {
        let mut synthetic = addressed(gateway);
        synthetic.kind = ServiceKind::ConnectProxy.as_str().to_owned();
        synthetic.name = format!("{service}{SIDECAR_SUFFIX}");
        synthetic.id = format!("{service}{SIDECAR_SUFFIX}-instance-{index}");
        synthetic.proxy = Some(OfferedProxy {
            destination: service.to_string(),
            destination_id: format!("{service}-instance-{index}"),
        });
        synthetic.peer_meta = Some(meta);
        OfferedInstance::with_check(offered_node(node), synthetic, status)
    }

    /// A number of bytes that the encoded instance surely does not exceed: each text with its key, its length and the
    /// lengths of what it is in, and a margin for the numbers.
    pub(crate) fn at_most_bytes(&self) -> usize {
        const TEXT: usize = 24;
        const NUMBERS: usize = 256;
        let text = |text: &String| text.len() + TEXT;
        let texts = |texts: &[String]| texts.iter().map(text).sum::<usize>();
        let pairs = |pairs: &BTreeMap<String, String>| {
            pairs
                .iter()
                .map(|(key, value)| text(key) + text(value))
                .sum::<usize>()
        };
        let (node, service) = (&self.node, &self.service);
        let on = [&node.id, &node.name, &node.address, &node.datacenter]
            .into_iter()
            .map(text)
            .sum::<usize>();
        let own = [
            &service.kind,
            &service.id,
            &service.name,
            &service.namespace,
            &service.address,
        ]
        .into_iter()
        .map(text)
        .sum::<usize>();
        let tagged = service
            .tagged_addresses
            .iter()
            .map(|(tag, (address, _))| text(tag) + text(address) + TEXT)
            .sum::<usize>();
        let proxy = service
            .proxy
            .as_ref()
            .map_or(0, |proxy| text(&proxy.destination) + text(&proxy.destination_id));
        let meta = service.peer_meta.as_ref().map_or(0, |meta| {
            texts(&meta.sni) + texts(&meta.spiffe_ids) + text(&meta.protocol)
        });
        let checks = self.checks.iter().map(|check| {
            let of = [
                &check.id,
                &check.name,
                &check.status,
                &check.node,
                &check.service_id,
                &check.service_name,
                &service.namespace,
            ];
            of.into_iter().map(text).sum::<usize>()
        });
        NUMBERS
            + on
            + pairs(&node.tagged_addresses)
            + pairs(&node.meta)
            + own
            + texts(&service.tags)
            + pairs(&service.meta)
            + tagged
            + proxy
            + meta
            + checks.sum::<usize>()
    }

    fn with_check(node: OfferedNode, service: OfferedService, status: Option<CheckStatus>) -> Self {
        let check = status.map(|status| OfferedCheck {
            id: format!("{}:{OVERALL_CHECK}", service.id),
            name: OVERALL_CHECK.to_owned(),
            status: status.as_str().to_owned(),
            node: node.name.clone(),
            service_id: service.id.clone(),
            service_name: service.name.clone(),
        });
        OfferedInstance {
            node,
            service,
            checks: check.into_iter().collect(),
        }
    }
}

/// The name of the one check that stands for all (wire facts, section 4.3).
pub const OVERALL_CHECK: &str = "overall-check";

/// The parts that say where traffic goes.
fn addressed(instance: &Instance) -> OfferedService {
    let weight = |weight: u32| i32::try_from(weight).unwrap_or(i32::MAX);
    OfferedService {
        address: instance.address.clone(),
        port: i32::from(instance.port),
        tagged_addresses: instance
            .tagged_addresses
            .iter()
            .filter(|(tag, _)| *tag != TAG_VIRTUAL)
            .map(|(tag, at)| (tag.clone(), (at.address.clone(), i32::from(at.port))))
            .collect(),
        weights: Some((weight(instance.weights.passing), weight(instance.weights.warning))),
        ..OfferedService::default()
    }
}

fn offered_node(node: &Node) -> OfferedNode {
    OfferedNode {
        id: node.id.clone().unwrap_or_default(),
        name: node.key.name.to_string(),
        address: node.address.clone(),
        datacenter: node.datacenter.to_string(),
        tagged_addresses: node.tagged_addresses.clone(),
        meta: node.meta.clone(),
    }
}

/// Community clusters leave the default out and ignore anything else.
fn spelt(is_default: bool, name: &str) -> String {
    if is_default {
        String::new()
    } else {
        name.to_owned()
    }
}
