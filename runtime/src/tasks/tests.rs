//! Tasks that end, fail, panic and are told to stop.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::drain::Drain;

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_error_of_a_critical_task_begins_the_drain() {
    let (trigger, watch) = Drain::new();
    let tasks = Tasks::new(trigger);
    let other = tasks.watch();
    tasks.spawn("follower", async move {
        other.signaled().await;
        Ok::<_, String>(())
    });
    tasks.spawn("listener", async { Err("address in use") });

    let failure = tasks.failed().await;
    assert_eq!(failure.task, "listener");
    assert!(!failure.panicked && failure.critical);
    assert_eq!(failure.to_string(), "task listener failed: address in use");
    watch.signaled().await;

    let report = tasks.shutdown(GRACE).await;
    assert_eq!(report.failures, [failure]);
    assert!(report.aborted.is_empty() && !report.is_clean());
    assert!(tasks.running().is_empty());
}

#[tokio::test]
async fn a_panic_of_a_critical_task_begins_the_drain() {
    let (trigger, watch) = Drain::new();
    let tasks = Tasks::new(trigger);
    tasks.spawn("pump", async {
        if tokio::task::try_id().is_some() {
            panic!("made to fail by test {}", 1);
        }
        Ok::<_, String>(())
    });
    let failure = tasks.failed().await;
    assert!(failure.panicked);
    assert_eq!(failure.reason, "made to fail by test 1");
    watch.signaled().await;
}

#[tokio::test]
async fn a_background_panic_is_kept_but_the_process_goes_on() {
    let (trigger, watch) = Drain::new();
    let tasks = Tasks::new(trigger);
    let before = FAILURES.with_label_values(&["connection"]).get();
    tasks.spawn_background("connection", async { panic!("made to fail by the test") });
    tasks.shared.tally.zero().await;
    assert!(!watch.is_signaled());
    assert_eq!(FAILURES.with_label_values(&["connection"]).get(), before + 1);

    let report = tasks.shutdown(GRACE).await;
    assert_eq!(report.failures.len(), 1);
    assert!(!report.failures[0].critical && report.is_clean());
}

#[tokio::test(start_paused = true)]
async fn stubborn_tasks_are_aborted_and_what_they_hold_is_dropped() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let (trigger, _watch) = Drain::new();
    let tasks = Tasks::new(trigger);
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Flag(Arc::clone(&dropped));
    tasks.spawn_background("stubborn", async move {
        let _flag = flag;
        pending::<()>().await;
    });
    assert_eq!(tasks.running(), ["stubborn"]);

    let report = tasks.shutdown(GRACE).await;
    assert_eq!(report.aborted, ["stubborn"]);
    assert!(report.drain.is_clean() && !report.is_clean());
    assert!(dropped.load(Ordering::SeqCst));

    tasks.spawn("late", async { Err("must not run") });
    assert!(tasks.running().is_empty());
    assert!(tasks.shutdown(GRACE).await.failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn guards_and_tasks_share_one_grace() {
    let (trigger, watch) = Drain::new();
    let tasks = Tasks::new(trigger);
    let _guard = watch.guard();
    tasks.spawn_background("stubborn", pending());
    let started = tokio::time::Instant::now();
    let report = tasks.shutdown(GRACE).await;
    assert_eq!(report.drain.remaining, 1);
    assert_eq!(started.elapsed(), GRACE);
}

#[tokio::test]
async fn failures_kept_are_bounded() {
    let (trigger, _watch) = Drain::new();
    let tasks = Tasks::new(trigger);
    for _ in 0..MAX_FAILURES_KEPT + 10 {
        tasks.spawn("listener", async { Err("no") });
    }
    let report = tasks.shutdown(GRACE).await;
    assert_eq!(report.failures.len(), MAX_FAILURES_KEPT);
}
