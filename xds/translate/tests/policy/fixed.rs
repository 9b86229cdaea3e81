//! What a proxy is told over its stream, as a file: whatever would be looked up by name is put in.

use envoy_types::pb::envoy::config::bootstrap::v3::bootstrap::StaticResources;
use envoy_types::pb::envoy::config::bootstrap::v3::runtime_layer::LayerSpecifier;
use envoy_types::pb::envoy::config::bootstrap::v3::{Admin, Bootstrap, LayeredRuntime, RuntimeLayer};
use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType};
use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{
    Address, ExtensionConfigSource, SocketAddress, TransportSocket, TypedExtensionConfig, transport_socket,
};
use envoy_types::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::listener::v3::Listener;
use envoy_types::pb::envoy::config::listener::v3::filter::ConfigType;
use envoy_types::pb::envoy::config::route::v3::RouteConfiguration;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, http_filter,
};
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::{
    ForwardClientCertDetails, RouteSpecifier,
};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, Secret, UpstreamTlsContext,
};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Any, Struct, Value};
use envoy_types::util::pack_any;
use peerway_mesh::{Fragment, LEAF_SECRET, View};
use peerway_model::Leaf;
use peerway_xds_translate::{Dialect, Resource, leaf_secret, translate};
use prost::{Message, Name};
use std::collections::BTreeMap;

/// The resources of several proxies, to be run by one Envoy.
#[derive(Default)]
pub(crate) struct Fixed {
    listeners: Vec<Listener>,
    clusters: BTreeMap<String, Cluster>,
    secrets: BTreeMap<String, Secret>,
}

/// The listener with its policies, which it would find by name, put in.
pub(crate) fn decided(listener: Listener, view: &View, dialect: Dialect) -> Listener {
    let policies: BTreeMap<&str, Any> = view
        .fragments
        .iter()
        .filter(|fragment| matches!(***fragment, Fragment::Policy(_)))
        .map(|fragment| {
            let extension: TypedExtensionConfig = message(&translate(fragment, dialect));
            assert_eq!(extension.name, fragment.name());
            (fragment.name(), extension.typed_config.unwrap())
        })
        .collect();
    put_in(listener, |name, source| {
        let policy = policies[name].clone();
        assert!(source.type_urls.contains(&policy.type_url), "{name}");
        policy
    })
}

/// Whether a listener for requests leaves something of what they say about their callers.
pub(crate) fn keeps_callers(listener: &Listener) -> bool {
    let filters = listener.filter_chains.iter().flat_map(|chain| &chain.filters);
    let mut managers = filters.map(|filter| match filter.config_type.as_ref().unwrap() {
        ConfigType::TypedConfig(any) => HttpConnectionManager::decode(any.value.as_slice()).unwrap(),
        ConfigType::ConfigDiscovery(_) => panic!("a filter that is found by name"),
    });
    managers.any(|manager| manager.forward_client_cert_details() != ForwardClientCertDetails::Sanitize)
}

/// The listener as it is before it has found them.
pub(crate) fn meanwhile(listener: Listener) -> Listener {
    put_in(listener, |_, source| source.default_config.clone().unwrap())
}

fn put_in(mut listener: Listener, found: impl Fn(&str, &ExtensionConfigSource) -> Any) -> Listener {
    for filter in listener
        .filter_chains
        .iter_mut()
        .flat_map(|chain| &mut chain.filters)
    {
        match filter.config_type.as_mut().unwrap() {
            ConfigType::ConfigDiscovery(source) => {
                let policy = found(&filter.name, source);
                filter.config_type = Some(ConfigType::TypedConfig(policy));
            }
            ConfigType::TypedConfig(any) if any.type_url == HttpConnectionManager::type_url() => {
                let mut manager = HttpConnectionManager::decode(any.value.as_slice()).unwrap();
                for filter in &mut manager.http_filters {
                    if let Some(http_filter::ConfigType::ConfigDiscovery(source)) = &filter.config_type {
                        let policy = found(&filter.name, source);
                        filter.config_type = Some(http_filter::ConfigType::TypedConfig(policy));
                    }
                }
                *any = pack_any(manager);
            }
            ConfigType::TypedConfig(_) => {}
        }
    }
    listener
}

