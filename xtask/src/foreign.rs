//! Providing the Python of the scripted foreign peer (tests/foreign): a virtual environment in the target folder.
//!
//! Nothing is installed anywhere else. The environment is made once and again when the requirements change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::place::Place;
use crate::run;

/// Tells the tests which Python to run; names one that is there already.
pub(crate) const OVERRIDE: &str = "PEERWAY_FOREIGN_PYTHON";

/// What the foreign peer needs, exact versions.
const REQUIREMENTS: &str = "tests/foreign/requirements.txt";

/// Fails unless the packages are there.
const PROBE: &str = "import cryptography, google.protobuf, grpc";

/// How to go on when it cannot be made; the end of every such error.
const CURE: &str =
    "or set PEERWAY_FOREIGN_PYTHON to a python with the packages of tests/foreign/requirements.txt";

/// Returns the path of a Python that has what the foreign peer needs: the override, the one made before, or a new
/// one.
pub(crate) fn provide(place: &Place) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(OVERRIDE).filter(|path| !path.is_empty()) {
        let path =
            std::path::absolute(PathBuf::from(path)).context("PEERWAY_FOREIGN_PYTHON is no usable path")?;
        probe(&path).with_context(|| {
            format!(
                "PEERWAY_FOREIGN_PYTHON names {}, which lacks packages: correct or unset it",
                path.display()
            )
        })?;
        return Ok(path);
    }
    let requirements = place.root.join(REQUIREMENTS);
    let wanted = fs::read_to_string(&requirements)
        .with_context(|| format!("{} cannot be read", requirements.display()))?;
    let folder = place.target.join("foreign").join("venv");
    let (python, stamp) = (folder.join("bin/python"), folder.join("made-of.txt"));
    if is_current(&stamp, &wanted) && probe(&python).is_ok() {
        return Ok(python);
    }
    make(&folder, &python, &requirements)?;
    probe(&python).with_context(|| format!("the installed packages do not load: {CURE}"))?;
    // Last, so that an interrupted run leaves nothing that looks complete.
    fs::write(&stamp, wanted).with_context(|| format!("{} cannot be written", stamp.display()))?;
    Ok(python)
}

fn make(folder: &Path, python: &Path, requirements: &Path) -> Result<()> {
    eprintln!("making the foreign peer's python (PyPI packages of {REQUIREMENTS})");
    run::quietly(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(folder),
    )
    .with_context(|| format!("python3 cannot make a virtual environment: install python3-venv, {CURE}"))?;
    run::quietly(
        Command::new(python)
            .args([
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-input",
            ])
            .args(["--only-binary=:all:", "--requirement"])
            .arg(requirements),
    )
    .with_context(|| format!("the packages cannot be fetched: check the network, {CURE}"))?;
    Ok(())
}

/// Whether the environment was completed with these requirements.
fn is_current(stamp: &Path, wanted: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|made_of| made_of == wanted)
}

fn probe(python: &Path) -> Result<()> {
    run::quietly(Command::new(python).args(["-c", PROBE])).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_without_its_stamp_or_with_an_old_one_is_not_current() {
        let folder = std::env::temp_dir().join(format!("peerway-foreign-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let stamp = folder.join("made-of.txt");
        let before = is_current(&stamp, "a==1\n");
        fs::write(&stamp, "a==1\n").unwrap();
        let (same, other) = (is_current(&stamp, "a==1\n"), is_current(&stamp, "a==2\n"));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((before, same, other), (false, true, false));
    }

    #[test]
    fn a_python_that_is_not_there_has_no_packages() {
        assert!(probe(Path::new("peerway-no-such-python")).is_err());
    }
}
