//! Running other programs with errors that say what failed and how.

use std::ffi::OsStr;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Lines of a failed program's output that go into the error: enough for the cause, not the whole noise.
const SHOWN_LINES: usize = 15;

/// Runs `command` with inherited output. The error names the command line and the exit status.
pub(crate) fn visibly(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("`{}` cannot be started", line(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", line(command));
    }
    Ok(())
}

/// Runs `command` and returns what it printed. The error holds the last [`SHOWN_LINES`] lines of its output.
pub(crate) fn quietly(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("`{}` cannot be started", line(command)))?;
    if !output.status.success() {
        let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
        printed.push_str(&String::from_utf8_lossy(&output.stderr));
        bail!(
            "`{}` failed ({}):\n{}",
            line(command),
            output.status,
            last_lines(&printed)
        );
    }
    Ok(output)
}

/// The command line as a person would type it, without the folder of the program.
pub(crate) fn line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or(command.get_program())];
    words.extend(command.get_args());
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}

/// The last [`SHOWN_LINES`] lines that are not empty, indented.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    shown
        .iter()
        .map(|line| format!("    {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_the_end_of_the_output_and_the_status() {
        let script = "for i in $(seq 1 100); do echo line$i; done; echo cause >&2; exit 7";
        let error = quietly(Command::new("sh").args(["-c", script]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("cause") && error.contains("line100"), "{error}");
        assert!(error.contains('7'), "the exit status is missing: {error}");
        assert!(!error.contains("line80\n"), "too much of the output: {error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = quietly(&mut Command::new("peerway-no-such-program"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("peerway-no-such-program"), "{error}");
    }

    #[test]
    fn a_success_returns_the_output() {
        assert_eq!(quietly(Command::new("echo").arg("yes")).unwrap().stdout, b"yes\n");
    }
}
