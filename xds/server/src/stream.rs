//! One Envoy.

use crate::Shared;
use crate::codec::frame;
use crate::limits::{LEAF_RETRY, MAX_REQUEST_BYTES, NODE_TIMEOUT, OUTBOUND_QUEUE};
use crate::node::{Caller, caller};
use crate::piece::Piece;
use crate::pump::{Publication, Published};
use crate::status::{Listed, Session};
use bytes::Bytes;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use peerway_mesh::LEAF_SECRET;
use peerway_model::{Leaf, ServiceKind, SpiffeId};
use peerway_xds_protocol::{DeltaRequest, DeltaStream, Kind, Limits, Nack};
use peerway_xds_translate::named_leaf_secret;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, error::TrySendError};
use tokio::sync::watch;
use tonic::{Code, Status, Streaming};

type Out = Sender<Result<Bytes, Status>>;

/// Serves a stream until it ends.
pub(crate) async fn run(shared: &Shared, mut inbound: Streaming<DeltaDiscoveryRequest>, out: &Out) {
    let drain = shared.tasks.watch();
    let ended = tokio::select! {
        // The stream ends without an error; Envoy connects again, by then to another server.
        () = drain.signaled() => Ok(()),
        // The client is gone.
        () = out.closed() => Ok(()),
        ended = serve(shared, &mut inbound, out) => ended,
    };
    if let Err(status) = ended {
        // A full queue means that the client does not read, so it cannot be told anyway.
        let _ = out.try_send(Err(status));
    }
}

async fn serve(
    shared: &Shared,
    inbound: &mut Streaming<DeltaDiscoveryRequest>,
    out: &Out,
) -> Result<(), Status> {
    let mut protocol = DeltaStream::new(Limits::default());
    let introduced = tokio::time::timeout(NODE_TIMEOUT, introduce(shared, inbound, &mut protocol)).await;
    let Some(caller) = introduced.unwrap_or_else(|_| {
        Err(Status::deadline_exceeded(format!(
            "no node was sent within {} seconds, send it with the first request",
            NODE_TIMEOUT.as_secs()
        )))
    })?
    else {
        return Ok(());
    };
    let Caller {
        proxy,
        dialect,
        version,
    } = caller.clone();
    let (major, minor, patch) = version;
    tracing::debug!(proxy = %proxy.id, node = %proxy.node.name, major, minor, patch, "envoy connected");
    let listed = shared.sessions.enter(caller, shared.clock.now(), protocol);
    let connected = shared.clock.monotonic();
    let Some(publication) = shared.pump.watch(proxy, dialect).await else {
        return Err(Status::unavailable("the server is stopping, connect again"));
    };
    listed.session.follows(&publication);
    let mut stream = Stream {
        shared,
        listed,
        out,
        publication,
        leaves: BTreeMap::new(),
        refused: false,
        connected,
    };
    stream.adopt()?;
    stream.follow(inbound).await
}

/// Takes requests until one has said who the proxy is; `None` when the stream ended before.
async fn introduce(
    shared: &Shared,
    inbound: &mut Streaming<DeltaDiscoveryRequest>,
    protocol: &mut DeltaStream<Piece>,
) -> Result<Option<Caller>, Status> {
    loop {
        let Some(mut request) = next(inbound).await? else {
            return Ok(None);
        };
        let node = request.node.take();
        let known = node.map(|node| caller(&node, &shared.node_name)).transpose()?;
        // Nothing was sent yet, so there is nothing in it to report.
        protocol
            .on_request(parse(request)?)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        if known.is_some() {
            return Ok(known);
        }
    }
}

/// A stream of a proxy that has said who it is.
struct Stream<'a> {
    shared: &'a Shared,
    listed: Listed<'a>,
    out: &'a Out,
    publication: Publication,
    /// By the name of the secret.
    leaves: BTreeMap<String, Following>,
    /// Whether it was refused a leaf that it should have.
    refused: bool,
    /// When it connected, on the monotonic clock.
    connected: Duration,
}

/// The leaf of an identity.
struct Following {
    identity: SpiffeId,
    dns_names: Vec<String>,
    leaf: watch::Receiver<Option<Arc<Leaf>>>,
    /// The newest one, and encoded.
    newest: Option<(Arc<Leaf>, Piece)>,
}

