//! From JSON to routers, splitters and sameness groups.

use crate::fields::Fields;
use peerway_model::config::{
    Destination, HeaderEdits, HeaderTest, Member, PathTest, QueryTest, RequestMatch, RouteDestination,
    SamenessGroup, ServiceRoute, ServiceRouter, ServiceSplitter, Split, TextTest, WHOLE,
};
use peerway_model::name::{GroupName, Partition, SubsetName};
use peerway_model::{Invalid, Namespace, PeerName, Regular, ServiceName, Tenancy};
use serde_json::Value;

pub(super) fn service_router(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<ServiceRouter, Invalid> {
    let (name, tenancy) = named(&mut fields, defaults)?;
    let routes = fields
        .objects("Routes")?
        .into_iter()
        .map(route)
        .collect::<Result<_, _>>()?;
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(ServiceRouter {
        partition: tenancy.partition,
        namespace: tenancy.namespace,
        name,
        routes,
        meta,
    })
}

pub(super) fn service_splitter(
    mut fields: Fields<'_>,
    defaults: &Tenancy,
) -> Result<ServiceSplitter, Invalid> {
    let (name, tenancy) = named(&mut fields, defaults)?;
    let splits = fields
        .objects("Splits")?
        .into_iter()
        .map(split)
        .collect::<Result<_, _>>()?;
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(ServiceSplitter {
        partition: tenancy.partition,
        namespace: tenancy.namespace,
        name,
        splits,
        meta,
    })
}

pub(super) fn sameness_group(mut fields: Fields<'_>, defaults: &Tenancy) -> Result<SamenessGroup, Invalid> {
    let name_at = fields.at("Name");
    let name = GroupName::new(&fields.required("Name")?).map_err(|error| error.within(&name_at))?;
    let partition = fields
        .parsed("Partition", Partition::new)?
        .unwrap_or_else(|| defaults.partition.clone());
    let default_for_failover = fields.flag("DefaultForFailover")?;
    let include_local = fields.flag("IncludeLocal")?;
    let members = fields
        .objects("Members")?
        .into_iter()
        .map(member)
        .collect::<Result<_, _>>()?;
    let meta = fields.meta()?;
    fields.finish()?;
    Ok(SamenessGroup {
        partition,
        name,
        default_for_failover,
        include_local,
        members,
        meta,
    })
}

fn member(mut fields: Fields<'_>) -> Result<Member, Invalid> {
    let at = fields.path().to_owned();
    let partition = fields.parsed("Partition", Partition::new)?;
    let peer = fields.parsed("Peer", PeerName::new)?;
    fields.finish()?;
    match (partition, peer) {
        (Some(partition), None) => Ok(Member::Partition(partition)),
        (None, Some(peer)) => Ok(Member::Peer(peer)),
        (Some(_), Some(_)) => Err(Invalid::new(
            at,
            "has both Peer and Partition, use one member for each",
        )),
        (None, None) => Err(Invalid::new(at, "needs a Peer or a Partition")),
    }
}

/// Takes `Name`, `Partition` and `Namespace` of an entry about one service.
pub(in crate::config) fn named(
    fields: &mut Fields<'_>,
    defaults: &Tenancy,
) -> Result<(ServiceName, Tenancy), Invalid> {
    let name_at = fields.at("Name");
    let name = ServiceName::new(&fields.required("Name")?).map_err(|error| error.within(&name_at))?;
    Ok((name, fields.tenancy(defaults)?))
}

/// Takes the fields that say where something leads.
pub(super) fn destination(fields: &mut Fields<'_>) -> Result<Destination, Invalid> {
    Ok(Destination {
        service: fields.parsed("Service", ServiceName::new)?,
        subset: fields.parsed("ServiceSubset", SubsetName::new)?,
        namespace: fields.parsed("Namespace", Namespace::new)?,
        partition: fields.parsed("Partition", Partition::new)?,
        peer: fields.parsed("Peer", PeerName::new)?,
    })
}

fn route(mut fields: Fields<'_>) -> Result<ServiceRoute, Invalid> {
    let mut request = RequestMatch::default();
    if let Some(mut matching) = fields.object("Match")? {
        if let Some(http) = matching.object("HTTP")? {
            request = request_match(http)?;
        }
        matching.finish()?;
    }
    let destination = fields.object("Destination")?.map(route_destination).transpose()?;
    fields.finish()?;
    Ok(ServiceRoute { request, destination })
}

fn request_match(mut fields: Fields<'_>) -> Result<RequestMatch, Invalid> {
    let at = fields.path().to_owned();
    let exact = fields.nonempty("PathExact")?.map(PathTest::Exact);
    let prefix = fields.nonempty("PathPrefix")?.map(PathTest::Prefix);
    let regex = fields.parsed("PathRegex", Regular::new)?.map(PathTest::Regex);
    let path = one_of(&at, "PathExact, PathPrefix and PathRegex", [exact, prefix, regex])?;
    let case_insensitive = fields.flag("CaseInsensitive")?;
    let headers = fields
        .objects("Header")?
        .into_iter()
        .map(header_test)
        .collect::<Result<_, _>>()?;
    let query = fields
        .objects("QueryParam")?
        .into_iter()
        .map(query_test)
        .collect::<Result<_, _>>()?;
    let methods = fields.texts("Methods")?;
    fields.finish()?;
    Ok(RequestMatch {
        path: path.unwrap_or_default(),
        case_insensitive,
        headers,
        query,
        methods: methods.iter().map(|method| method.to_ascii_uppercase()).collect(),
    })
}

fn header_test(mut fields: Fields<'_>) -> Result<HeaderTest, Invalid> {
    let at = fields.path().to_owned();
    let name = fields.required("Name")?;
    let tests = [
        fields.flag("Present")?.then_some(TextTest::Present),
        fields.nonempty("Exact")?.map(TextTest::Exact),
        fields.nonempty("Prefix")?.map(TextTest::Prefix),
        fields.nonempty("Suffix")?.map(TextTest::Suffix),
        fields.parsed("Regex", Regular::new)?.map(TextTest::Regex),
    ];
    let invert = fields.flag("Invert")?;
    fields.finish()?;
    let offered = "Present, Exact, Prefix, Suffix and Regex";
    match one_of(&at, offered, tests)? {
        Some(test) => Ok(HeaderTest { name, test, invert }),
        None => Err(Invalid::new(at, format!("needs one of {offered}"))),
    }
}

fn query_test(mut fields: Fields<'_>) -> Result<QueryTest, Invalid> {
    let at = fields.path().to_owned();
    let name = fields.required("Name")?;
    let tests = [
        fields.flag("Present")?.then_some(TextTest::Present),
        fields.nonempty("Exact")?.map(TextTest::Exact),
        fields.parsed("Regex", Regular::new)?.map(TextTest::Regex),
    ];
    fields.finish()?;
    let offered = "Present, Exact and Regex";
    match one_of(&at, offered, tests)? {
        Some(test) => Ok(QueryTest { name, test }),
        None => Err(Invalid::new(at, format!("needs one of {offered}"))),
    }
}

/// The one that is given, or that more than one is.
fn one_of<T, const N: usize>(at: &str, offered: &str, given: [Option<T>; N]) -> Result<Option<T>, Invalid> {
    let mut given = given.into_iter().flatten();
    let first = given.next();
    if given.next().is_some() {
        return Err(Invalid::new(at, format!("has more than one of {offered}")));
    }
    Ok(first)
}

fn route_destination(mut fields: Fields<'_>) -> Result<RouteDestination, Invalid> {
    let to = destination(&mut fields)?;
    let prefix_rewrite = fields.nonempty("PrefixRewrite")?;
    let request_timeout_ms = timeout(&mut fields, "RequestTimeout")?;
    let idle_timeout_ms = timeout(&mut fields, "IdleTimeout")?;
    let request_headers = header_edits(&mut fields, "RequestHeaders")?;
    let response_headers = header_edits(&mut fields, "ResponseHeaders")?;
    let mut destination = RouteDestination {
        to,
        prefix_rewrite,
        request_timeout_ms,
        idle_timeout_ms,
        request_headers,
        response_headers,
        ..RouteDestination::default()
    };
    retries(&mut fields, &mut destination)?;
    fields.finish()?;
    Ok(destination)
}

/// Takes the fields that say what is tried again.
pub(in crate::config) fn retries(fields: &mut Fields<'_>, how: &mut RouteDestination) -> Result<(), Invalid> {
    let count = fields.number("NumRetries", u64::from(u32::MAX))?;
    how.num_retries = count
        .filter(|count| *count > 0)
        .and_then(|count| u32::try_from(count).ok());
    how.retry_on_connect_failure = fields.flag("RetryOnConnectFailure")?;
    how.retry_on = fields.texts("RetryOn")?;
    how.retry_on_status_codes = fields
        .list("RetryOnStatusCodes")?
        .into_iter()
        .map(|(at, value)| status_code(at, value))
        .collect::<Result<_, _>>()?;
    Ok(())
}

/// Takes a list of changes of headers, one after the other, as one.
pub(in crate::config) fn merged_edits(
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Result<HeaderEdits, Invalid> {
    fields
        .objects(key)?
        .into_iter()
        .try_fold(HeaderEdits::default(), |all, one| Ok(all.with(&edits_in(one)?)))
}

/// Takes a duration; 0 counts as not given, as with Consul.
pub(in crate::config) fn timeout(fields: &mut Fields<'_>, key: &'static str) -> Result<Option<u64>, Invalid> {
    Ok(fields.duration_ms(key)?.filter(|ms| *ms > 0))
}

fn status_code(at: String, value: &Value) -> Result<u16, Invalid> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| Invalid::new(at, "expected a status from 100 to 599"))
}

