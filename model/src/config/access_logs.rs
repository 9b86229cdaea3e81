//! What proxies write about each connection and request.

use super::log_operators::is_known;
use crate::Invalid;

/// Longest format, in bytes.
pub const MAX_LOG_FORMAT_BYTES: usize = 16 << 10;
/// Longest path of a log file, in bytes (Linux' `PATH_MAX`).
pub const MAX_LOG_PATH_BYTES: usize = 4096;

/// Access logs of all proxies of a partition (xDS facts, section 7.10).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct AccessLogs {
    /// Whether anything is written.
    pub enabled: bool,
    /// Whether a listener is silent about connections that fit none of its chains.
    pub disable_listener_logs: bool,
    /// Where it is written.
    pub sink: LogSink,
    /// What is written.
    pub format: LogFormat,
}

/// Where a proxy writes its log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum LogSink {
    /// Its standard output.
    #[default]
    Stdout,
    /// Its standard error.
    Stderr,
    /// The end of a file with this absolute path.
    File(String),
}

/// What a line of a log is made of. Formats have Envoy's operators, such as `%RESPONSE_CODE%`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum LogFormat {
    /// A JSON object with the usual members.
    #[default]
    Usual,
    /// The text of a JSON object, whose texts have operators.
    Json(String),
    /// A text with operators; a line ends where the text does.
    Text(String),
}

impl AccessLogs {
    /// Refuses paths and formats that no proxy could use. That the text of a JSON format is JSON is for whoever has
    /// a parser.
    pub(super) fn validate(&self) -> Result<(), Invalid> {
        if let LogSink::File(path) = &self.sink {
            check_path(path).map_err(|error| error.within("Path"))?;
        }
        match &self.format {
            LogFormat::Usual => Ok(()),
            LogFormat::Json(text) => check_format(text).map_err(|error| error.within("JSONFormat")),
            LogFormat::Text(text) => check_format(text).map_err(|error| error.within("TextFormat")),
        }
    }
}

fn check_path(path: &str) -> Result<(), Invalid> {
    if !path.starts_with('/') {
        return Err(Invalid::new("", format!("is {path:?}, give an absolute path")));
    }
    if path.len() > MAX_LOG_PATH_BYTES {
        return Err(Invalid::new(
            "",
            format!(
                "has {} bytes, at most {MAX_LOG_PATH_BYTES} are allowed",
                path.len()
            ),
        ));
    }
    if path.chars().any(char::is_control) {
        return Err(Invalid::new("", "has a control character, remove it"));
    }
    Ok(())
}

/// `%NAME%`, `%NAME(...)%`, `%NAME(...):N%` and `%%`, of names that every supported Envoy knows. A format that Envoy cannot read would make it refuse every
/// listener, so what can be told here is.
fn check_format(text: &str) -> Result<(), Invalid> {
    if text.len() > MAX_LOG_FORMAT_BYTES {
        return Err(Invalid::new(
            "",
            format!(
                "has {} bytes, at most {MAX_LOG_FORMAT_BYTES} are allowed",
                text.len()
            ),
        ));
    }
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        rest = match after.strip_prefix('%') {
            Some(literal) => literal,
            None => operator(after).ok_or_else(|| {
                let shown: String = after.chars().take(32).collect();
                Invalid::new(
                    "",
                    format!(
                        "has no operator that every supported Envoy knows at \"%{shown}\", write for example %RESPONSE_CODE%, and %% for a percent sign"
                    ),
                )
            })?,
        };
    }
    Ok(())
}

/// What follows an operator that Envoy knows, whose first percent sign is gone.
fn operator(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))?;
    let (name, mut rest) = text.split_at_checked(end)?;
    let mut arguments = None;
    if let Some(inside) = rest.strip_prefix('(') {
        let (given, after) = inside.split_once(')')?;
        (arguments, rest) = (Some(given), after);
    }
    let mut length = None;
    if let Some(digits) = rest.strip_prefix(':') {
        let end = digits.find(|c: char| !c.is_ascii_digit())?;
        let (given, after) = digits.split_at_checked(end)?;
        (length, rest) = (Some(given), after);
    }
    let rest = rest.strip_prefix('%')?;
    is_known(name, arguments, length).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_envoy_can_read_are_taken() {
        for good in [
            "",
            "plain",
            "100%% sure",
            "%RESPONSE_CODE% %PROTOCOL%",
            "[%START_TIME(%s.%3f)%]",
            "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):10%",
            "%DYNAMIC_METADATA(a:b)%|",
            "%PATH(NQ:ORIG):12% and",
        ] {
            assert!(check_format(good).is_ok(), "{good}");
        }
        for bad in [
            "%",
            "50% off",
            "%response_code%",
            "%REQ(a%",
            "%REQ(a):x%",
            "%REQ(a):%",
            "%NO_SUCH_THING%",
            "%PROTOCOL(x)%",
            "%()%",
        ] {
            let error = check_format(bad).unwrap_err();
            assert!(error.to_string().contains("%RESPONSE_CODE%"), "{bad}: {error}");
        }
        assert!(check_format(&"x".repeat(MAX_LOG_FORMAT_BYTES + 1)).is_err());
    }

    #[test]
    fn every_example_of_an_operator_is_taken() {
        for example in crate::config::log_operator_examples() {
            assert!(check_format(&example).is_ok(), "{example}");
        }
    }

    #[test]
    fn files_have_absolute_paths() {
        let logs = |path: &str| AccessLogs {
            sink: LogSink::File(path.to_owned()),
            ..AccessLogs::default()
        };
        logs("/var/log/envoy.log").validate().unwrap();
        let long = format!("/{}", "x".repeat(MAX_LOG_PATH_BYTES));
        for bad in ["", "envoy.log", "/a\nb", &long] {
            let error = logs(bad).validate().unwrap_err();
            assert!(error.to_string().starts_with("Path"), "{error}");
        }
    }
}
