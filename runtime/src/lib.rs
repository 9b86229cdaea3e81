//! What every running room stands on: a clock that tests can hold, tasks that are watched, a drain,
//! a start-up readiness gate, backoff with repeatable jitter, and the set-up of logs and metrics.
//!
//! This crate knows nothing of services or proxies.

pub mod backoff;
pub mod clock;
pub mod drain;
pub mod readiness;
mod tally;
pub mod tasks;
pub mod telemetry;

pub use backoff::Backoff;
pub use clock::{Clock, ManualClock, SharedClock, SystemClock, UnixMillis};
pub use drain::{Drain, DrainGuard, DrainReport, DrainTrigger, DrainWatch};
pub use readiness::{Readiness, ReadyGuard};
pub use tasks::{TaskFailure, Tasks, TasksReport};