pub(in crate::config) fn header_edits(
    fields: &mut Fields<'_>,
    key: &'static str,
) -> Result<HeaderEdits, Invalid> {
    match fields.object(key)? {
        Some(edits) => edits_in(edits),
        None => Ok(HeaderEdits::default()),
    }
}

fn edits_in(mut edits: Fields<'_>) -> Result<HeaderEdits, Invalid> {
    let add = edits.pairs("Add")?;
    let set = edits.pairs("Set")?;
    let remove = edits.texts("Remove")?;
    edits.finish()?;
    Ok(HeaderEdits {
        add,
        set,
        remove: remove.into_iter().collect(),
    })
}

fn split(mut fields: Fields<'_>) -> Result<Split, Invalid> {
    let at = fields.at("Weight");
    let weight = match fields.take("Weight") {
        None => 0,
        Some(value) => hundredths(value)
            .ok_or_else(|| Invalid::new(at, "expected a number from 0 to 100 with at most two decimals"))?,
    };
    let to = destination(&mut fields)?;
    let request_headers = header_edits(&mut fields, "RequestHeaders")?;
    let response_headers = header_edits(&mut fields, "ResponseHeaders")?;
    fields.finish()?;
    Ok(Split {
        weight,
        to,
        request_headers,
        response_headers,
    })
}

/// A share in hundredths, read off its digits so that nothing is rounded.
pub(crate) fn hundredths(value: &Value) -> Option<u32> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let part = part.trim_end_matches('0');
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if part.len() > 2 || !digits(part) || !digits(whole) {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let part: u32 = format!("{part:0<2}").parse().ok()?;
    whole
        .checked_mul(100)?
        .checked_add(part)
        .filter(|weight| *weight <= WHOLE)
}
