//! What happens to the clusters: writes by workloads and operators, and the weather of the network.

use crate::cluster::Cluster;
use crate::content;
use crate::event::Event;
use crate::network::{ACCEPTOR, DIALER, Frame};
use crate::rows::{self, SERVICES};
use crate::world::{Outcome, World, broken};
use peerway_model::{CheckStatus, Invalid, PeeringRole};
use peerway_peering_link::parts;
use peerway_peering_protocol::Resource;
use peerway_state::{Row, RowKey, Transaction};
use std::sync::Arc;

impl World {
    /// What is there before the first fault: some services, and introductions between most of the clusters.
    pub(crate) fn settle_in(&mut self) -> Outcome {
        for cluster in 0..self.clusters.len() {
            for _ in 0..self.random.within(4, 12) {
                self.write(cluster)?;
            }
            for other in 0..cluster {
                let (one, two) = if self.random.chance(50) {
                    (cluster, other)
                } else {
                    (other, cluster)
                };
                if self.random.chance(70) {
                    self.make_token(one, two)?;
                }
            }
        }
        Ok(())
    }

    /// One action, and the next some time later.
    pub(crate) fn act(&mut self) -> Outcome {
        if self.actions_left == 0 {
            return Ok(());
        }
        self.actions_left -= 1;
        let count = self.clusters.len();
        let (one, step) = (self.random.index(count), 1 + self.random.index(count - 1));
        let other = (one + step) % count;
        match self.random.below(100) {
            0..48 => self.write(one)?,
            48..57 => self.make_token(one, other)?,
            57..60 => self.reuse_token()?,
            60..62 => self.revoke(one, other)?,
            62..64 => self.delete(one, other)?,
            64..66 => {
                self.delete(one, other)?;
                self.delete(other, one)?;
            }
            66..71 => self.block(one, other),
            71..82 => self.cut(),
            82..87 => self.half_open()?,
            87..90 => self.slow_reader(),
            90..94 => self.crash(one),
            94..96 => self.lose(one, other)?,
            96..98 => self.jump(one),
            _ => {
                let here = &mut self.clusters[one];
                here.leader = 1 - here.leader;
                self.say(format!("c{one} has another leader"));
            }
        }
        // In bursts: most things come right after each other, some when all is calm.
        let delay = match self.random.below(10) {
            0..4 => self.random.below(30),
            4..8 => self.random.within(30, 3_000),
            _ => self.random.within(3_000, 40_000),
        };
        self.after(delay, Event::Act);
        Ok(())
    }

