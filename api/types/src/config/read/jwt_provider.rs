//! Reads `jwt-provider`.

mod key_set;

use crate::fields::Fields;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use key_set::key_set;
use peerway_model::config::{
    DEFAULT_CLOCK_SKEW_SECONDS, Forwarding, HeaderName, JwtProvider, KeyDiscovery, KeySource, KeyUri,
    RemoteKeys, Retries, TokenLocation, TrustedCa,
};
use peerway_model::{Invalid, Namespace, Partition, ProviderName, Tenancy};

pub(super) fn jwt_provider(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<JwtProvider, Invalid> {
    let (partition, name) = named(&mut fields, defaults)?;
    let issuer = fields.required("Issuer")?;
    let audiences = fields.texts("Audiences")?;
    let keys = fields
        .object("JSONWebKeySet")?
        .ok_or_else(|| Invalid::new(fields.at("JSONWebKeySet"), "is required, with Local or Remote"))?;
    let keys = key_source(keys)?;
    let locations = fields
        .objects("Locations")?
        .into_iter()
        .map(location)
        .collect::<Result<_, _>>()?;
    let forwarding = fields.object("Forwarding")?.map(forwarding).transpose()?;
    let clock_skew_seconds = small(&mut fields, "ClockSkewSeconds")?
        .filter(|seconds| *seconds != 0)
        .unwrap_or(DEFAULT_CLOCK_SKEW_SECONDS);
    let mut cache_size = 0;
    if let Some(mut cache) = fields.object("CacheConfig")? {
        cache_size = small(&mut cache, "Size")?.unwrap_or(0);
        cache.finish()?;
    }
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(JwtProvider {
        partition,
        name,
        issuer,
        audiences,
        keys,
        locations,
        forwarding,
        clock_skew_seconds,
        cache_size,
        meta,
    })
}

fn small(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<u32>, Invalid> {
    let number = fields.number(key, u64::from(u32::MAX))?;
    Ok(number.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
}

fn key_source(mut fields: Fields<'_>) -> Result<KeySource, Invalid> {
    let at = fields.path().to_owned();
    let local = fields.object("Local")?;
    let remote = fields.object("Remote")?;
    fields.finish()?;
    match (local, remote) {
        (Some(local), None) => self::local(local).map(KeySource::Local),
        (None, Some(remote)) => Ok(KeySource::Remote(Box::new(self::remote(remote)?))),
        (Some(_), Some(_)) => Err(Invalid::new(at, "has both Local and Remote, keep one")),
        (None, None) => Err(Invalid::new(at, "needs Local or Remote")),
    }
}

fn local(mut fields: Fields<'_>) -> Result<peerway_model::config::KeySet, Invalid> {
    fields.refused(
        "Filename",
        "would be read on the machine of every proxy, give what is in the file as JWKS, in base64",
    )?;
    let at = fields.at("JWKS");
    let text = fields.required("JWKS")?;
    fields.finish()?;
    let refuse = |problem: String| Invalid::new(at.clone(), problem);
    let json = STANDARD
        .decode(text.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| refuse("is not base64 of a text, encode the JSON of the key set".to_owned()))?;
    key_set(&json).map_err(|problem| refuse(problem.to_string()))
}

fn remote(mut fields: Fields<'_>) -> Result<RemoteKeys, Invalid> {
    let uri = fields
        .parsed("URI", KeyUri::new)?
        .ok_or_else(|| fields.missing("URI"))?;
    let request_timeout_ms = fields
        .number("RequestTimeoutMs", u64::from(u32::MAX))?
        .filter(|ms| *ms != 0);
    let cache_ms = fields.duration_ms("CacheDuration")?.filter(|ms| *ms != 0);
    let fetch_early = fields.flag("FetchAsynchronously")?;
    // The name is always asked for, so that it can be checked.
    fields.tolerate(&["UseSNI"]);
    let retries = match fields.object("RetryPolicy")? {
        None => None,
        Some(mut policy) => {
            let count = small(&mut policy, "NumRetries")?.unwrap_or(0);
            let backoff = match policy.object("RetryPolicyBackOff")? {
                None => None,
                Some(backoff) => self::backoff(backoff)?,
            };
            policy.finish()?;
            Some(Retries { count, backoff })
        }
    };
    let mut keys = RemoteKeys {
        uri,
        request_timeout_ms,
        cache_ms,
        fetch_early,
        retries,
        discovery: KeyDiscovery::default(),
        connect_timeout_ms: None,
        trusted: None,
    };
    if let Some(mut cluster) = fields.object("JWKSCluster")? {
        keys.discovery = cluster.parsed("DiscoveryType", discovery)?.unwrap_or_default();
        keys.connect_timeout_ms = cluster.duration_ms("ConnectTimeout")?.filter(|ms| *ms != 0);
        if let Some(certificates) = cluster.object("TLSCertificates")? {
            keys.trusted = trusted(certificates)?;
        }
        cluster.finish()?;
    }
    fields.finish()?;
    Ok(keys)
}

fn backoff(mut fields: Fields<'_>) -> Result<Option<(u64, Option<u64>)>, Invalid> {
    let base = fields.duration_ms("BaseInterval")?.filter(|ms| *ms != 0);
    let max = fields.duration_ms("MaxInterval")?.filter(|ms| *ms != 0);
    let missing = fields.missing("BaseInterval");
    fields.finish()?;
    match (base, max) {
        (Some(base), max) => Ok(Some((base, max))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(missing),
    }
}

fn discovery(text: &str) -> Result<KeyDiscovery, Invalid> {
    KeyDiscovery::parse(text).ok_or_else(|| {
        let offered = KeyDiscovery::ALL.map(KeyDiscovery::as_str).join(", ");
        Invalid::new(
            "",
            match text {
                "EDS" | "ORIGINAL_DST" => format!(
                    "is {text}, but nobody tells proxies the endpoints of a server outside the mesh, use one of {offered}"
                ),
                _ => format!("is {text:?}, use one of {offered}"),
            },
        )
    })
}

fn trusted(mut fields: Fields<'_>) -> Result<Option<TrustedCa>, Invalid> {
    fields.refused(
        "CaCertificateProviderInstance",
        "names a plugin that Envoy does not have, give the certificates as TrustedCA",
    )?;
    let Some(mut ca) = fields.object("TrustedCA")? else {
        fields.finish()?;
        return Ok(None);
    };
    fields.finish()?;
    ca.refused(
        "EnvironmentVariable",
        "would be read from the surroundings of every proxy, give the certificates as InlineString or their file as Filename",
    )?;
    let at = ca.path().to_owned();
    let bytes_at = ca.at("InlineBytes");
    let file = ca.nonempty("Filename")?.map(TrustedCa::File);
    let inline = ca.nonempty("InlineString")?.map(TrustedCa::Inline);
    let bytes = ca.nonempty("InlineBytes")?.map(|text| {
        let pem = STANDARD.decode(text.trim()).ok();
        pem.and_then(|bytes| String::from_utf8(bytes).ok())
            .map(TrustedCa::InlineBytes)
            .ok_or_else(|| Invalid::new(bytes_at, "is not base64 of certificates in PEM"))
    });
    ca.finish()?;
    let mut given = [file, inline, bytes.transpose()?].into_iter().flatten();
    let first = given.next();
    match given.next() {
        None => Ok(first),
        Some(_) => Err(Invalid::new(
            at,
            "has more than one of Filename, InlineString and InlineBytes, keep one",
        )),
    }
}

fn location(mut fields: Fields<'_>) -> Result<TokenLocation, Invalid> {
    let at = fields.path().to_owned();
    let header = fields.object("Header")?.map(header).transpose()?;
    let query = fields.object("QueryParam")?.map(bare).transpose()?;
    let cookie = fields.object("Cookie")?.map(bare).transpose()?;
    fields.finish()?;
    match (header, query, cookie) {
        (Some(header), None, None) => Ok(header),
        (None, Some(name), None) => Ok(TokenLocation::QueryParam(name)),
        (None, None, Some(name)) => Ok(TokenLocation::Cookie(name)),
        (None, None, None) => Err(Invalid::new(at, "needs one of Header, QueryParam and Cookie")),
        _ => Err(Invalid::new(
            at,
            "has more than one of Header, QueryParam and Cookie, give each a location of its own",
        )),
    }
}

fn header(mut fields: Fields<'_>) -> Result<TokenLocation, Invalid> {
    let name = fields
        .parsed("Name", HeaderName::new)?
        .ok_or_else(|| fields.missing("Name"))?;
    let prefix = fields.text_or_empty("ValuePrefix")?;
    let forward = fields.flag("Forward")?;
    fields.finish()?;
    Ok(TokenLocation::Header {
        name,
        prefix,
        forward,
    })
}

/// An object with a name and nothing else.
fn bare(mut fields: Fields<'_>) -> Result<String, Invalid> {
    let name = fields.required("Name")?;
    fields.finish()?;
    Ok(name)
}

fn forwarding(mut fields: Fields<'_>) -> Result<Forwarding, Invalid> {
    let header = fields
        .parsed("HeaderName", HeaderName::new)?
        .ok_or_else(|| fields.missing("HeaderName"))?;
    let pad = fields.flag("PadForwardPayloadHeader")?;
    fields.finish()?;
    Ok(Forwarding { header, pad })
}

/// Takes `Partition` and `Name`; there is no namespace.
fn named(fields: &mut Fields<'_>, defaults: &Tenancy) -> Result<(Partition, ProviderName), Invalid> {
    let given = fields.nonempty("Namespace")?;
    if given.is_some_and(|text| text != Namespace::default().as_str()) {
        return Err(Invalid::new(
            fields.at("Namespace"),
            "must not be given, a jwt-provider holds for a whole partition",
        ));
    }
    let partition = fields
        .parsed("Partition", Partition::new)?
        .unwrap_or_else(|| defaults.partition.clone());
    let name = fields
        .parsed("Name", ProviderName::new)?
        .ok_or_else(|| fields.missing("Name"))?;
    Ok((partition, name))
}
