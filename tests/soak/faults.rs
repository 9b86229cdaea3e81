//! Every fault that there is: three clusters of real processes, links between them that break in every way, servers
//! that are killed, writes and calls that go on. Nothing that was acknowledged is lost, nothing stale is said to be fresh,
//! calls fail only where their path is broken, and in the end everything is as it should be, by itself.

mod calls;
mod course;
mod kills;
mod ledger;
mod proxy;
mod scene;
mod weather;
mod witness;
mod writes;

use crate::ground::Ground;
use crate::memory::{FLAT, Life, Memory};
use crate::options::Options;
use anyhow::{Result, anyhow};
use calls::{Called, Cause, cause, keep_calling};
use course::Course;
use kills::Killing;
use ledger::Ledger;
use peerway_cli::demo::stage::wait_for;
use scene::{Scene, Site, peers_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread::ScopedJoinHandle;
use std::time::Duration;
use weather::{Almanac, Window, befall};
use witness::{Seen, Witness};
use writes::{keep_writing, lock};

/// How long everything may take to be as it should be after the last fault: several of the longest pauses of a dialer
/// (64 s).
const CONVERGE: Duration = Duration::from_secs(240);
/// The first part of a run, in percent, in which servers are killed.
const KILLED: u64 = 50;
/// From which second of a life memory is compared with that at its end.
const WARM: usize = 60;
/// A shorter life says nothing about memory, in seconds.
const SHORTEST: usize = 200;
/// Failures without a cause that are told in words.
const TOLD: usize = 10;

/// Runs it; the report.
pub(crate) fn run(ground: &Ground, options: &Options) -> Result<Value> {
    let mut scene = Scene::set(&ground.stage)?;
    eprintln!("three clusters run, faults begin");
    let memory = Memory::default();
    for site in &scene.sites {
        memory.watch(site.name, &site.cluster.process);
    }
    for envoy in scene.envoys() {
        memory.watch(envoy.process.name(), &envoy.process);
    }
    let (course, almanac) = (Course::begin(), Almanac::default());
    let ledgers: BTreeMap<&str, Mutex<Ledger>> = scene
        .sites
        .iter()
        .map(|site| (site.name, Mutex::new(Ledger::new())))
        .collect();
    let play = Play {
        ground,
        options,
        course: &course,
        almanac: &almanac,
        memory: &memory,
        ledgers: &ledgers,
    };
    let mut lived = play.live(&mut scene)?;
    eprintln!("faults are over, everything has to settle");
    let settled = play.settle(&scene, &mut lived.violations);
    play.report(&scene, lived, settled)
}

/// What all parts of a run share.
struct Play<'a> {
    ground: &'a Ground,
    options: &'a Options,
    course: &'a Course,
    almanac: &'a Almanac,
    memory: &'a Memory,
    ledgers: &'a BTreeMap<&'static str, Mutex<Ledger>>,
}

/// What came of the part with faults.
#[derive(Default)]
struct Lived {
    called: Vec<Called>,
    /// By exporter and importer.
    seen: Vec<(String, Seen)>,
    violations: Vec<String>,
}

