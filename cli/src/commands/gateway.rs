//! Gateways: which one to run, and registering it on the way.

use crate::client::{Client, ClientFlags};
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

/// The port of a gateway that is registered without one; Consul's.
const DEFAULT_PORT: u16 = 8443;

/// Kinds of gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Gateway {
    /// A mesh gateway
    Mesh,
    /// A terminating gateway
    Terminating,
    /// An ingress gateway
    Ingress,
    /// An API gateway
    Api,
}

/// What a gateway is registered as.
#[derive(Args)]
pub(super) struct Registering {
    /// Register the gateway before running it
    #[arg(long, requires = "gateway")]
    register: bool,
    /// Name of the gateway that is registered; its kind unless given
    #[arg(long, value_name = "NAME", requires = "register")]
    service: Option<String>,
    /// Where the gateway that is registered is dialled
    #[arg(long, value_name = "IP[:PORT]", requires = "register")]
    address: Option<String>,
    /// Where other clusters dial the gateway that is registered
    #[arg(long, value_name = "IP[:PORT]", requires = "register")]
    wan_address: Option<String>,
}

impl Gateway {
    /// Consul's word for it.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Gateway::Mesh => "mesh-gateway",
            Gateway::Terminating => "terminating-gateway",
            Gateway::Ingress => "ingress-gateway",
            Gateway::Api => "api-gateway",
        }
    }

    /// The same for people, with its article.
    pub(super) fn named(self) -> &'static str {
        match self {
            Gateway::Mesh => "a mesh gateway",
            Gateway::Terminating => "a terminating gateway",
            Gateway::Ingress => "an ingress gateway",
            Gateway::Api => "an API gateway",
        }
    }
}

impl Registering {
    /// Registers a gateway, if that is asked for; its id.
    pub(super) fn register(
        &self,
        client: &Client,
        flags: &ClientFlags,
        kind: Gateway,
        id: Option<&str>,
    ) -> Result<Option<String>> {
        if !self.register {
            return Ok(None);
        }
        let name = self.service.as_deref().unwrap_or(kind.kind());
        let id = id.unwrap_or(name);
        let mut service = json!({ "Kind": kind.kind(), "Name": name, "ID": id });
        let (address, port) = match &self.address {
            Some(text) => split(text).context("-address")?,
            None => (String::new(), DEFAULT_PORT),
        };
        service["Address"] = json!(address);
        service["Port"] = json!(port);
        if let Some(text) = &self.wan_address {
            let (wan, wan_port) = split(text).context("-wan-address")?;
            let lan = json!({ "Address": address, "Port": port });
            let mut tagged = json!({ "wan": { "Address": wan, "Port": wan_port } });
            if !address.is_empty() {
                tagged["lan"] = lan;
            }
            service["TaggedAddresses"] = tagged;
        }
        let path = format!("/v1/agent/service/register{}", flags.tenancy_query());
        client.put(&path, &service)?.ok()?;
        Ok(Some(id.to_owned()))
    }
}

/// An address, and its port or [`DEFAULT_PORT`].
fn split(text: &str) -> Result<(String, u16)> {
    let bare = |text: &str| text.trim_start_matches('[').trim_end_matches(']').to_owned();
    let v6 = text.parse::<std::net::Ipv6Addr>().is_ok();
    let (address, port) = match text.rsplit_once(':') {
        Some((address, port)) if !v6 => {
            let port = port
                .parse()
                .with_context(|| format!("{text:?} has no port after its ':', write IP:PORT"))?;
            (bare(address), port)
        }
        _ => (bare(text), DEFAULT_PORT),
    };
    ensure!(
        !address.is_empty(),
        "{text:?} has no address, write IP or IP:PORT"
    );
    Ok((address, port))
}

/// Refuses a proxy that is of another kind than asked for, or none at all.
pub(super) fn check_kind(proxy: &Value, gateway: Option<Gateway>) -> Result<()> {
    let (kind, id) = (
        proxy["Kind"].as_str().unwrap_or_default(),
        proxy["ID"].as_str().unwrap_or_default(),
    );
    match gateway {
        Some(gateway) if gateway.kind() == kind => Ok(()),
        Some(gateway) => bail!("{id:?} is not registered as {} (kind {kind:?})", gateway.named()),
        None if !kind.is_empty() => Ok(()),
        None => bail!("{id:?} is not a proxy (kind {kind:?}); for its sidecar use -sidecar-for {id}"),
    }
}

/// The only gateway of a kind among these services.
pub(super) fn only(services: &[Value], gateway: Gateway) -> Result<String> {
    let named = gateway.named();
    let ids: Vec<&str> = services
        .iter()
        .filter(|one| one["Kind"] == gateway.kind())
        .filter_map(|one| one["ID"].as_str())
        .collect();
    match ids.as_slice() {
        [id] => Ok((*id).to_owned()),
        [] => {
            bail!(
                "no service is registered as {named}, register it with -register, or name it with -proxy-id"
            )
        }
        many => bail!(
            "more than one service is registered as {named}, choose with -proxy-id: {}",
            many.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_port_or_the_usual_one() {
        let split = |text| split(text).unwrap();
        assert_eq!(split("10.0.0.1"), ("10.0.0.1".to_owned(), DEFAULT_PORT));
        assert_eq!(split("10.0.0.1:80"), ("10.0.0.1".to_owned(), 80));
        assert_eq!(split("gw.example:80"), ("gw.example".to_owned(), 80));
        assert_eq!(split("::1"), ("::1".to_owned(), DEFAULT_PORT));
        assert_eq!(split("[::1]:80"), ("::1".to_owned(), 80));
        for bad in ["", ":80", "a:b", "10.0.0.1:70000"] {
            assert!(super::split(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_only_gateway_of_a_kind_is_found() {
        let one = |kind: &str, id: &str| json!({ "Kind": kind, "ID": id });
        let all = [
            one("mesh-gateway", "m"),
            one("ingress-gateway", "i"),
            one("", "web"),
        ];
        assert_eq!(only(&all, Gateway::Ingress).unwrap(), "i");
        assert_eq!(only(&all, Gateway::Mesh).unwrap(), "m");
        let two = [one("ingress-gateway", "a"), one("ingress-gateway", "b")];
        assert!(
            only(&two, Gateway::Ingress)
                .unwrap_err()
                .to_string()
                .ends_with("a, b")
        );
        assert!(only(&[], Gateway::Mesh).is_err());
        assert!(check_kind(&all[1], Some(Gateway::Ingress)).is_ok());
        assert!(check_kind(&all[1], None).is_ok());
        assert!(check_kind(&all[1], Some(Gateway::Mesh)).is_err());
        assert!(check_kind(&all[2], None).is_err());
    }
}
