//! What the command line asks for.

use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;

/// How long a run takes unless it is said, in seconds.
const SECONDS: u64 = 600;
/// Peers of the cluster in the middle, services of each, and changes a second over all, in a run of churn.
const CHURN: (usize, usize, u32) = (10, 500, 100);

/// Which run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Many changes, and no faults.
    Churn,
    /// Every fault that there is.
    Faults,
}

/// The run and its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) kind: Kind,
    /// How long changes and faults go on; setting up and settling come on top.
    pub(crate) seconds: u64,
    /// From which everything random follows. What the processes do meanwhile does not.
    pub(crate) seed: u64,
    /// Where the report goes besides standard output.
    pub(crate) json: Option<PathBuf>,
    pub(crate) peers: usize,
    pub(crate) services: usize,
    /// Changes a second, over all clusters.
    pub(crate) rate: u32,
    /// The `peerway` to run; the one beside this program unless given.
    pub(crate) binary: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        let mut args = args.iter();
        let kind = match args.next().map(String::as_str) {
            Some("churn") => Kind::Churn,
            Some("faults") => Kind::Faults,
            Some(other) => bail!("unknown run {other:?}: known are churn and faults"),
            None => bail!("say which run: churn or faults"),
        };
        let (peers, services, rate) = CHURN;
        let mut options = Options {
            kind,
            seconds: SECONDS,
            seed: 1,
            json: None,
            peers,
            services,
            rate,
            binary: None,
        };
        while let Some(flag) = args.next() {
            let value = args.next().with_context(|| format!("{flag} needs a value"))?;
            let number = || {
                let number = value.parse::<u64>();
                number.with_context(|| format!("{flag} {value:?} is not a whole number"))
            };
            match flag.as_str() {
                "--seconds" => options.seconds = number()?,
                "--seed" => options.seed = number()?,
                "--json" => options.json = Some(PathBuf::from(value)),
                "--binary" => options.binary = Some(PathBuf::from(value)),
                "--peers" if kind == Kind::Churn => options.peers = usize::try_from(number()?)?,
                "--services" if kind == Kind::Churn => options.services = usize::try_from(number()?)?,
                "--rate" if kind == Kind::Churn => options.rate = u32::try_from(number()?)?,
                _ => bail!(
                    "unknown argument {flag:?}: known are --seconds, --seed, --json and --binary, and for churn --peers, --services and --rate"
                ),
            }
        }
        for (flag, most, value) in [
            ("--seconds", 86_400, options.seconds),
            ("--peers", 50, options.peers as u64),
            ("--services", 2_000, options.services as u64),
            ("--rate", 10_000, u64::from(options.rate)),
        ] {
            ensure!(
                (1..=most).contains(&value),
                "{flag} {value} is not within 1 and {most}"
            );
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn a_run_is_as_large_as_it_is_asked_for() {
        let all =
            parse("churn --seconds 60 --seed 7 --json out.json --peers 2 --services 3 --rate 4").unwrap();
        assert_eq!((all.seconds, all.seed), (60, 7));
        assert_eq!((all.peers, all.services, all.rate), (2, 3, 4));
        assert_eq!(all.json, Some(PathBuf::from("out.json")));
        let faults = parse("faults").unwrap();
        assert_eq!((faults.kind, faults.seconds, faults.seed), (Kind::Faults, 600, 1));
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_name() {
        for (bad, named) in [
            ("", "churn or faults"),
            ("rain", "rain"),
            ("churn --seconds", "--seconds"),
            ("churn --seconds x", "--seconds"),
            ("churn --seconds 0", "--seconds"),
            ("churn --peers 51", "--peers"),
            ("churn --rate 0", "--rate"),
            ("faults --rate 5", "--rate"),
        ] {
            let error = format!("{:#}", parse(bad).unwrap_err());
            assert!(error.contains(named), "{bad}: {error}");
        }
    }
}