impl Play<'_> {
    /// A number that follows from the seed for each part of the run.
    fn seed(&self, part: u64) -> u64 {
        self.options.seed.wrapping_mul(0x9e37_79b9).wrapping_add(part)
    }

    fn live(&self, scene: &mut Scene) -> Result<Lived> {
        let Scene {
            sites, links, routes, ..
        } = scene;
        let https: BTreeMap<&str, String> = sites
            .iter()
            .map(|site| (site.name, site.cluster.http.to_string()))
            .collect();
        let until = Duration::from_secs(self.options.seconds * KILLED / 100);
        let mut lived = Lived::default();
        std::thread::scope(|scope| {
            let https = &https;
            let looking = scope.spawn(|| self.memory.look_until(self.course.over()));
            let links: Vec<_> = links
                .iter()
                .zip(100..)
                .map(|(link, part)| {
                    let of = (link.name.as_str(), &link.proxy, link.crosses);
                    let seed = self.seed(part);
                    scope.spawn(move || befall(of, seed, self.course, self.almanac))
                })
                .collect();
            let writers: Vec<_> = self
                .ledgers
                .iter()
                .zip(200..)
                .map(|((name, ledger), part)| {
                    let to = (*name, https[name].as_str());
                    let seed = self.seed(part);
                    scope.spawn(move || keep_writing(to, seed, self.course, ledger))
                })
                .collect();
            let witnesses: Vec<_> = self
                .witnesses(https)
                .into_iter()
                .zip(300..)
                .map(|(witness, part)| {
                    let seed = self.seed(part);
                    let name = format!("{} of {}", witness.importer, witness.exporter);
                    (name, scope.spawn(move || witness.watch(seed)))
                })
                .collect();
            let callers: Vec<_> = routes
                .iter()
                .map(|route| scope.spawn(|| keep_calling(route, self.course)))
                .collect();
            let killers: Vec<_> = sites
                .iter_mut()
                .zip(400..)
                .map(|(site, part)| {
                    let killing = Killing {
                        course: self.course,
                        almanac: self.almanac,
                        ledger: &self.ledgers[site.name],
                        memory: self.memory,
                        until,
                    };
                    let seed = self.seed(part);
                    scope.spawn(move || killing.run(site, seed))
                })
                .collect();

            std::thread::sleep(Duration::from_secs(self.options.seconds));
            self.course.end();
            for killer in killers {
                match joined(killer).and_then(|lost| lost) {
                    Ok(lost) => lived.violations.extend(lost),
                    Err(error) => lived.violations.push(format!("{error:#}")),
                }
            }
            for link in links {
                joined(link)?;
            }
            for writer in writers {
                if let Err(error) = joined(writer).and_then(|written| written) {
                    lived.violations.push(format!("{error:#}"));
                }
            }
            for (name, witness) in witnesses {
                lived.seen.push((name, joined(witness)??));
            }
            for caller in callers {
                lived.called.push(joined(caller)?);
            }
            joined(looking)?;
            Ok(lived)
        })
    }

    /// One for each direction of each peering.
    fn witnesses<'a>(&'a self, https: &'a BTreeMap<&'static str, String>) -> Vec<Witness<'a>> {
        let importers = https.iter();
        let pairs = importers
            .flat_map(|(importer, http)| peers_of(importer).map(move |exporter| (importer, http, exporter)));
        pairs
            .map(|(importer, http, exporter)| Witness {
                exporter,
                importer,
                http,
                ledger: &self.ledgers[exporter],
                stage: &self.ground.stage,
                course: self.course,
            })
            .collect()
    }

    /// Waits until everything is as it should be; how long that took.
    fn settle(&self, scene: &Scene, violations: &mut Vec<String>) -> Option<Duration> {
        let begun = self.course.clock();
        let https: BTreeMap<&str, String> = scene
            .sites
            .iter()
            .map(|site| (site.name, site.cluster.http.to_string()))
            .collect();
        let mut found = Vec::new();
        for witness in self.witnesses(&https) {
            let waited = wait_for("everything to be held as it is", CONVERGE, || witness.settled());
            found.extend(waited.err());
        }
        found.extend(scene.wait_for_calls(calls::LEFT_OUT).err());
        for site in &scene.sites {
            found.extend(self.kept(site).err());
        }
        let settled = found
            .is_empty()
            .then(|| self.course.clock().saturating_sub(begun));
        violations.extend(found.iter().map(|error| format!("{error:#}")));
        settled
    }

    /// Everything that was acknowledged is there.
    fn kept(&self, site: &Site) -> Result<()> {
        let found = writes::held(&site.cluster.api()?)?;
        match lock(&self.ledgers[site.name]).lost(&found) {
            Some(text) => Err(anyhow!("{} lost: {text}", site.name)),
            None => Ok(()),
        }
    }

    fn report(&self, scene: &Scene, lived: Lived, settled: Option<Duration>) -> Result<Value> {
        let Lived {
            called,
            seen,
            mut violations,
        } = lived;
        let windows = self.almanac.windows();
        let calls = judge_calls(&called, &windows, &mut violations);
        violations.extend(seen.iter().flat_map(|(_, seen)| seen.untrue.iter().cloned()));
        let stage = &self.ground.stage;
        violations.extend(stage.nothing_rejected().err().map(|error| format!("{error:#}")));
        violations.extend(self.ground.panics());
        let fallen = stage.fallen();
        violations.extend(
            fallen
                .iter()
                .map(|process| format!("{} has ended by itself:\n{}", process.name(), process.tail(5))),
        );
        for site in &scene.sites {
            let failures = site.cluster.metric("peerway_runtime_task_failures_total")?;
            if failures > 0.0 {
                violations.push(format!("{failures} tasks of {} have failed", site.name));
            }
        }
        let refused: u64 = scene
            .sites
            .iter()
            .filter_map(|site| site.envoys[0].denied().ok())
            .sum();
        if refused == 0 {
            violations.push("the stranger never came as far as to be refused".to_owned());
        }
        let lives = self.memory.lives();
        violations.extend(lives.iter().filter_map(grown));
        let links: BTreeMap<&str, Value> = scene
            .links
            .iter()
            .map(|link| {
                let (bytes, connections) = link.proxy.traffic();
                (
                    link.name.as_str(),
                    json!({ "bytes": bytes, "connections": connections }),
                )
            })
            .collect();
        let writes: BTreeMap<&str, u64> = self
            .ledgers
            .iter()
            .map(|(name, ledger)| (*name, lock(ledger).writes))
            .collect();
        Ok(json!({
            "run": "faults",
            "seed": self.options.seed,
            "seconds": self.options.seconds,
            "violations": violations,
            "faults": self.almanac.counts(),
            "links": links,
            "acknowledged_writes": writes,
            "calls": calls,
            "stranger_refused": refused,
            "freshness": readings(&seen),
            "settled_after_seconds": settled.map(|settled| settled.as_secs()),
            "memory_from_second": WARM,
            "memory": lives.iter().map(|life| {
                let mut report = life.report(WARM);
                report["judged"] = json!(is_judged(life));
                report
            }).collect::<Vec<_>>(),
        }))
    }
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T> {
    thread
        .join()
        .map_err(|_| anyhow!("a thread of this program panicked"))
}

