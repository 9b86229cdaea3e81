//! Calls as an application makes them: to a port of its own sidecar.

use crate::client::Client;
use crate::demo::stage::now;
use anyhow::{Context, Result, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A port of a sidecar behind which another service is.
#[derive(Clone, Copy)]
pub struct Dialled {
    /// The port, on loopback.
    pub port: u16,
}

impl Dialled {
    /// One request on a connection of its own; the body of the answer.
    ///
    /// # Errors
    /// When there is no answer, or not 200.
    pub fn call(self) -> Result<String> {
        // A client per call: every call shall open a connection, which is where policy is decided.
        let answer = Client::new(&format!("127.0.0.1:{}", self.port))?.get("/hello")?;
        if answer.status == 200 {
            Ok(answer.body.trim().to_owned())
        } else {
            bail!("answered {}", answer.status)
        }
    }

    /// One request that must not be answered; how it failed.
    ///
    /// # Errors
    /// When it was answered.
    pub fn must_fail(self) -> Result<String> {
        match self.call() {
            Ok(body) => bail!("the call was answered: {body}"),
            Err(error) => Ok(error.root_cause().to_string()),
        }
    }
}

/// Pause between two calls of a steady caller.
const PAUSE: Duration = Duration::from_millis(10);

/// Calls without end in the background, until stopped.
pub struct Steady {
    done: Arc<AtomicBool>,
    caller: JoinHandle<Result<u64>>,
}

impl Steady {
    /// Begins to call, each call on a connection of its own.
    pub fn start(dialled: Dialled) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let stop = done.clone();
        let caller = std::thread::spawn(move || {
            let (begun, mut calls) = (now(), 0);
            while !stop.load(Ordering::Acquire) {
                dialled.call().with_context(|| {
                    format!("call {calls} failed after {:.2} s", begun.elapsed().as_secs_f64())
                })?;
                calls += 1;
                std::thread::sleep(PAUSE);
            }
            Ok(calls)
        });
        Steady { done, caller }
    }

    /// Stops calling; how many calls were answered.
    ///
    /// # Errors
    /// The first call that failed.
    pub fn stop(self) -> Result<u64> {
        self.done.store(true, Ordering::Release);
        match self.caller.join() {
            Ok(result) => result,
            Err(_) => bail!("the caller panicked"),
        }
    }
}