fn message<M: Message + Name + Default>(resource: &Resource) -> M {
    let any = Any::decode(resource.bytes.clone()).unwrap();
    assert_eq!(any.type_url, M::type_url());
    M::decode(any.value.as_slice()).unwrap()
}

pub(crate) fn address(port: u16) -> Address {
    Address {
        address: Some(AddressKind::SocketAddress(SocketAddress {
            address: "127.0.0.1".to_owned(),
            port_specifier: Some(PortSpecifier::PortValue(u32::from(port))),
            ..SocketAddress::default()
        })),
    }
}

impl Fixed {
    /// Adds a proxy. Its listener gets the name `name` and some free port; `leaf` makes the certificates of identities, and
    /// `ports` says where what it calls really is.
    pub(crate) fn add(
        &mut self,
        name: &str,
        view: &View,
        leaf: impl Fn(&str) -> Leaf,
        dialect: Dialect,
        ports: &BTreeMap<u16, u16>,
    ) {
        let own = format!("{LEAF_SECRET}~{name}");
        let identities = view
            .leaves
            .iter()
            .map(|(name, identity)| (name.clone(), identity));
        for (name, identity) in identities.chain([(own.clone(), &view.identity)]) {
            let mut secret: Secret = message(&leaf_secret(&leaf(&identity.to_string())));
            secret.name.clone_from(&name);
            self.secrets.insert(name, secret);
        }
        let resource = |fragment: &Fragment| translate(fragment, dialect);
        let mut assignments: BTreeMap<String, ClusterLoadAssignment> = BTreeMap::new();
        let mut tables: BTreeMap<String, RouteConfiguration> = BTreeMap::new();
        for fragment in &view.fragments {
            match &**fragment {
                Fragment::Endpoints(_) => {
                    let mut held: ClusterLoadAssignment = message(&resource(fragment));
                    moved(&mut held, ports);
                    assignments.insert(held.cluster_name.clone(), held);
                }
                Fragment::Routes(_) => {
                    let held: RouteConfiguration = message(&resource(fragment));
                    tables.insert(held.name.clone(), held);
                }
                Fragment::Validation(held) => {
                    self.secrets
                        .insert(held.name.clone(), message(&resource(fragment)));
                }
                Fragment::Cluster(_)
                | Fragment::Listener(_)
                | Fragment::Policy(_)
                | Fragment::Certificate(_) => {}
            }
        }
        for fragment in &view.fragments {
            match &**fragment {
                Fragment::Cluster(held) => {
                    let mut cluster: Cluster = message(&resource(fragment));
                    if let Some(assignment) = assignments.remove(&held.name) {
                        cluster.load_assignment = Some(assignment);
                        cluster.eds_cluster_config = None;
                        cluster.cluster_discovery_type =
                            Some(ClusterDiscoveryType::Type(i32::from(DiscoveryType::Static)));
                    }
                    socket(&mut cluster.transport_socket, &own);
                    self.clusters.insert(held.name.clone(), cluster);
                }
                Fragment::Listener(_) => {
                    let mut listener = decided(message(&resource(fragment)), view, dialect);
                    listener.name = name.to_owned();
                    listener.address = Some(address(0));
                    for chain in &mut listener.filter_chains {
                        socket(&mut chain.transport_socket, &own);
                        for filter in &mut chain.filters {
                            if let Some(ConfigType::TypedConfig(any)) = &mut filter.config_type {
                                routed(any, &tables);
                            }
                        }
                    }
                    self.listeners.push(listener);
                }
                _ => {}
            }
        }
    }

