//! `api-gateway` and `inline-certificate`.

use super::mesh_tls::{bounds_named, put_bounds_named};
use super::read::routing::named;
use crate::fields::Fields;
use peerway_model::config::{ApiGateway, ApiListener, ApiTls, InlineCertificate, Protocol};
use peerway_model::{Invalid, Secret, ServiceName, Tenancy};
use serde_json::{Map, Value, json};

/// Consul's names of the fields that say which TLS is spoken, here.
const BOUNDS: [&str; 2] = ["MinVersion", "MaxVersion"];
/// The kind of the certificates that are offered.
const INLINE: &str = "inline-certificate";

pub(super) fn api_gateway(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<ApiGateway, Invalid> {
    let (name, tenancy) = named(&mut fields, defaults)?;
    let listeners = fields
        .objects("Listeners")?
        .into_iter()
        .map(|one| listener(one, &tenancy))
        .collect::<Result<_, _>>()?;
    // What clients read and send back.
    fields.tolerate(&["Status"]);
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(ApiGateway {
        partition: tenancy.partition,
        namespace: tenancy.namespace,
        name,
        listeners,
        meta,
    })
}

fn listener(mut fields: Fields<'_>, tenancy: &Tenancy) -> Result<ApiListener, Invalid> {
    let name = fields.required("Name")?;
    let hostname = fields.nonempty("Hostname")?;
    let port = fields.port("Port")?;
    let protocol = fields.parsed("Protocol", |text| match text {
        "http" => Ok(Protocol::Http),
        "tcp" => Ok(Protocol::Tcp),
        "http2" | "grpc" => Err(Invalid::new(
            "",
            format!("is {text:?}, use \"http\", over which clients may speak HTTP/2 and gRPC as well"),
        )),
        other => Err(Invalid::new("", format!("is {other:?}, use \"http\" or \"tcp\""))),
    })?;
    let protocol = protocol.ok_or_else(|| fields.missing("Protocol"))?;
    let tls = fields
        .object("TLS")?
        .map(|one| tls(one, tenancy))
        .transpose()?
        .flatten();
    for field in ["Override", "Default"] {
        fields.refused(
            field,
            "is for JWT, which is not offered at gateways: write it into the service-intentions of the services",
        )?;
    }
    fields.not_offered(&["MaxRequestHeadersKB"])?;
    fields.finish()?;
    Ok(ApiListener {
        name,
        hostname,
        port,
        protocol,
        tls,
    })
}

/// `None` when it says nothing.
fn tls(mut fields: Fields<'_>, tenancy: &Tenancy) -> Result<Option<ApiTls>, Invalid> {
    let certificates: Vec<ServiceName> = fields
        .objects("Certificates")?
        .into_iter()
        .map(|one| certificate_ref(one, tenancy))
        .collect::<Result<_, _>>()?;
    let bounds = bounds_named(&mut fields, BOUNDS)?;
    fields.finish()?;
    let nothing = certificates.is_empty() && bounds == Default::default();
    Ok((!nothing).then_some(ApiTls { certificates, bounds }))
}

fn certificate_ref(mut fields: Fields<'_>, tenancy: &Tenancy) -> Result<ServiceName, Invalid> {
    let kind_at = fields.at("Kind");
    match fields.required("Kind")?.as_str() {
        INLINE => {}
        other => {
            return Err(Invalid::new(
                kind_at,
                format!("is {other:?}, {INLINE:?} is the only one that is offered"),
            ));
        }
    }
    let name_at = fields.at("Name");
    let name = ServiceName::new(&fields.required("Name")?).map_err(|error| error.within(&name_at))?;
    fields.not_offered(&["SectionName"])?;
    same_place(&mut fields, tenancy, "an inline-certificate", "gateway")?;
    fields.finish()?;
    Ok(name)
}

/// Takes `Partition` and `Namespace`, which can only be those of the entry.
pub(super) fn same_place(
    fields: &mut Fields<'_>,
    tenancy: &Tenancy,
    what: &str,
    whose: &str,
) -> Result<(), Invalid> {
    let at = fields.path().to_owned();
    let other = fields.tenancy(tenancy)?;
    if other == *tenancy {
        return Ok(());
    }
    Err(Invalid::new(
        at,
        format!(
            "is elsewhere: {what} is in the partition and namespace of its {whose}, remove Partition and Namespace"
        ),
    ))
}

pub(super) fn inline_certificate(
    mut fields: Fields<'_>,
    defaults: &Tenancy,
) -> Result<InlineCertificate, Invalid> {
    let (name, tenancy) = named(&mut fields, defaults)?;
    let certificate = fields.required("Certificate")?;
    let key = Secret::new(fields.required("PrivateKey")?);
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(InlineCertificate {
        partition: tenancy.partition,
        namespace: tenancy.namespace,
        name,
        certificate,
        key,
        meta,
    })
}

pub(super) fn put_api_gateway(out: &mut Map<String, Value>, entry: &ApiGateway) {
    let listener = |listener: &ApiListener| {
        let ApiListener {
            name,
            hostname,
            port,
            protocol,
            tls,
        } = listener;
        let mut out = Map::new();
        out.insert("Name".to_owned(), json!(name));
        if let Some(hostname) = hostname {
            out.insert("Hostname".to_owned(), json!(hostname));
        }
        out.insert("Port".to_owned(), json!(port));
        out.insert("Protocol".to_owned(), json!(protocol.as_str()));
        if let Some(ApiTls { certificates, bounds }) = tls {
            let mut shown = put_bounds_named(bounds, BOUNDS);
            let certificates = certificates
                .iter()
                .map(|name| json!({ "Kind": INLINE, "Name": name.as_str() }));
            shown.insert("Certificates".to_owned(), certificates.collect());
            out.insert("TLS".to_owned(), Value::Object(shown));
        }
        Value::Object(out)
    };
    let listeners = entry.listeners.iter().map(listener).collect();
    out.insert("Listeners".to_owned(), listeners);
}

/// Without the key, which nobody needs to read who has written it.
pub(super) fn put_inline_certificate(out: &mut Map<String, Value>, entry: &InlineCertificate) {
    out.insert("Certificate".to_owned(), json!(entry.certificate));
}
