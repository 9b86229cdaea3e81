//! Tasks with a name: none fails unseen, and the failure of a critical one begins the shutdown.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntCounterVec;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::drain::{DrainReport, DrainTrigger, DrainWatch};
use crate::tally::{Held, Tally};
use crate::telemetry::counter_vec;

/// How many failures are kept for the report; later ones are only logged and counted.
pub const MAX_FAILURES_KEPT: usize = 64;

/// How long aborted tasks are given to drop what they hold before [`Tasks::shutdown`] returns.
pub const ABORT_GRACE: Duration = Duration::from_secs(1);

static FAILURES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "peerway_runtime_task_failures_total",
        "Tasks that ended by an error or a panic.",
        &["task"],
    )
});

/// The supervisor of a process's tasks; clones share it. Needs a running tokio runtime to spawn.
#[derive(Clone, Debug)]
pub struct Tasks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    trigger: DrainTrigger,
    tally: Tally,
    registry: Mutex<Registry>,
    first_failure: watch::Sender<Option<TaskFailure>>,
}

#[derive(Debug, Default)]
struct Registry {
    /// One entry for each task that runs, removed as it ends. `None` until the abort handle is known.
    running: BTreeMap<u64, (&'static str, Option<AbortHandle>)>,
    next: u64,
    closed: bool,
    failures: Vec<TaskFailure>,
}

/// How a task failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {task} failed: {reason}")]
pub struct TaskFailure {
    /// The name that the task was spawned with.
    pub task: &'static str,
    /// The error's text, or the panic's message.
    pub reason: String,
    /// Whether it panicked rather than returned an error.
    pub panicked: bool,
    /// Whether the process cannot go on without the task.
    pub critical: bool,
}

/// How the tasks ended.
#[derive(Clone, Debug)]
#[must_use]
pub struct TasksReport {
    /// How the drain went.
    pub drain: DrainReport,
    /// Names of the tasks that had to be aborted because they outlived the grace, oldest first.
    pub aborted: Vec<&'static str>,
    /// The failures since the start, oldest first, at most [`MAX_FAILURES_KEPT`].
    pub failures: Vec<TaskFailure>,
}

impl TasksReport {
    /// Returns whether no critical task failed and none had to be aborted.
    pub fn is_clean(&self) -> bool {
        self.aborted.is_empty()
            && self.drain.is_clean()
            && !self.failures.iter().any(|failure| failure.critical)
    }
}

impl Tasks {
    /// Makes a supervisor that begins the drain of `trigger` when a critical task fails.
    pub fn new(trigger: DrainTrigger) -> Self {
        Self {
            shared: Arc::new(Shared {
                trigger,
                tally: Tally::new(),
                registry: Mutex::new(Registry::default()),
                first_failure: watch::Sender::new(None),
            }),
        }
    }

    /// Returns a watch on the drain, for a task to end by.
    pub fn watch(&self) -> DrainWatch {
        self.shared.trigger.watch()
    }