/// Counts what came of the calls, and finds those that failed without a cause.
fn judge_calls(called: &[Called], windows: &[Window], violations: &mut Vec<String>) -> Value {
    let (mut answered, mut broken, mut left_out, mut unexplained) = (0, 0, 0, 0);
    let mut longest = Duration::ZERO;
    let mut strangers = 0;
    for one in called {
        let route = format!("{} to {}", one.route.from, one.route.to);
        if !one.route.allowed {
            strangers += one.answered + one.failed;
            if let Some(at) = one.let_in {
                violations.push(format!("{route}: a caller was let in at {at:?} that must not be"));
            }
            continue;
        }
        answered += one.answered;
        let unkept = one.failed.saturating_sub(one.failures.len() as u64);
        unexplained += unkept;
        if unkept > 0 {
            violations.push(format!("{route}: {unkept} failures were too many to be kept"));
        }
        for failure in &one.failures {
            match cause(&one.route.to, failure, windows) {
                Cause::Broken => broken += 1,
                Cause::LeftOut(since) => {
                    left_out += 1;
                    longest = longest.max(since);
                }
                Cause::Unknown => {
                    unexplained += 1;
                    if unexplained <= TOLD as u64 {
                        violations.push(format!(
                            "{route}: a call from {:?} to {:?} failed and its path was not broken: {}",
                            failure.begin, failure.end, failure.why
                        ));
                    }
                }
            }
        }
        if one.answered == 0 {
            violations.push(format!("{route}: no call was ever answered"));
        }
    }
    json!({
        "answered": answered,
        "failed_on_a_broken_path": broken,
        "failed_while_left_out": left_out,
        "left_out_at_most_seconds_after": longest.as_secs_f64(),
        "unexplained": unexplained,
        "of_strangers": strangers,
    })
}

/// What was read of all peerings.
fn readings(seen: &[(String, Seen)]) -> Value {
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for (state, count) in seen.iter().flat_map(|(_, seen)| &seen.states) {
        *states.entry(state).or_default() += count;
    }
    json!({
        "readings": states,
        "by_command": seen.iter().map(|(_, seen)| seen.commands).sum::<u64>(),
        "untrue": seen.iter().map(|(_, seen)| seen.untrue.len()).sum::<usize>(),
        "untrue_by_less_than_hearing": seen.iter().map(|(_, seen)| seen.nearly).sum::<u64>(),
        "oldest_active_ms": seen.iter().map(|(_, seen)| seen.oldest_active).max(),
    })
}

fn is_judged(life: &Life) -> bool {
    life.seconds() >= SHORTEST
}

/// What is wrong with the memory of a process that lived long enough.
fn grown(life: &Life) -> Option<String> {
    let ratio = life.growth(WARM).filter(|_| is_judged(life))?;
    (ratio > FLAT).then(|| {
        format!(
            "the memory of {} grew by a factor of {ratio:.3} in {} s, from {:?} to {:?} KiB",
            life.name,
            life.seconds(),
            life.at(WARM),
            life.end()
        )
    })
}
