//! From JSON to the services that a terminating gateway stands for.

use super::required_pattern;
use super::routing::named;
use crate::fields::Fields;
use peerway_model::config::{LinkedService, Outward, TerminatingGateway};
use peerway_model::{Invalid, Namespace, ServiceName, Tenancy};

pub(super) fn terminating_gateway(
    mut fields: Fields<'_>,
    defaults: &Tenancy,
) -> Result<TerminatingGateway, Invalid> {
    let (name, tenancy) = named(&mut fields, defaults)?;
    let services = fields
        .objects("Services")?
        .into_iter()
        .map(linked_service)
        .collect::<Result<_, _>>()?;
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(TerminatingGateway {
        partition: tenancy.partition,
        namespace: tenancy.namespace,
        name,
        services,
        meta,
    })
}

fn linked_service(mut fields: Fields<'_>) -> Result<LinkedService, Invalid> {
    let name = required_pattern(&mut fields, "Name", ServiceName::new)?;
    let namespace = fields.parsed("Namespace", Namespace::new)?;
    let outward = Outward {
        ca_file: fields.nonempty("CAFile")?,
        cert_file: fields.nonempty("CertFile")?,
        key_file: fields.nonempty("KeyFile")?,
        sni: fields.nonempty("SNI")?,
        keeps_host: fields.flag("DisableAutoHostRewrite")?,
    };
    fields.finish()?;
    Ok(LinkedService {
        name,
        namespace: namespace.unwrap_or_default(),
        outward,
    })
}
