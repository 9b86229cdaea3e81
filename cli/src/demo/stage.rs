//! Processes of a demo or a test: started with their logs in files, all of them stopped in the end.

use super::envoy::Envoy;
pub use super::ports::free_port;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a process gets to stop by itself before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How often a condition is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(20);

/// The present time, for durations that are shown or bound a wait.
#[expect(
    clippy::disallowed_methods,
    reason = "the demo measures real time; there is no clock to hold here"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// A handle on one running process; the stage owns it.
#[derive(Clone)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Arc<Mutex<Option<Child>>>,
}

impl Process {
    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file with its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its number in the system, until it was stopped or killed.
    pub fn id(&self) -> Option<u32> {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.as_ref().map(Child::id)
    }

    /// Asks it to stop, waits, and kills it if it does not; its exit status, if it was running.
    pub fn stop(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        signal(&child, Signal::TERM);
        let deadline = now() + STOP_GRACE;
        while now() < deadline {
            match child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) => std::thread::sleep(POLL),
                Err(_) => break,
            }
        }
        let _ = child.kill();
        child.wait().ok()
    }

    /// Kills it without warning (SIGKILL) and waits until it is gone.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether it is still running.
    pub fn is_running(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// The last lines of its output.
    pub fn tail(&self, lines: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all.get(all.len().saturating_sub(lines)..)
            .unwrap_or_default()
            .join("\n")
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // The process may be gone already, which is what was wanted.
        let _ = kill_process(pid, signal);
    }
}

/// Owns all processes and the folder of their logs and data.
#[derive(Clone)]
pub struct Stage {
    dir: PathBuf,
    binary: PathBuf,
    envoy: PathBuf,
    processes: Arc<Mutex<Vec<Process>>>,
    envoys: Arc<Mutex<Vec<Envoy>>>,
}

impl Stage {
    /// A stage in `dir` (made if needed), with `binary` being peerway and `envoy` Envoy.
    ///
    /// # Errors
    /// When the folder cannot be made or Envoy cannot be run.
    pub fn new(dir: &Path, binary: &Path, envoy: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let version = Command::new(envoy)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match version {
            Ok(status) if status.success() => {}
            Ok(status) => bail!("{} --version failed ({status}), is it Envoy?", envoy.display()),
            Err(error) => bail!(
                "cannot run Envoy as {}: {error}; name it with -envoy-binary",
                envoy.display()
            ),
        }
        Ok(Stage {
            dir: dir.to_owned(),
            binary: binary.to_owned(),
            envoy: envoy.to_owned(),
            processes: Arc::default(),
            envoys: Arc::default(),
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The peerway binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The Envoy binary.
    pub fn envoy(&self) -> &Path {
        &self.envoy
    }

    /// Starts `peerway` with `args`; its output goes to `NAME.log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, name: &str, args: &[String]) -> Result<Process> {
        let log = self.dir.join(format!("{name}.log"));
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let child = Command::new(&self.binary)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let process = Process {
            name: name.to_owned(),
            log,
            child: Arc::new(Mutex::new(Some(child))),
        };
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(process.clone());
        Ok(process)
    }

    /// Runs `peerway` with `args` to its end; standard output, trimmed.
    ///
    /// # Errors
    /// When it fails, with what it said on standard error.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(&self.binary)
            .args(args)
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim())
        }
    }

    /// Writes a file into the folder; its path as text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<String> {
        let path = self.dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// Remembers an Envoy, for [`Stage::nothing_rejected`].
    pub fn watch(&self, envoy: &Envoy) {
        self.envoys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(envoy.clone());
    }

    /// Checks that no Envoy that runs has rejected anything and that none, running or stopped, has warned of a
    /// deprecated field; how many were looked at.
    ///
    /// # Errors
    /// The first that has, with what it said.
    pub fn nothing_rejected(&self) -> Result<usize> {
        let envoys = self.envoys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for envoy in &envoys {
            envoy.has_rejected_nothing()?;
        }
        Ok(envoys.len())
    }

    /// Processes that were started and not stopped through their handle but have ended.
    pub fn fallen(&self) -> Vec<Process> {
        let processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_held = |process: &Process| {
            process
                .child
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_some()
        };
        processes
            .iter()
            .filter(|process| is_held(process) && !process.is_running())
            .cloned()
            .collect()
    }

    /// Stops everything, the last started first.
    pub fn stop(&self) {
        let processes = std::mem::take(&mut *self.processes.lock().unwrap_or_else(PoisonError::into_inner));
        for process in processes.iter().rev() {
            process.stop();
        }
    }
}

/// Looks at `condition` until it says something, for at most `limit`.
///
/// # Errors
/// When the time is up, naming `what` was waited for and the last reason that `condition` gave.
pub fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = now() + limit;
    loop {
        match condition() {
            Ok(value) => return Ok(value),
            Err(error) if now() >= deadline => {
                return Err(error).with_context(|| format!("waited {} s for {what}", limit.as_secs()));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}
