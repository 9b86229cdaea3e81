//! `AccessLogs` of `proxy-defaults`.

use crate::fields::Fields;
use peerway_model::Invalid;
use peerway_model::config::{AccessLogs, LogFormat, LogSink};
use serde_json::{Map, Value, json};

/// Takes the field `AccessLogs`.
///
/// # Errors
/// What is wrong or unknown, with its path.
pub(crate) fn access_logs_from(fields: &mut Fields<'_>) -> Result<AccessLogs, Invalid> {
    let Some(mut fields) = fields.object("AccessLogs")? else {
        return Ok(AccessLogs::default());
    };
    let enabled = fields.flag("Enabled")?;
    let disable_listener_logs = fields.flag("DisableListenerLogs")?;
    let path = fields.nonempty("Path")?;
    let sink = match (fields.text_or_empty("Type")?.as_str(), path) {
        ("" | "stdout", None) => LogSink::Stdout,
        ("stderr", None) => LogSink::Stderr,
        ("file", Some(path)) => LogSink::File(path),
        ("file", None) => return Err(fields.missing("Path")),
        ("" | "stdout" | "stderr", Some(_)) => {
            return Err(Invalid::new(
                fields.at("Path"),
                "is for the Type \"file\" only, remove it or change the Type",
            ));
        }
        (other, _) => {
            return Err(Invalid::new(
                fields.at("Type"),
                format!("is {other:?}, use \"stdout\", \"stderr\" or \"file\""),
            ));
        }
    };
    let format = match (fields.nonempty("JSONFormat")?, fields.nonempty("TextFormat")?) {
        (None, None) => LogFormat::Usual,
        (None, Some(text)) => LogFormat::Text(text),
        (Some(text), None) => {
            if !matches!(serde_json::from_str(&text), Ok(Value::Object(_))) {
                return Err(Invalid::new(
                    fields.at("JSONFormat"),
                    "is not the text of a JSON object, write for example \"{ \\\"code\\\": \\\"%RESPONSE_CODE%\\\" }\"",
                ));
            }
            LogFormat::Json(text)
        }
        (Some(_), Some(_)) => {
            return Err(Invalid::new(
                fields.at("TextFormat"),
                "does not go together with JSONFormat, remove one of them",
            ));
        }
    };
    fields.finish()?;
    Ok(AccessLogs {
        enabled,
        disable_listener_logs,
        sink,
        format,
    })
}

/// Adds the field, if it says anything.
pub(crate) fn put_access_logs(out: &mut Map<String, Value>, logs: &AccessLogs) {
    if *logs == AccessLogs::default() {
        return;
    }
    let mut shown = Map::new();
    shown.insert("Enabled".to_owned(), json!(logs.enabled));
    if logs.disable_listener_logs {
        shown.insert("DisableListenerLogs".to_owned(), json!(true));
    }
    let (kind, path) = match &logs.sink {
        LogSink::Stdout => ("stdout", None),
        LogSink::Stderr => ("stderr", None),
        LogSink::File(path) => ("file", Some(path)),
    };
    shown.insert("Type".to_owned(), json!(kind));
    if let Some(path) = path {
        shown.insert("Path".to_owned(), json!(path));
    }
    match &logs.format {
        LogFormat::Usual => {}
        LogFormat::Json(text) => _ = shown.insert("JSONFormat".to_owned(), json!(text)),
        LogFormat::Text(text) => _ = shown.insert("TextFormat".to_owned(), json!(text)),
    }
    out.insert("AccessLogs".to_owned(), Value::Object(shown));
}
