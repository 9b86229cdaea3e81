//! Resident memory of processes, looked at once a second. A process that is started again begins another life.

use crate::pace::Pace;
use peerway_cli::demo::stage::Process;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Samples on each side of a moment whose median counts as the memory at that moment: one sample may fall into a
/// moment of work.
const AROUND: usize = 5;
/// Most that memory may have grown, as a ratio.
pub(crate) const FLAT: f64 = 1.05;

/// One process from its start to its end.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) name: String,
    pid: u32,
    ended: bool,
    /// KiB, one a second.
    kib: Vec<u64>,
}

impl Life {
    /// How many seconds were looked at.
    pub(crate) fn seconds(&self) -> usize {
        self.kib.len()
    }

    /// The memory around a second of this life, in KiB.
    pub(crate) fn at(&self, second: usize) -> Option<u64> {
        let last = self.kib.len().checked_sub(1)?;
        let middle = second.min(last);
        let mut around = self
            .kib
            .get(middle.saturating_sub(AROUND)..=(middle + AROUND).min(last))?
            .to_vec();
        around.sort_unstable();
        around.get(around.len() / 2).copied()
    }

    /// The memory at the end, in KiB.
    pub(crate) fn end(&self) -> Option<u64> {
        self.at(self.kib.len())
    }

    /// How much larger it was at the end than at `second`.
    pub(crate) fn growth(&self, second: usize) -> Option<f64> {
        Some(self.end()? as f64 / self.at(second)?.max(1) as f64)
    }

    /// For the report: the memory at `second` and at the end.
    pub(crate) fn report(&self, second: usize) -> Value {
        json!({
            "name": self.name,
            "seconds": self.seconds(),
            "kib_then": self.at(second),
            "kib_end": self.end(),
            "kib_most": self.kib.iter().max(),
            "ratio": self.growth(second).map(|ratio| (ratio * 1000.0).round() / 1000.0),
        })
    }
}

/// All lives.
#[derive(Default)]
pub(crate) struct Memory {
    lives: Mutex<Vec<Life>>,
}

impl Memory {
    /// Begins to look at a process that was just started.
    pub(crate) fn watch(&self, name: &str, process: &Process) {
        if let Some(pid) = process.id() {
            self.begin(name, pid);
        }
    }

    fn begin(&self, name: &str, pid: u32) {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        for life in lives.iter_mut().filter(|life| life.name == name) {
            life.ended = true;
        }
        lives.push(Life {
            name: name.to_owned(),
            pid,
            ended: false,
            kib: Vec::new(),
        });
    }

    /// Looks once a second until `done`.
    pub(crate) fn look_until(&self, done: &AtomicBool) {
        let mut pace = Pace::every(Duration::from_secs(1));
        while !done.load(Ordering::Acquire) {
            pace.wait();
            self.look();
        }
    }

    fn look(&self) {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        for life in lives.iter_mut().filter(|life| !life.ended) {
            match resident(life.pid) {
                Some(kib) => life.kib.push(kib),
                None => life.ended = true,
            }
        }
    }

    /// Every life, in the order of their beginnings.
    pub(crate) fn lives(&self) -> Vec<Life> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a process has in memory, in KiB; `None` when there is no such process.
fn resident(pid: u32) -> Option<u64> {
    read_resident(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// Out of the text of `/proc/PID/status`. One that has ended and was not waited for has no such line.
fn read_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(kib: &[u64]) -> Life {
        Life {
            name: "west".to_owned(),
            pid: 0,
            ended: false,
            kib: kib.to_vec(),
        }
    }

    #[test]
    fn memory_is_the_median_around_a_moment() {
        let mut kib = vec![100; 30];
        kib[10] = 9_000;
        kib.extend(vec![110; 30]);
        let grown = life(&kib);
        assert_eq!((grown.at(10), grown.end()), (Some(100), Some(110)));
        assert!((grown.growth(10).unwrap() - 1.1).abs() < 1e-9);
        assert!(grown.growth(10).unwrap() > FLAT);
        assert_eq!(life(&[]).growth(10), None);
        assert_eq!(life(&[7]).at(100), Some(7));
    }

    #[test]
    fn a_status_is_read_and_this_process_has_one() {
        assert_eq!(
            read_resident("Name:\tx\nVmRSS:\t   1234 kB\nThreads: 1\n"),
            Some(1234)
        );
        assert_eq!(read_resident("Name:\tx\nState:\tZ (zombie)\n"), None);
        assert!(resident(std::process::id()).unwrap() > 0);
    }

    #[test]
    fn a_process_that_is_started_again_has_another_life() {
        let (memory, own) = (Memory::default(), std::process::id());
        memory.begin("west", own);
        memory.look();
        memory.look();
        memory.begin("east", own);
        memory.begin("west", own);
        memory.look();
        let seconds: Vec<(String, usize)> = memory
            .lives()
            .iter()
            .map(|life| (life.name.clone(), life.seconds()))
            .collect();
        let expected = [("west", 2), ("east", 1), ("west", 1)];
        assert_eq!(seconds, expected.map(|(name, count)| (name.to_owned(), count)));
    }
}