    /// Spawns a critical task. An error or a panic is logged, counted, kept, and begins the drain.
    /// Ending with `Ok` is a good end at any time; a task that must live until the drain returns an
    /// error when it ends before.
    ///
    /// `name` comes from a closed set: it is a metric label. After [`Tasks::shutdown`] the future is
    /// dropped unpolled.
    pub fn spawn<F, E>(&self, name: &'static str, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        self.start(name, true, async move {
            future.await.map_err(|error| error.to_string())
        });
    }

    /// Spawns a task that the process can lose, such as one connection. A panic is logged, counted and
    /// kept, and nothing else happens. `name` as in [`Tasks::spawn`].
    pub fn spawn_background<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.start(name, false, async move {
            future.await;
            Ok(())
        });
    }

    /// Returns the names of the tasks that run, oldest first.
    pub fn running(&self) -> Vec<&'static str> {
        self.shared
            .registry
            .lock()
            .running
            .values()
            .map(|(name, _)| *name)
            .collect()
    }

    /// Returns the first failure of a critical task, once there is one. Cancel safe.
    pub async fn failed(&self) -> TaskFailure {
        let mut first = self.shared.first_failure.subscribe();
        loop {
            if let Some(failure) = first.borrow_and_update().clone() {
                return failure;
            }
            if first.changed().await.is_err() {
                // Cannot be: the sender lives in self. Never returning is what "no failure" means.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Begins the drain, waits up to `grace` for guards and tasks to end, aborts the tasks that remain,
    /// and refuses new ones from then on. Takes at most `grace` plus [`ABORT_GRACE`], as long as no task
    /// blocks its thread. Not for calling from one of its own tasks, which would wait for itself.
    pub async fn shutdown(&self, grace: Duration) -> TasksReport {
        let started = tokio::time::Instant::now();
        let drain = self.shared.trigger.drain(grace).await;
        let _ = timeout(grace.saturating_sub(started.elapsed()), self.shared.tally.zero()).await;
        let aborted = {
            let mut registry = self.shared.registry.lock();
            registry.closed = true;
            let running = std::mem::take(&mut registry.running);
            drop(registry);
            running
                .into_values()
                .map(|(name, handle)| {
                    if let Some(handle) = handle {
                        handle.abort();
                    }
                    name
                })
                .collect::<Vec<_>>()
        };
        if !aborted.is_empty() {
            tracing::warn!(tasks = ?aborted, "tasks outlived the grace and were aborted");
            let _ = timeout(ABORT_GRACE, self.shared.tally.zero()).await;
        }
        TasksReport {
            drain,
            aborted,
            failures: self.shared.registry.lock().failures.clone(),
        }
    }

    fn start<F>(&self, name: &'static str, critical: bool, future: F)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let id = {
            let mut registry = self.shared.registry.lock();
            if registry.closed {
                drop(registry);
                tracing::warn!(task = name, "task refused because the process has shut down");
                return;
            }
            let id = registry.next;
            registry.next += 1;
            registry.running.insert(id, (name, None));
            id
        };
        let entry = Entry {
            shared: Arc::clone(&self.shared),
            id,
            _held: self.shared.tally.hold(),
        };
        let future = Unwinding(Box::pin(future));
        // Not under the lock: a runtime that is shutting down drops the task, and so its entry, right here.
        let handle = tokio::spawn(async move {
            match future.await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => entry.shared.report(TaskFailure {
                    task: name,
                    reason,
                    panicked: false,
                    critical,
                }),
                Err(reason) => entry.shared.report(TaskFailure {
                    task: name,
                    reason,
                    panicked: true,
                    critical,
                }),
            }
        });
        let mut registry = self.shared.registry.lock();
        if let Some((_, kept)) = registry.running.get_mut(&id) {
            *kept = Some(handle.abort_handle());
        } else if registry.closed {
            // The shutdown came in between and found no handle to abort.
            drop(registry);
            handle.abort();
        }
    }
}

impl Shared {
    fn report(&self, failure: TaskFailure) {
        FAILURES.with_label_values(&[failure.task]).inc();
        tracing::error!(
            task = failure.task,
            reason = failure.reason,
            panicked = failure.panicked,
            critical = failure.critical,
            "task failed"
        );
        {
            let mut registry = self.registry.lock();
            if registry.failures.len() < MAX_FAILURES_KEPT {
                registry.failures.push(failure.clone());
            }
        }
        if failure.critical {
            self.first_failure.send_if_modified(|first| {
                let is_first = first.is_none();
                if is_first {
                    *first = Some(failure);
                }
                is_first
            });
            self.trigger.begin();
        }
    }
}

/// A running task's place in the registry; dropped when the task ends in whatever way.
struct Entry {
    shared: Arc<Shared>,
    id: u64,
    _held: Held,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.shared.registry.lock().running.remove(&self.id);
    }
}

/// Turns a panic while polling into an error, so that the task's own code can report it.
struct Unwinding<T>(Pin<Box<dyn Future<Output = T> + Send>>);

impl<T> Future for Unwinding<T> {
    type Output = Result<T, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // The future is never polled again after a panic, so nobody sees what it left half done.
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => Poll::Ready(Err(panic_message(payload.as_ref()))),
        }
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    if let Some(message) = payload.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message.clone()
    } else {
        "panic without a message".to_owned()
    }
}

#[cfg(test)]
mod tests;
