//! Paths that a sidecar exposes: `Expose`.

use crate::fields::Fields;
use peerway_model::config::Protocol;
use peerway_model::{Exposed, ExposedPath, Invalid};
use serde::Serialize;

/// Why checks are not exposed.
const CHECKS: &str = "would expose the paths of checks that the agent runs, which are not offered: name each path in Paths and remove it";

/// Takes `Expose`.
pub(super) fn exposed_from(fields: &mut Fields<'_>) -> Result<Vec<ExposedPath>, Invalid> {
    let Some(mut expose) = fields.object("Expose")? else {
        return Ok(Vec::new());
    };
    expose.refused("Checks", CHECKS)?;
    // What was computed from ports that are taken; comes back from clients that send what they were shown.
    expose.tolerate(&["LeftOut"]);
    let paths = expose
        .objects("Paths")?
        .into_iter()
        .map(path_from)
        .collect::<Result<_, _>>()?;
    expose.finish()?;
    Ok(paths)
}

fn path_from(mut fields: Fields<'_>) -> Result<ExposedPath, Invalid> {
    let protocol = fields.parsed("Protocol", |text| {
        match Protocol::parse(&text.to_ascii_lowercase()) {
            Some(protocol @ (Protocol::Http | Protocol::Http2)) => Ok(protocol),
            Some(Protocol::Tcp | Protocol::Grpc) | None => Err(Invalid::new(
                "",
                format!("{text:?} is not one in which a path is asked for, use \"http\" or \"http2\""),
            )),
        }
    })?;
    let path = ExposedPath {
        path: fields.required("Path")?,
        local_port: fields.port("LocalPathPort")?,
        listener_port: fields.port("ListenerPort")?,
        protocol: protocol.unwrap_or(Protocol::Http),
    };
    // Computed by Consul's agents; clients send back what they read.
    fields.tolerate(&["ParsedFromCheck"]);
    fields.finish()?;
    Ok(path)
}

/// `Expose` in answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are Consul's, named as there")]
pub struct ExposeJson {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<ExposedPathJson>,
    /// Paths that something says and that are not exposed. Not in Consul.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOutJson>,
}

/// One of `Paths` in answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are Consul's, named as there")]
pub struct ExposedPathJson {
    pub path: String,
    pub local_path_port: u16,
    pub listener_port: u16,
    pub protocol: &'static str,
}

/// A path that is not exposed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LeftOutJson {
    /// The path.
    pub path: String,
    /// The port that it would have.
    pub listener_port: u16,
    /// Why, for people.
    pub why: String,
}

impl From<&ExposedPath> for ExposedPathJson {
    fn from(path: &ExposedPath) -> Self {
        ExposedPathJson {
            path: path.path.clone(),
            local_path_port: path.local_port,
            listener_port: path.listener_port,
            protocol: path.protocol.as_str(),
        }
    }
}

impl ExposeJson {
    /// What is said.
    pub(crate) fn of(paths: &[ExposedPath]) -> Self {
        ExposeJson {
            paths: paths.iter().map(ExposedPathJson::from).collect(),
            left_out: Vec::new(),
        }
    }

    /// What counts.
    pub(crate) fn counting(exposed: &Exposed) -> Self {
        let left_out = exposed.shut.iter().map(|(path, what)| LeftOutJson {
            path: path.path.clone(),
            listener_port: path.listener_port,
            why: format!("port {} is that of {what}", path.listener_port),
        });
        ExposeJson {
            left_out: left_out.collect(),
            ..ExposeJson::of(&exposed.open)
        }
    }
}
