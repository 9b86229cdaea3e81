//! Servers that are killed at random moments and started again.

use super::course::Course;
use super::ledger::Ledger;
use super::scene::Site;
use super::weather::Almanac;
use super::writes::{held, lock};
use crate::memory::Memory;
use anyhow::{Context, Result};
use fastrand::Rng;
use std::sync::Mutex;
use std::time::Duration;

/// What a kill concerns.
pub(crate) struct Killing<'a> {
    pub(crate) course: &'a Course,
    pub(crate) almanac: &'a Almanac,
    pub(crate) ledger: &'a Mutex<Ledger>,
    pub(crate) memory: &'a Memory,
    /// After that the server is left alone, so that its memory can be looked at.
    pub(crate) until: Duration,
}

impl Killing<'_> {
    /// Kills the server of a cluster again and again; what it lost.
    ///
    /// # Errors
    /// When it does not come back.
    pub(crate) fn run(&self, site: &mut Site, seed: u64) -> Result<Vec<String>> {
        let mut random = Rng::with_seed(seed);
        let mut lost = Vec::new();
        loop {
            let pause = Duration::from_millis(random.u64(8_000..45_000));
            // Half of the times it is started again at once, else after a while.
            let down = if random.bool() { 0 } else { random.u64(100..12_000) };
            let ends = self.course.clock() + pause;
            if ends > self.until || !self.course.sleep(pause) {
                return Ok(lost);
            }
            let number = self
                .almanac
                .begin(&format!("server {}", site.name), "kill", self.course);
            site.cluster.process.kill();
            self.course.sleep(Duration::from_millis(down));
            site.cluster
                .restart()
                .with_context(|| format!("{} did not come back after a kill", site.name))?;
            self.almanac.end(number, self.course);
            self.memory.watch(site.name, &site.cluster.process);
            // While this is held nothing is acknowledged, and what is under way is known.
            let ledger = lock(self.ledger);
            let found = held(&site.cluster.api()?)?;
            lost.extend(
                ledger
                    .lost(&found)
                    .map(|text| format!("{} lost after a kill: {text}", site.name)),
            );
        }
    }
}