impl Stream<'_> {
    fn session(&self) -> &Session {
        &self.listed.session
    }

    async fn follow(&mut self, inbound: &mut Streaming<DeltaDiscoveryRequest>) -> Result<(), Status> {
        loop {
            // Not biased: a client that keeps asking must not keep news from itself, nor the other way round.
            tokio::select! {
                request = next(inbound) => match request? {
                    Some(request) => self.hear(request)?,
                    None => return Ok(()),
                },
                changed = self.publication.changed() => match changed {
                    Ok(()) => self.adopt()?,
                    Err(_) => return Err(Status::unavailable("the server is stopping, connect again")),
                },
                () = leaf_changed(&mut self.leaves) => self.adopt_leaf()?,
                () = tokio::time::sleep(LEAF_RETRY), if self.refused => self.adopt()?,
            }
        }
    }

    /// Takes over what was published for the proxy.
    fn adopt(&mut self) -> Result<(), Status> {
        let Some(published) = self.publication.borrow_and_update().clone() else {
            // It keeps what it has: being taken off the register must not cut its connections.
            self.session().live.lock().identify(None);
            self.refused = false;
            let proxy = &self.session().caller.proxy;
            tracing::info!(proxy = %proxy.id, node = %proxy.node.name, "proxy is not registered, it is served once it is");
            return Ok(());
        };
        self.follow_leaves(&published);
        let snapshot = self.shared.reader.snapshot();
        // By now it may be off the register again.
        let kind = snapshot
            .instance(&self.session().caller.proxy)
            .map_or(ServiceKind::ConnectProxy, |instance| instance.kind);
        self.session()
            .live
            .lock()
            .identify(Some((&published.identity, kind)));
        self.hold(published.at.max(self.connected))
    }

    /// Follows the leaves that the proxy should have, and no others.
    fn follow_leaves(&mut self, published: &Published) {
        let own = (LEAF_SECRET, (&published.identity, &*published.dns_names));
        let others = published.leaves.iter();
        let others = others.map(|(name, of)| (name.as_str(), (of, [].as_slice())));
        let wanted: BTreeMap<&str, (&SpiffeId, &[String])> = others.chain([own]).collect();
        self.leaves.retain(|name, following| {
            let of = wanted.get(name.as_str());
            of.is_some_and(|(identity, _)| **identity == following.identity)
        });
        self.refused = false;
        for (name, (identity, dns_names)) in wanted {
            if self
                .leaves
                .get(name)
                .is_some_and(|own| own.dns_names == dns_names)
            {
                continue;
            }
            let proxy = &self.listed.session.caller.proxy;
            let Some(leaf) = self.shared.secrets.subscribe(proxy, identity, dns_names) else {
                self.refused = true;
                continue;
            };
            // Until there is one with these names, the one that the proxy has stays.
            let newest = self.leaves.remove(name).and_then(|kept| kept.newest);
            let mut following = Following {
                identity: identity.clone(),
                dns_names: dns_names.to_vec(),
                leaf,
                newest,
            };
            following.encode(name);
            self.leaves.insert(name.to_owned(), following);
        }
    }

    /// Takes over new leaves.
    fn adopt_leaf(&mut self) -> Result<(), Status> {
        for (name, following) in &mut self.leaves {
            following.encode(name);
        }
        self.hold(self.shared.clock.monotonic())
    }

    /// Tells the protocol what the proxy should hold since `since`.
    fn hold(&mut self, since: Duration) -> Result<(), Status> {
        let Some(published) = self.publication.borrow().clone() else {
            return Ok(());
        };
        let mut holding = published.holding.clone();
        let newest = || {
            self.leaves
                .iter()
                .filter_map(|(name, own)| Some((name, own.newest.as_ref()?)))
        };
        if newest().next().is_some() {
            let mut builder = holding.to_builder();
            for (_, (_, leaf)) in newest() {
                builder.insert(Kind::Secret, leaf.clone());
            }
            // All other lists stay those that every stream of the proxy has.
            holding = builder.build().sharing(&published.holding);
        }
        {
            let mut live = self.listed.session.live.lock();
            live.changed(since);
            live.leaf_roots = newest()
                .map(|(name, (leaf, _))| (name.clone(), leaf.root_id.clone()))
                .collect();
            live.has_leaves = live.leaf_roots.len() > published.leaves.len();
            live.protocol.set_holding(holding);
            let number = live.protocol.holding_number();
            live.progress.adopt(&published, number);
        }
        self.speak()
    }

    /// Takes a request.
    fn hear(&mut self, request: DeltaDiscoveryRequest) -> Result<(), Status> {
        let request = parse(request)?;
        // Envoy asks for clusters first, so this is not the request by which it has said who it is.
        if request.kind == Kind::Listener && !request.initial_versions.is_empty() {
            let Caller { proxy, dialect, .. } = &self.session().caller;
            let kept = request.initial_versions.clone();
            self.shared.pump.kept(proxy.clone(), *dialect, kept);
        }
        let now = self.shared.clock.now();
        {
            let mut live = self.session().live.lock();
            let events = live
                .protocol
                .on_request(request)
                .map_err(|error| Status::invalid_argument(error.to_string()))?;
            for event in events {
                self.note(live.heard(event, now));
            }
        }
        self.speak()
    }

    fn note(&self, nack: Option<crate::status::LastNack>) {
        let Some(nack) = nack else { return };
        let proxy = &self.session().caller.proxy;
        let kind = nack.kind.label();
        tracing::warn!(
            proxy = %proxy.id, node = %proxy.node.name, kind, reason = nack.reason.message, resources = ?nack.resources,
            "envoy refused a response"
        );
    }

    /// Sends everything that may be sent now.
    fn speak(&self) -> Result<(), Status> {
        let mut live = self.session().live.lock();
        let responses = live.protocol.next_responses();
        for response in responses {
            self.out.try_send(Ok(frame(&response))).map_err(|error| match error {
                TrySendError::Full(_) => Status::resource_exhausted(format!(
                    "{OUTBOUND_QUEUE} responses wait to be read, which is the most that are kept; read faster"
                )),
                TrySendError::Closed(_) => Status::cancelled("the client is gone"),
            })?;
            live.sent(response.kind);
        }
        live.settle(self.shared.clock.monotonic());
        Ok(())
    }
}

