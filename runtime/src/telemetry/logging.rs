//! Logs: `tracing` events to stderr, as text or one JSON object a line.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The environment variable that overrides the configured level. It takes a level or a list of
/// `target=level` directives as tracing-subscriber's `EnvFilter` reads them.
pub const LOG_ENV: &str = "PEERWAY_LOG";

/// The levels that a configuration may name, most talkative first; the same words as Consul's
/// `log_level`.
const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// Libraries that tell of every frame at debug; only their informative levels are let through unless
/// [`LOG_ENV`] asks for more, also because their frames may hold secrets.
const CHATTY: [&str; 7] = [
    "h2",
    "hyper",
    "hyper_util",
    "tonic",
    "tower",
    "rustls",
    "tokio_rustls",
];

/// Why logging could not be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The level is none of the known words.
    #[error("log level {found:?} is not known: use trace, debug, info, warn or error")]
    UnknownLevel {
        /// What was configured.
        found: String,
    },
    /// The environment variable holds no valid filter.
    #[error(
        "environment variable PEERWAY_LOG is not a log filter: {reason}; use a level or target=level,..."
    )]
    BadOverride {
        /// What the filter's parser said.
        reason: String,
    },
    /// Logging was set up before in this process.
    #[error("logging is set up already: call init_logging once")]
    AlreadySet,
}

/// Sets up logging for the process: to stderr, from `level` on (trace, debug, info, warn, error in any
/// case), as JSON lines when `json` is set. [`LOG_ENV`], when set and not empty, takes the place of
/// `level`.
///
/// # Errors
///
/// When the level or the override is not understood, or when it was called before.
pub fn init_logging(level: &str, json: bool) -> Result<(), LogError> {
    let filter = filter(level, std::env::var(LOG_ENV).ok().as_deref())?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    let done = if json {
        builder.json().flatten_event(true).finish().try_init()
    } else {
        builder.with_ansi(stderr().is_terminal()).finish().try_init()
    };
    done.map_err(|_| LogError::AlreadySet)
}

fn filter(level: &str, override_: Option<&str>) -> Result<EnvFilter, LogError> {
    // The level is checked even when it is overridden: a bad configuration is bad on every machine.
    let word = level.trim().to_ascii_lowercase();
    if !LEVELS.contains(&word.as_str()) {
        return Err(LogError::UnknownLevel {
            found: level.to_owned(),
        });
    }
    let directives = match override_ {
        Some(text) if !text.trim().is_empty() => text.to_owned(),
        _ if word == "trace" || word == "debug" => CHATTY
            .iter()
            .fold(word, |list, target| format!("{list},{target}=info")),
        _ => word,
    };
    EnvFilter::try_new(&directives).map_err(|error| LogError::BadOverride {
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_consuls_in_any_case() {
        for level in ["trace", "DEBUG", "Info", " warn ", "ERROR"] {
            assert!(filter(level, None).is_ok(), "{level}");
        }
        let error = filter("loud", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "log level \"loud\" is not known: use trace, debug, info, warn or error"
        );
        assert!(filter("", None).is_err());
    }

    #[test]
    fn debug_keeps_the_transport_libraries_quiet() {
        let text = filter("debug", None).unwrap().to_string();
        assert!(text.contains("h2=info") && text.contains("debug"), "{text}");
        assert_eq!(filter("error", None).unwrap().to_string(), "error");
    }

    #[test]
    fn the_override_wins_but_must_be_a_filter() {
        assert_eq!(filter("info", Some("h2=trace")).unwrap().to_string(), "h2=trace");
        assert_eq!(filter("info", Some(" ")).unwrap().to_string(), "info");
        assert!(matches!(
            filter("info", Some("a=b=c")),
            Err(LogError::BadOverride { .. })
        ));
        assert!(matches!(
            filter("loud", Some("info")),
            Err(LogError::UnknownLevel { .. })
        ));
    }

    #[test]
    fn the_second_set_up_is_refused() {
        // The first call may find a subscriber set by another test of this process; the second always does.
        let _ = init_logging("error", true);
        assert_eq!(init_logging("error", false), Err(LogError::AlreadySet));
    }
}
