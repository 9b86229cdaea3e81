//! What must be true once the faults have ended and time has passed.

use crate::Violation;
use crate::content::{self, Content};
use crate::rows;
use crate::task::monotonic;
use crate::world::{Outcome, World, broken};
use peerway_model::{Peering, PeeringRole, PeeringState};
use peerway_peering_protocol::State;

impl World {
    /// What is not as it must be yet.
    pub(crate) fn unsettled(&self) -> Outcome<Option<Violation>> {
        for dialer in 0..self.clusters.len() {
            for acceptor in (0..self.clusters.len()).filter(|other| *other != dialer) {
                let found = self.pair_unsettled(acceptor, dialer)?;
                if let Some(problem) = found {
                    return Ok(Some(problem));
                }
            }
        }
        Ok(None)
    }

    fn record(&self, cluster: usize, of: usize) -> Outcome<Option<&Peering>> {
        let key = rows::peering(of).map_err(|invalid| broken(&invalid))?;
        Ok(self.clusters[cluster].snapshot.peering(&key).map(|row| &*row.row))
    }

    fn pair_unsettled(&self, acceptor: usize, dialer: usize) -> Outcome<Option<Violation>> {
        let ours = self.record(dialer, acceptor)?;
        if ours.is_some_and(|peering| peering.state == PeeringState::Deleting) {
            let text = format!("c{dialer} still has the deleted record of c{acceptor}");
            return Ok(Some(Violation::new("a deleted peering goes", text)));
        }
        let theirs = self.record(acceptor, dialer)?;
        if let Some(theirs) = theirs.filter(|theirs| theirs.is_live() && theirs.role == PeeringRole::Acceptor)
        {
            let problem = self.held_to_its_token(acceptor, dialer, theirs)?;
            if problem.is_some() {
                return Ok(problem);
            }
        }
        let linked = self.linked(acceptor, dialer)?;
        let promise = self.promises.0.get(&(acceptor, dialer));
        if promise.is_some() && !linked {
            let text = format!(
                "c{dialer} has established c{acceptor}, nobody has touched it since, and they are not linked; \
                 the dialer has {:?}, the acceptor {:?}",
                ours.map(|peering| peering.state),
                theirs.map(|peering| peering.state)
            );
            return Ok(Some(Violation::new("an introduction lasts", text)));
        }
        if !linked {
            return Ok(None);
        }
        for (exporter, importer) in [(acceptor, dialer), (dialer, acceptor)] {
            let here = &self.clusters[importer];
            let key = rows::peering(exporter).map_err(|invalid| broken(&invalid))?;
            let status = here.table.status(&key, here.wall(self.now), monotonic(self.now));
            if !status.connected {
                let text = format!(
                    "c{importer} has no stream with c{exporter}: {:?}",
                    status.last_error
                );
                return Ok(Some(Violation::new("linked clusters connect", text)));
            }
            let offered =
                content::offered(&self.clusters[exporter], importer).map_err(|invalid| broken(&invalid))?;
            let held = content::held(&here.snapshot, exporter).map_err(|invalid| broken(&invalid))?;
            let (there, filter) = (&self.clusters[exporter], &here.terms.limits.filter);
            let key = rows::peering(importer).map_err(|invalid| broken(&invalid))?;
            let exporting = there
                .table
                .status(&key, there.wall(self.now), monotonic(self.now));
            let mut expected = normal(offered.clone());
            expected.list.retain(|name| filter.allows(name));
            if status.imported_services != expected.list {
                let text = format!(
                    "c{importer} believes that c{exporter} exports {:?}, which exports {:?}",
                    status.imported_services, expected.list
                );
                return Ok(Some(Violation::new("converges", text)));
            }
            let judged = status.judgement.as_ref().map(|judgement| judgement.state);
            let withheld = !exporting.freshness.withheld.is_empty();
            if withheld || !status.refused.is_empty() {
                // What could not come cannot be compared, and must not be called fresh.
                let told = there.terms.plain || here.terms.plain || judged == Some(State::Diverged);
                if !told || held.service_count() > here.terms.limits.max_services {
                    let text = format!("c{importer} calls what it holds of c{exporter} {judged:?}");
                    return Ok(Some(Violation::new("converges", text)));
                }
                continue;
            }
            if judged != Some(State::Active) {
                let text = format!(
                    "c{importer} calls what it holds of c{exporter} {:?}",
                    status.judgement
                );
                return Ok(Some(Violation::new("converges", text)));
            }
            expected.list.clear();
            expected.leave_out(|name| !filter.allows(name));
            if held != expected {
                let text = format!(
                    "c{importer} holds of c{exporter}: {}; which exports: {}; refused {:?}",
                    held.summary(),
                    offered.summary(),
                    status.refused
                );
                return Ok(Some(Violation::new("converges", text)));
            }
        }
        Ok(None)
    }

    /// A peer without a token has no stream, and one whose token lists services has no others.
    fn held_to_its_token(
        &self,
        acceptor: usize,
        dialer: usize,
        theirs: &Peering,
    ) -> Outcome<Option<Violation>> {
        let here = &self.clusters[acceptor];
        let status = here
            .table
            .status(&theirs.key, here.wall(self.now), monotonic(self.now));
        let Some(held) = self.introductions.of(&theirs.id).active else {
            return Ok(status.connected.then(|| {
                let text = format!("c{acceptor} serves c{dialer}, whose token was revoked");
                Violation::new("a revoked token has no stream", text)
            }));
        };
        let Some(services) = held.services.filter(|_| status.connected) else {
            return Ok(None);
        };
        let seen =
            content::held(&self.clusters[dialer].snapshot, acceptor).map_err(|invalid| broken(&invalid))?;
        let beyond = seen.services.iter().find(|(name, instances)| {
            let base = name.strip_suffix("-sidecar-proxy").unwrap_or(name);
            !instances.is_empty() && !services.contains(base)
        });
        Ok(beyond.map(|(name, _)| {
            let text = format!("c{dialer} sees {name} of c{acceptor} and was granted {services:?}");
            Violation::new("a peer sees what its token lists", text)
        }))
    }

    /// How many pairs are linked.
    pub(crate) fn links(&self) -> Outcome<u64> {
        let mut links = 0;
        for dialer in 0..self.clusters.len() {
            for acceptor in (0..self.clusters.len()).filter(|other| *other != dialer) {
                links += u64::from(self.linked(acceptor, dialer)?);
            }
        }
        Ok(links)
    }

    /// Whether both records are of one introduction and the dialer's secret is good.
    fn linked(&self, acceptor: usize, dialer: usize) -> Outcome<bool> {
        let (Some(ours), Some(theirs)) = (self.record(dialer, acceptor)?, self.record(acceptor, dialer)?)
        else {
            return Ok(false);
        };
        if !ours.is_live() || !theirs.is_live() || theirs.role != PeeringRole::Acceptor {
            return Ok(false);
        }
        let secrets = self.clusters[dialer].snapshot.secrets(&ours.key);
        let secret = secrets.and_then(|secrets| secrets.active_stream.as_ref());
        let good = secret.is_some_and(|secret| {
            let introductions = &self.introductions;
            introductions.may_open(&theirs.id, secret.expose(), &rows::datacenter(dialer))
        });
        Ok(good && ours.remote_id.as_deref() == Some(&theirs.id))
    }
}

/// Without services that have no instances: nothing is stored for those.
fn normal(mut content: Content) -> Content {
    content.services.retain(|_, instances| !instances.is_empty());
    content
}