    /// The last of the faults: from now on everything works.
    pub(crate) fn heal(&mut self) -> Outcome {
        self.faults = false;
        self.say("all faults end");
        self.blocked.clear();
        for connection in self.connections.values_mut() {
            connection.slow = [0, 0];
        }
        for cluster in 0..self.clusters.len() {
            self.restart(cluster)?;
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, cluster: usize) -> Outcome {
        if !self.clusters[cluster].up {
            return Ok(());
        }
        let (text, transaction) = self.written(cluster).map_err(|invalid| broken(&invalid))?;
        self.say(format!("c{cluster} {text}"));
        self.commit(cluster, &transaction)?;
        Ok(())
    }

    fn written(&mut self, cluster: usize) -> Result<(String, Transaction), Invalid> {
        let count = self.clusters.len();
        let random = &mut self.random;
        let service = SERVICES[random.index(SERVICES.len())];
        let number = random.index(3);
        let node = number % 2;
        let id = format!("{service}-{number}");
        let port = u16::try_from(random.within(8000, 8100)).unwrap_or(8000);
        let put = |row: Row| Transaction::new().put(row);
        Ok(match random.below(100) {
            0..30 => {
                let instance = rows::instance(node, service, &id, port)?;
                let mut transaction = put(Row::Instance(Arc::new(instance.clone())));
                if random.chance(50) {
                    transaction = transaction.put(rows::check(&instance, CheckStatus::Passing)?);
                }
                (format!("registers {id} at port {port}"), transaction)
            }
            30..42 => {
                let key = rows::instance_key(node, &id)?;
                let transaction = Transaction::new().delete(RowKey::Instance(key));
                (format!("deregisters {id}"), transaction)
            }
            42..52 => flip(&self.clusters[cluster], random.index(8), node, service, &id)?,
            52..60 => {
                let sidecar = rows::sidecar(node, service)?;
                if random.chance(60) {
                    let text = format!("gives {service} a sidecar");
                    (text, put(Row::Instance(Arc::new(sidecar))))
                } else {
                    let transaction = Transaction::new().delete(RowKey::Instance(sidecar.key));
                    (format!("takes the sidecar of {service}"), transaction)
                }
            }
            60..68 => {
                let gateway = rows::gateway(node, &format!("gateway-{number}"), port)?;
                if random.chance(60) {
                    let text = format!("has gateway {number} at port {port}");
                    (text, put(Row::Instance(Arc::new(gateway))))
                } else {
                    let transaction = Transaction::new().delete(RowKey::Instance(gateway.key));
                    (format!("loses gateway {number}"), transaction)
                }
            }
            68..90 => {
                let mut entries = Vec::new();
                for name in SERVICES.iter().copied().chain(["*"]) {
                    let share = if name == "*" { 25 } else { 45 };
                    let to: Vec<usize> = (0..count)
                        .filter(|to| *to != cluster && random.chance(share))
                        .collect();
                    if !to.is_empty() {
                        entries.push((name.to_owned(), to));
                    }
                }
                (format!("exports {entries:?}"), put(rows::exports(&entries)?))
            }
            90..95 => {
                let version = random.index(16);
                (
                    format!("has roots {version}"),
                    put(rows::roots(cluster, version)?),
                )
            }
            _ => {
                let address = random.within(1, 200);
                let text = format!("moves node {node} to {address}");
                (text, put(rows::node(cluster, node, address)?))
            }
        })
    }

    fn reuse_token(&mut self) -> Outcome {
        if self.tokens.is_empty() {
            return Ok(());
        }
        let (acceptor, dialer, token) = self.tokens[self.random.index(self.tokens.len())].clone();
        self.say(format!("a token of c{acceptor} is used again"));
        self.establish(dialer, acceptor, token)
    }

    /// Nothing crosses between two clusters for a while; what is on its way comes late.
    fn block(&mut self, a: usize, b: usize) {
        let most = if self.random.chance(30) { 200_000 } else { 20_000 };
        let until = self.now + self.random.within(500, most);
        self.blocked.insert((a.min(b), a.max(b)), until);
        self.say(format!("nothing crosses between c{a} and c{b} until {until} ms"));
    }

    fn some_connection(&mut self) -> Option<u64> {
        let numbers: Vec<u64> = self.connections.keys().copied().collect();
        (!numbers.is_empty()).then(|| numbers[self.random.index(numbers.len())])
    }

    /// A connection breaks for both ends, which notice at different moments; what is on its way is lost or not.
    fn cut(&mut self) {
        let Some(number) = self.some_connection() else {
            return;
        };
        self.say(format!("connection {number} breaks"));
        for end in [DIALER, ACCEPTOR] {
            let lossy = self.random.chance(50);
            let delay = self.random.below(2_000);
            let Some(connection) = self.connections.get_mut(&number) else {
                return;
            };
            if lossy {
                // The bytes after some point never come.
                let keep = connection.towards[end].len() / 2;
                connection.towards[end].truncate(keep);
            }
            connection.push(end, self.now + delay, Frame::Closed);
            self.schedule_delivery(number, end);
        }
    }

    /// One end believes that the connection is gone, the other one that it is there.
    fn half_open(&mut self) -> Outcome {
        let Some(number) = self.some_connection() else {
            return Ok(());
        };
        let end = self.random.index(2);
        let close = self.random.below(2_500);
        let most = if self.random.chance(30) { 60_000 } else { 6_000 };
        let late = self.now + close + self.random.within(500, most);
        self.say(format!(
            "connection {number} is half-open, end {end} does not know"
        ));
        let Some(connection) = self.connections.get_mut(&number) else {
            return Ok(());
        };
        let speaker = connection.clusters[1 - end];
        // What is sent before the other end gives up arrives late, perhaps after a newer connection was made.
        connection.held[end] = late;
        for (at, _) in &mut connection.towards[end] {
            *at = (*at).max(late);
        }
        connection.towards[1 - end].clear();
        let end = 1 - end;
        self.after(
            close,
            Event::Keepalive {
                connection: number,
                end,
            },
        );
        for _ in 0..self.random.below(4) {
            self.write(speaker)?;
        }
        for _ in 0..self.random.below(4) {
            let delay = close + self.random.below(2_000);
            self.after(delay, Event::Write { cluster: speaker });
        }
        Ok(())
    }

    fn slow_reader(&mut self) {
        let Some(number) = self.some_connection() else {
            return;
        };
        let (end, pause) = (self.random.index(2), self.random.within(50, 4_000));
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.slow[end] = pause;
        }
        self.say(format!(
            "end {end} of connection {number} takes {pause} ms for a message"
        ));
    }

