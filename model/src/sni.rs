//! SNI strings (xDS facts, section 1.1). They are also Envoy cluster names.

use crate::name::{Datacenter, Namespace, Partition, PeerName, ServiceName};
use crate::spiffe::TrustDomain;

/// SNI of a local service: `svc.ns.dc.internal.TD`, or `svc.ns.ap.dc.internal-v1.TD` outside the default partition.
pub fn service(
    service: &ServiceName,
    namespace: &Namespace,
    partition: &Partition,
    datacenter: &Datacenter,
    trust_domain: &TrustDomain,
) -> String {
    if partition.is_default() {
        format!("{service}.{namespace}.{datacenter}.internal.{trust_domain}")
    } else {
        format!("{service}.{namespace}.{partition}.{datacenter}.internal-v1.{trust_domain}")
    }
}

/// SNI that an exporter publishes for a service and one peer: `svc.ns.ap.peer.external.TD`. All parts are the
/// exporter's, `peer` being the exporter's name for the importer; the partition is always spelt out.
pub fn exported(
    service: &ServiceName,
    namespace: &Namespace,
    partition: &Partition,
    peer: &PeerName,
    trust_domain: &TrustDomain,
) -> String {
    format!("{service}.{namespace}.{partition}.{peer}.external.{trust_domain}")
}

/// Name of the Envoy cluster that a sidecar of the importer uses for an imported service:
/// `svc.ns.peer.external.TD`, where `peer` is the importer's name for the exporter. Not an SNI.
pub fn imported_cluster(
    service: &ServiceName,
    namespace: &Namespace,
    peer: &PeerName,
    trust_domain: &TrustDomain,
) -> String {
    format!("{service}.{namespace}.{peer}.external.{trust_domain}")
}

/// SNI and DNS SAN of a cluster's peering endpoint: `server.dc.peering.TD`.
pub fn peering_server(datacenter: &Datacenter, trust_domain: &TrustDomain) -> String {
    format!("server.{datacenter}.peering.{trust_domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_are_those_of_the_facts() {
        let td = TrustDomain::new("11111111-2222-3333-4444-555555555555.consul").unwrap();
        let (dc, ns) = (Datacenter::new("dc1").unwrap(), Namespace::default());
        let (mysql, peer) = (
            ServiceName::new("mysql").unwrap(),
            PeerName::new("my-peering").unwrap(),
        );
        let billing = Partition::new("billing").unwrap();
        let default = Partition::default();
        assert_eq!(
            exported(&mysql, &ns, &default, &peer, &td),
            "mysql.default.default.my-peering.external.11111111-2222-3333-4444-555555555555.consul"
        );
        assert_eq!(
            service(&mysql, &ns, &default, &dc, &td),
            "mysql.default.dc1.internal.11111111-2222-3333-4444-555555555555.consul"
        );
        assert_eq!(
            service(&mysql, &ns, &billing, &dc, &td),
            "mysql.default.billing.dc1.internal-v1.11111111-2222-3333-4444-555555555555.consul"
        );
        assert_eq!(
            peering_server(&dc, &td),
            "server.dc1.peering.11111111-2222-3333-4444-555555555555.consul"
        );
    }
}