impl Following {
    /// Encodes the newest leaf, as the secret of this name.
    fn encode(&mut self, name: &str) {
        let Some(leaf) = self.leaf.borrow_and_update().clone() else {
            return;
        };
        let known = self.newest.as_ref();
        if known.is_none_or(|(known, _)| !Arc::ptr_eq(known, &leaf)) {
            let piece = Piece::new(named_leaf_secret(name, &leaf), 0);
            self.newest = Some((leaf, piece));
        }
    }
}

/// Returns when there is a new leaf; never while none is followed or the sources of all are gone, which leaves the last
/// ones in use.
async fn leaf_changed(leaves: &mut BTreeMap<String, Following>) {
    let mut waits: Vec<_> = leaves
        .values_mut()
        .map(|following| Box::pin(following.leaf.changed()))
        .collect();
    poll_fn(|context| {
        let mut changed = false;
        waits.retain_mut(|wait| match wait.as_mut().poll(context) {
            Poll::Pending => true,
            Poll::Ready(outcome) => {
                changed |= outcome.is_ok();
                false
            }
        });
        if changed { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// The next request. A connection that broke is an end like any other.
async fn next(
    inbound: &mut Streaming<DeltaDiscoveryRequest>,
) -> Result<Option<DeltaDiscoveryRequest>, Status> {
    match inbound.message().await {
        Ok(request) => Ok(request),
        Err(status) if status.code() == Code::OutOfRange => Err(Status::resource_exhausted(format!(
            "the request has more than {MAX_REQUEST_BYTES} bytes, subscribe to less at a time"
        ))),
        Err(status) if status.code() == Code::InvalidArgument => Err(status),
        Err(_) => Ok(None),
    }
}

/// The request without its wire types.
pub(crate) fn parse(request: DeltaDiscoveryRequest) -> Result<DeltaRequest, Status> {
    let Some(kind) = Kind::from_type_url(&request.type_url) else {
        return Err(Status::invalid_argument(format!(
            "type_url {:?} is not served, ask for clusters, endpoints, listeners, routes, secrets or extensions",
            request.type_url.chars().take(MAX_SHOWN_URL).collect::<String>()
        )));
    };
    Ok(DeltaRequest {
        kind,
        subscribe: request.resource_names_subscribe,
        unsubscribe: request.resource_names_unsubscribe,
        initial_versions: request.initial_resource_versions.into_iter().collect(),
        nonce: request.response_nonce,
        error: request.error_detail.map(|status| Nack {
            code: status.code,
            message: status.message,
        }),
    })
}

/// Characters of an unknown type that are given back.
const MAX_SHOWN_URL: usize = 128;