    fn crash(&mut self, cluster: usize) {
        if !self.clusters[cluster].up {
            return;
        }
        self.say(format!("c{cluster} crashes"));
        let tasks: Vec<u64> = self
            .tasks
            .values()
            .filter(|task| task.cluster == cluster)
            .map(|task| task.id)
            .collect();
        for id in tasks {
            if let Some(task) = self.tasks.remove(&id) {
                task.mailbox.leave();
                if let Some(connection) = task.connection {
                    let end = if task.dialing.is_some() { DIALER } else { ACCEPTOR };
                    self.hang_up(connection, end);
                }
            }
        }
        // Also what nobody has accepted yet.
        let arriving: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, connection)| {
                connection.clusters[ACCEPTOR] == cluster && connection.tasks[ACCEPTOR].is_none()
            })
            .map(|(number, _)| *number)
            .collect();
        for number in arriving {
            self.hang_up(number, ACCEPTOR);
        }
        self.clusters[cluster].crash();
        let delay = self.random.within(10, 60_000);
        self.after(delay, Event::Restart { cluster });
    }

    pub(crate) fn restart(&mut self, cluster: usize) -> Outcome {
        if self.clusters[cluster].up {
            return Ok(());
        }
        self.clusters[cluster]
            .restart()
            .map_err(|refused| crate::Violation::new("a crash leaves whole rows", refused.to_string()))?;
        self.say(format!("c{cluster} starts again"));
        self.wake(cluster);
        Ok(())
    }

    /// A cluster loses what it holds of a service, by an error of its own that nobody notices.
    fn lose(&mut self, cluster: usize, of: usize) -> Outcome {
        let here = &self.clusters[cluster];
        let key = rows::peering(of).map_err(|invalid| broken(&invalid))?;
        let held = content::held(&here.snapshot, of).map_err(|invalid| broken(&invalid))?;
        let names: Vec<&String> = held.services.keys().collect();
        if !here.up || names.is_empty() {
            return Ok(());
        }
        let name = names[self.random.index(names.len())].clone();
        let peering = here.snapshot.peering(&key);
        let peer_id = peering.and_then(|peering| match peering.role {
            PeeringRole::Acceptor => Some(peering.id.clone()),
            PeeringRole::Dialer => peering.remote_id.clone(),
        });
        let nothing = Resource::ExportedService {
            name: name.clone(),
            instances: Arc::from([]),
        };
        let transaction = parts::import(&here.snapshot, &key, &peer_id.unwrap_or_default(), &nothing);
        if let Ok(transaction) = transaction {
            self.say(format!("c{cluster} loses {name} of c{of}"));
            self.versions
                .entry((of, cluster))
                .or_default()
                .lose(&name, self.now);
            self.counts.lost += 1;
            self.commit(cluster, &transaction)?;
        }
        Ok(())
    }

    fn jump(&mut self, cluster: usize) {
        let offset = self.random.below(1_000_000_000);
        let offset = if self.random.chance(50) {
            offset
        } else {
            offset.wrapping_neg()
        };
        self.clusters[cluster].wall_offset = offset;
        self.say(format!("the wall clock of c{cluster} jumps"));
    }
}

/// Changes the check of an instance, if that is registered.
fn flip(
    cluster: &Cluster,
    which: usize,
    node: usize,
    service: &str,
    id: &str,
) -> Result<(String, Transaction), Invalid> {
    let status = [
        CheckStatus::Passing,
        CheckStatus::Warning,
        CheckStatus::Critical,
        CheckStatus::Maintenance,
    ][which % 4];
    let key = rows::instance_key(node, id)?;
    let text = format!("finds {id} {}", status.as_str());
    let transaction = match cluster.snapshot.instance(&key) {
        Some(_) => {
            let instance = rows::instance(node, service, id, 0)?;
            Transaction::new().put(rows::check(&instance, status)?)
        }
        None => Transaction::new(),
    };
    Ok((text, transaction))
}
