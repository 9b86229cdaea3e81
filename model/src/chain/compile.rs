//! From entries to a chain.

use super::resolve::{destination, of_service, protocol, resolve, resolver, settings};
use super::{
    Chain, Entries, MAX_LEGS, MAX_NODES, Node, NodeId, Resolver, RouteStep, SplitStep, Target, refuse,
};
use crate::Invalid;
use crate::config::{ConfigEntry, ConfigKind, Protocol, ServiceRoute, ServiceRouter, ServiceSplitter};
use crate::key::ServiceKey;
use std::collections::{BTreeMap, BTreeSet};

/// The chain of a local service, which need not have an instance.
///
/// # Errors
/// When the entries contradict each other: they lead in a circle, name a subset or group that does not exist, or
/// join services that do not speak the same.
pub fn compile<'e>(entries: &mut dyn Entries<'e>, service: &ServiceKey) -> Result<Chain, Invalid> {
    let spoken = protocol(entries, service);
    let mut compiler = Compiler {
        entries,
        service,
        protocol: spoken,
        nodes: BTreeMap::new(),
        on_the_way: BTreeSet::new(),
    };
    let start = compiler.start()?;
    let chain = Chain {
        service: service.clone(),
        protocol: spoken,
        start,
        nodes: compiler.nodes,
    };
    few_legs(&chain)?;
    Ok(chain)
}

fn few_legs(chain: &Chain) -> Result<(), Invalid> {
    let mut known = BTreeMap::new();
    for id in chain.nodes.keys() {
        if chain.shares(id, &mut known).is_err() {
            return refuse(format!(
                "the splits of {} come to more than {MAX_LEGS} legs",
                chain.service
            ));
        }
    }
    Ok(())
}

struct Compiler<'c, 'e> {
    entries: &'c mut dyn Entries<'e>,
    service: &'c ServiceKey,
    protocol: Protocol,
    nodes: BTreeMap<NodeId, Node>,
    /// Splitters between the start and here.
    on_the_way: BTreeSet<ServiceKey>,
}

impl<'e> Compiler<'_, 'e> {
    fn start(&mut self) -> Result<NodeId, Invalid> {
        match self.router(self.service) {
            Some(router) => self.routes(router),
            None => self.splitter_or_resolver(Target::of(self.service.clone())),
        }
    }

    fn routes(&mut self, router: &ServiceRouter) -> Result<NodeId, Invalid> {
        self.sees_requests("service-router", self.service)?;
        let mut steps = Vec::new();
        // What no route takes goes to the service itself.
        let rest = std::iter::once(ServiceRoute::default());
        for route in router.routes.iter().cloned().chain(rest) {
            let to = match &route.destination {
                Some(to) => destination(&to.to, self.service),
                None => Target::of(self.service.clone()),
            };
            let next = self.splitter_or_resolver(to)?;
            steps.push(RouteStep { route, next });
        }
        let id = NodeId::Router(self.service.clone());
        self.put(id, Node::Router(steps))
    }

    fn splitter_or_resolver(&mut self, to: Target) -> Result<NodeId, Invalid> {
        // Who names a subset has chosen already.
        if to.subset.is_none()
            && let Some(splitter) = self.splitter(&to.service)
        {
            return self.splits(&to.service, splitter);
        }
        self.resolved(to)
    }

    fn splits(&mut self, service: &ServiceKey, splitter: &ServiceSplitter) -> Result<NodeId, Invalid> {
        let id = NodeId::Splitter(service.clone());
        if self.nodes.contains_key(&id) {
            return Ok(id);
        }
        self.sees_requests("service-splitter", service)?;
        self.speaks_the_same(service)?;
        if !self.on_the_way.insert(service.clone()) || self.on_the_way.len() > MAX_NODES {
            return refuse(format!("the splits of {service} lead in a circle"));
        }
        let mut steps = Vec::new();
        for split in &splitter.splits {
            let to = destination(&split.to, service);
            let next = match to.service == *service {
                // A share for the service itself is for its instances.
                true => self.resolved(to)?,
                false => self.splitter_or_resolver(to)?,
            };
            steps.push(SplitStep {
                written: split.clone(),
                next,
            });
        }
        self.on_the_way.remove(service);
        self.put(id, Node::Splitter(steps))
    }

    fn resolved(&mut self, to: Target) -> Result<NodeId, Invalid> {
        let target = resolve(self.entries, to)?;
        let id = NodeId::Resolver(target.clone());
        if self.nodes.contains_key(&id) {
            return Ok(id);
        }
        let settings = settings(self.entries, &target)?;
        for one in std::iter::once(&target).chain(&settings.failover) {
            self.speaks_the_same(&one.service)?;
        }
        let written = target.service.origin.is_local() && resolver(self.entries, &target.service).is_some();
        let resolver = Resolver {
            is_default: !written && settings.failover.is_empty(),
            target,
            settings,
        };
        self.put(id, Node::Resolver(Box::new(resolver)))
    }

    /// Routes and shares are chosen for each request, so there have to be requests.
    fn sees_requests(&self, kind: &str, service: &ServiceKey) -> Result<(), Invalid> {
        if self.protocol.is_http() {
            return Ok(());
        }
        refuse(format!(
            "the {kind} of {service} needs a protocol of requests, set Protocol in its service-defaults to http, http2 \
             or grpc"
        ))
    }

    /// What a peer's service speaks is known to its exporter only.
    fn speaks_the_same(&mut self, service: &ServiceKey) -> Result<(), Invalid> {
        if !service.origin.is_local() {
            return Ok(());
        }
        let other = protocol(self.entries, service);
        if other == self.protocol {
            return Ok(());
        }
        refuse(format!(
            "the chain of {} leads to {service}, which speaks {} and not {}, set the same Protocol in both \
             service-defaults",
            self.service,
            other.as_str(),
            self.protocol.as_str()
        ))
    }

    fn put(&mut self, id: NodeId, node: Node) -> Result<NodeId, Invalid> {
        if self.nodes.len() >= MAX_NODES {
            return refuse(format!(
                "the chain of {} has more than {MAX_NODES} steps",
                self.service
            ));
        }
        self.nodes.insert(id.clone(), node);
        Ok(id)
    }

    fn router(&mut self, service: &ServiceKey) -> Option<&'e ServiceRouter> {
        match self.entries.entry(of_service(ConfigKind::ServiceRouter, service)) {
            Some(ConfigEntry::ServiceRouter(router)) => Some(router),
            _ => None,
        }
    }

    /// A peer's service has no splitter here: shares of it are the exporter's affair.
    fn splitter(&mut self, service: &ServiceKey) -> Option<&'e ServiceSplitter> {
        if !service.origin.is_local() {
            return None;
        }
        match self
            .entries
            .entry(of_service(ConfigKind::ServiceSplitter, service))
        {
            Some(ConfigEntry::ServiceSplitter(splitter)) => Some(splitter),
            _ => None,
        }
    }
}