    /// The file, in protobuf's binary form.
    pub(crate) fn bootstrap(self) -> Vec<u8> {
        let number = Value {
            kind: Some(Kind::NumberValue(1_048_576.0)),
        };
        let layer = Struct {
            fields: [("re2.max_program_size.error_level".to_owned(), number)].into(),
        };
        let bootstrap = Bootstrap {
            static_resources: Some(StaticResources {
                listeners: self.listeners,
                clusters: self.clusters.into_values().collect(),
                secrets: self.secrets.into_values().collect(),
            }),
            admin: Some(Admin {
                address: Some(address(0)),
                ..Admin::default()
            }),
            layered_runtime: Some(LayeredRuntime {
                layers: vec![RuntimeLayer {
                    name: "base".to_owned(),
                    layer_specifier: Some(LayerSpecifier::StaticLayer(layer)),
                }],
            }),
            ..Bootstrap::default()
        };
        bootstrap.encode_to_vec()
    }
}

fn moved(assignment: &mut ClusterLoadAssignment, ports: &BTreeMap<u16, u16>) {
    for member in assignment
        .endpoints
        .iter_mut()
        .flat_map(|locality| &mut locality.lb_endpoints)
    {
        let Some(HostIdentifier::Endpoint(endpoint)) = &mut member.host_identifier else {
            panic!("no endpoint");
        };
        let Some(AddressKind::SocketAddress(at)) =
            endpoint.address.as_mut().and_then(|at| at.address.as_mut())
        else {
            panic!("no address");
        };
        let Some(PortSpecifier::PortValue(port)) = at.port_specifier else {
            panic!("no port");
        };
        let real = ports[&u16::try_from(port).unwrap()];
        at.port_specifier = Some(PortSpecifier::PortValue(u32::from(real)));
    }
}

fn routed(any: &mut Any, tables: &BTreeMap<String, RouteConfiguration>) {
    if any.type_url != HttpConnectionManager::type_url() {
        return;
    }
    let mut manager = HttpConnectionManager::decode(any.value.as_slice()).unwrap();
    if let Some(RouteSpecifier::Rds(rds)) = &manager.route_specifier {
        manager.route_specifier = Some(RouteSpecifier::RouteConfig(
            tables[&rds.route_config_name].clone(),
        ));
    }
    *any = pack_any(manager);
}

fn socket(socket: &mut Option<TransportSocket>, leaf: &str) {
    let Some(TransportSocket {
        config_type: Some(transport_socket::ConfigType::TypedConfig(any)),
        ..
    }) = socket
    else {
        return;
    };
    if any.type_url == DownstreamTlsContext::type_url() {
        let mut context = DownstreamTlsContext::decode(any.value.as_slice()).unwrap();
        found_here(context.common_tls_context.as_mut().unwrap(), leaf);
        *any = pack_any(context);
    } else {
        assert_eq!(any.type_url, UpstreamTlsContext::type_url());
        let mut context = UpstreamTlsContext::decode(any.value.as_slice()).unwrap();
        found_here(context.common_tls_context.as_mut().unwrap(), leaf);
        *any = pack_any(context);
    }
}

/// Without a source a secret is one of the file's own.
fn found_here(context: &mut CommonTlsContext, leaf: &str) {
    for own in &mut context.tls_certificate_sds_secret_configs {
        let name = match own.name.as_str() {
            LEAF_SECRET => leaf.to_owned(),
            other => other.to_owned(),
        };
        *own = SdsSecretConfig {
            name,
            sds_config: None,
        };
    }
    match context.validation_context_type.as_mut().unwrap() {
        ValidationContextType::ValidationContextSdsSecretConfig(held) => held.sds_config = None,
        ValidationContextType::CombinedValidationContext(held) => {
            held.validation_context_sds_secret_config
                .as_mut()
                .unwrap()
                .sds_config = None;
        }
        other => panic!("{other:?}"),
    }
}
