//! Twin of the access logs.

use peerway_model::config::{AccessLogs, LogFormat, LogSink};
use serde::{Deserialize, Serialize};

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct AccessLogsRecord {
    enabled: bool,
    #[serde(default)]
    disable_listener_logs: bool,
    #[serde(default)]
    sink: SinkRecord,
    #[serde(default)]
    format: FormatRecord,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SinkRecord {
    #[default]
    Stdout,
    Stderr,
    File(String),
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FormatRecord {
    #[default]
    Usual,
    Json(String),
    Text(String),
}

impl AccessLogsRecord {
    pub(super) fn is_default(&self) -> bool {
        *self == AccessLogsRecord::default()
    }
}

impl From<&AccessLogs> for AccessLogsRecord {
    fn from(logs: &AccessLogs) -> Self {
        let AccessLogs {
            enabled,
            disable_listener_logs,
            sink,
            format,
        } = logs;
        AccessLogsRecord {
            enabled: *enabled,
            disable_listener_logs: *disable_listener_logs,
            sink: match sink {
                LogSink::Stdout => SinkRecord::Stdout,
                LogSink::Stderr => SinkRecord::Stderr,
                LogSink::File(path) => SinkRecord::File(path.clone()),
            },
            format: match format {
                LogFormat::Usual => FormatRecord::Usual,
                LogFormat::Json(text) => FormatRecord::Json(text.clone()),
                LogFormat::Text(text) => FormatRecord::Text(text.clone()),
            },
        }
    }
}

impl From<AccessLogsRecord> for AccessLogs {
    fn from(record: AccessLogsRecord) -> Self {
        AccessLogs {
            enabled: record.enabled,
            disable_listener_logs: record.disable_listener_logs,
            sink: match record.sink {
                SinkRecord::Stdout => LogSink::Stdout,
                SinkRecord::Stderr => LogSink::Stderr,
                SinkRecord::File(path) => LogSink::File(path),
            },
            format: match record.format {
                FormatRecord::Usual => LogFormat::Usual,
                FormatRecord::Json(text) => LogFormat::Json(text),
                FormatRecord::Text(text) => LogFormat::Text(text),
            },
        }
    }
}
