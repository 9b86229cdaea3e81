//! A link between two clusters that can be broken in every way in which a network breaks: a TCP proxy.

use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

/// Bytes that are taken up at a time.
const PIECE: usize = 16 * 1024;
/// How often a narrow link lets something pass.
const DRIP: Duration = Duration::from_millis(100);

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// They pass.
    Clear,
    /// There are no connections: those that were break, new ones are closed at once.
    Closed,
    /// Nothing passes and nothing is lost: connections stay, new ones are taken, and all hear nothing.
    Silent,
    /// Each piece waits for so long.
    Slow(Duration),
    /// So many bytes a second pass.
    Narrow(usize),
}

/// What happens once to the connections that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// They break for both ends, by a reset or in order.
    Break { reset: bool },
    /// They break for one end; the other one hears nothing for so long, or until the next blow.
    HalfOpen { deaf_dialer: bool, held: Duration },
    /// Those that are held half open break for the other end too; the others stay.
    Release,
}

/// A running proxy. The runtime that it was made on keeps it going.
pub(crate) struct Proxy {
    /// Where it listens, on loopback.
    pub(crate) port: u16,
    weather: watch::Sender<Weather>,
    /// The how-manieth blow it is, and which.
    blow: watch::Sender<(u64, Blow)>,
    carried: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

/// What every connection is told, and tells.
#[derive(Clone)]
struct Told {
    weather: watch::Receiver<Weather>,
    blow: watch::Receiver<(u64, Blow)>,
    carried: Arc<AtomicU64>,
}

impl Proxy {
    /// A proxy on `port` before `target`.
    pub(crate) fn start(runtime: &Runtime, port: u16, target: SocketAddr) -> Result<Self> {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = runtime
            .block_on(TcpListener::bind(at))
            .with_context(|| format!("cannot listen on {at}"))?;
        let port = listener.local_addr()?.port();
        let (weather, weather_seen) = watch::channel(Weather::Clear);
        let (blow, blow_seen) = watch::channel((0, Blow::Break { reset: false }));
        let (carried, connections) = (Arc::default(), Arc::new(AtomicU64::new(0)));
        let told = Told {
            weather: weather_seen,
            blow: blow_seen,
            carried: Arc::clone(&carried),
        };
        runtime.spawn(accept(
            runtime.handle().clone(),
            listener,
            target,
            told,
            Arc::clone(&connections),
        ));
        Ok(Proxy {
            port,
            weather,
            blow,
            carried,
            connections,
        })
    }

    /// From now on.
    pub(crate) fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Breaks what is connected. New connections are not concerned.
    pub(crate) fn cut(&self, reset: bool) {
        self.strike(Blow::Break { reset });
    }

    /// Breaks what is connected for one end; the other one does not know for so long.
    pub(crate) fn half_open(&self, deaf_dialer: bool, held: Duration) {
        self.strike(Blow::HalfOpen { deaf_dialer, held });
    }

    /// Breaks for both ends what is half open.
    pub(crate) fn release(&self) {
        self.strike(Blow::Release);
    }

    fn strike(&self, blow: Blow) {
        self.blow.send_modify(|now| *now = (now.0 + 1, blow));
    }

    /// Bytes that passed, and connections that were made.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        (
            self.carried.load(Ordering::Relaxed),
            self.connections.load(Ordering::Relaxed),
        )
    }
}

async fn accept(
    runtime: Handle,
    listener: TcpListener,
    target: SocketAddr,
    told: Told,
    connections: Arc<AtomicU64>,
) {
    loop {
        let Ok((dialer, _)) = listener.accept().await else {
            // Of one connection that was gone already, or of too many open files: the next may go well.
            tokio::time::sleep(DRIP).await;
            continue;
        };
        connections.fetch_add(1, Ordering::Relaxed);
        runtime.spawn(connection(dialer, target, told.clone()));
    }
}

async fn connection(dialer: TcpStream, target: SocketAddr, mut told: Told) {
    let born = told.blow.borrow_and_update().0;
    // Who connects to a silent network hears nothing; this end of it is on this machine, so it is taken.
    loop {
        match *told.weather.borrow_and_update() {
            Weather::Closed => return,
            Weather::Silent => {}
            Weather::Clear | Weather::Slow(_) | Weather::Narrow(_) => break,
        }
        if told.weather.changed().await.is_err() {
            return;
        }
    }
    let Ok(target) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (dialer.set_nodelay(true), target.set_nodelay(true));
    let (dialer_in, dialer_out) = dialer.into_split();
    let (target_in, target_out) = target.into_split();
    let mut there = Direction::new(dialer_in, target_out, &told);
    let mut back = Direction::new(target_in, dialer_out, &told);
    let blow = tokio::select! {
        blow = struck(&mut told, born) => blow,
        _ = async { tokio::join!(there.carry(), back.carry()) } => return,
    };
    let (to_dialer, to_target) = match (there.join(&mut back), blow) {
        (Some(ends), _) => ends,
        (None, _) => return,
    };
    match blow {
        Some(Blow::Break { reset }) => {
            if reset {
                let _ = (to_dialer.set_zero_linger(), to_target.set_zero_linger());
            }
        }
        Some(Blow::HalfOpen { deaf_dialer, held }) => {
            let (deaf, told_now) = if deaf_dialer {
                (to_dialer, to_target)
            } else {
                (to_target, to_dialer)
            };
            drop(told_now);
            tokio::select! {
                () = tokio::time::sleep(held) => {}
                _ = told.blow.changed() => {}
            }
            let _ = deaf.set_zero_linger();
        }
        Some(Blow::Release) | None => {}
    }
}

/// Waits until the connections break that were there before; `None` when the proxy is gone.
async fn struck(told: &mut Told, born: u64) -> Option<Blow> {
    loop {
        let (number, blow) = *told.blow.borrow_and_update();
        if number > born && blow != Blow::Release {
            return Some(blow);
        }
        if *told.weather.borrow_and_update() == Weather::Closed {
            return Some(Blow::Break { reset: true });
        }
        tokio::select! {
            changed = told.blow.changed() => changed.ok()?,
            changed = told.weather.changed() => changed.ok()?,
        }
    }
}

/// Bytes that go one way.
struct Direction {
    from: Option<OwnedReadHalf>,
    to: Option<OwnedWriteHalf>,
    weather: watch::Receiver<Weather>,
    carried: Arc<AtomicU64>,
    piece: Vec<u8>,
}

impl Direction {
    fn new(from: OwnedReadHalf, to: OwnedWriteHalf, told: &Told) -> Self {
        Direction {
            from: Some(from),
            to: Some(to),
            weather: told.weather.clone(),
            carried: Arc::clone(&told.carried),
            piece: vec![0; PIECE],
        }
    }

    /// Puts the halves of both directions together again: the dialer's end and the target's.
    fn join(&mut self, back: &mut Direction) -> Option<(TcpStream, TcpStream)> {
        let dialer = self.from.take()?.reunite(back.to.take()?).ok()?;
        let target = back.from.take()?.reunite(self.to.take()?).ok()?;
        Some((dialer, target))
    }

    /// Carries bytes until their end, which is passed on.
    async fn carry(&mut self) {
        let (Some(from), Some(to)) = (&mut self.from, &mut self.to) else {
            return;
        };
        while let Ok(count @ 1..) = from.read(&mut self.piece).await {
            let mut rest = &self.piece[..count];
            while !rest.is_empty() {
                let now = pass(&mut self.weather, rest.len()).await;
                let (first, later) = rest.split_at(now);
                if to.write_all(first).await.is_err() {
                    return;
                }
                self.carried.fetch_add(first.len() as u64, Ordering::Relaxed);
                rest = later;
            }
        }
        let _ = to.shutdown().await;
    }
}

/// Waits until some of `count` bytes may pass; how many.
async fn pass(weather: &mut watch::Receiver<Weather>, count: usize) -> usize {
    loop {
        let (wait, some) = match *weather.borrow_and_update() {
            Weather::Clear => return count,
            // The connection is about to be told.
            Weather::Closed | Weather::Silent => (None, 0),
            Weather::Slow(delay) => (Some(delay), count),
            Weather::Narrow(a_second) => {
                let drips = 1_000 / DRIP.as_millis().max(1);
                let drop = a_second / usize::try_from(drips).unwrap_or(1).max(1);
                (Some(DRIP), drop.clamp(1, count))
            }
        };
        match wait {
            // It may become better meanwhile.
            Some(wait) => tokio::select! {
                () = tokio::time::sleep(wait) => return some,
                _ = weather.changed() => {}
            },
            None if weather.changed().await.is_err() => std::future::pending().await,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener as StdListener, TcpStream as StdStream};

    const PATIENCE: Duration = Duration::from_secs(20);

    struct Link {
        runtime: Runtime,
        proxy: Proxy,
        target: StdListener,
    }

    fn link() -> Link {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let target = StdListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start(&runtime, 0, target.local_addr().unwrap()).unwrap();
        Link {
            runtime,
            proxy,
            target,
        }
    }

    impl Link {
        fn dial(&self) -> StdStream {
            let stream = StdStream::connect(("127.0.0.1", self.proxy.port)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        }

        /// Both ends of a connection that has carried something.
        fn connected(&self) -> (StdStream, StdStream) {
            let mut dialer = self.dial();
            let (mut target, _) = self.target.accept().unwrap();
            target.set_read_timeout(Some(PATIENCE)).unwrap();
            crosses(&mut dialer, &mut target, b"hello");
            crosses(&mut target, &mut dialer, b"hello yourself");
            (dialer, target)
        }
    }

    fn crosses(from: &mut StdStream, to: &mut StdStream, text: &[u8]) {
        from.write_all(text).unwrap();
        let mut came = vec![0; text.len()];
        to.read_exact(&mut came).unwrap();
        assert_eq!(came, text);
    }

    /// Waits for the end of what comes; whether it was a reset.
    fn breaks(stream: &mut StdStream) -> bool {
        match stream.read(&mut [0; 8]) {
            Ok(0) => false,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
            other => panic!("it did not break: {other:?}"),
        }
    }

    fn is_silent(stream: &mut StdStream) -> bool {
        stream.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
        let heard = stream.read(&mut [0; 8]);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        heard.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    #[test]
    fn a_cut_breaks_both_ends_and_new_connections_are_made() {
        let link = link();
        for reset in [false, true] {
            let (mut dialer, mut target) = link.connected();
            link.proxy.cut(reset);
            assert_eq!((breaks(&mut dialer), breaks(&mut target)), (reset, reset));
        }
        link.connected();
        assert_eq!(link.proxy.traffic().1, 3);
        drop(link.runtime);
    }

    #[test]
    fn a_closed_link_breaks_everything_until_it_opens() {
        let link = link();
        let (mut dialer, mut target) = link.connected();
        link.proxy.set(Weather::Closed);
        breaks(&mut dialer);
        breaks(&mut target);
        breaks(&mut link.dial());
        link.proxy.set(Weather::Clear);
        link.connected();
    }

    #[test]
    fn nothing_is_lost_on_a_silent_link() {
        let link = link();
        let (mut dialer, mut target) = link.connected();
        link.proxy.set(Weather::Silent);
        dialer.write_all(b"said meanwhile").unwrap();
        let mut late = link.dial();
        late.write_all(b"late").unwrap();
        assert!(is_silent(&mut target));
        link.proxy.set(Weather::Clear);
        let mut came = [0; 14];
        target.read_exact(&mut came).unwrap();
        assert_eq!(&came, b"said meanwhile");
        let (mut target, _) = link.target.accept().unwrap();
        let mut came = [0; 4];
        target.read_exact(&mut came).unwrap();
        assert_eq!(&came, b"late");
    }

    #[test]
    fn a_half_open_connection_is_gone_for_one_end() {
        let link = link();
        for deaf_dialer in [true, false] {
            let (mut dialer, mut target) = link.connected();
            link.proxy.half_open(deaf_dialer, Duration::from_secs(2));
            let (deaf, told) = if deaf_dialer {
                (&mut dialer, &mut target)
            } else {
                (&mut target, &mut dialer)
            };
            breaks(told);
            deaf.write_all(b"anybody there?").unwrap();
            assert!(is_silent(deaf));
            // After its time it is gone for the other end as well.
            assert!(breaks(deaf));
        }
    }

    #[test]
    fn bytes_keep_their_order_on_slow_and_narrow_links() {
        let link = link();
        let (mut dialer, mut target) = link.connected();
        let text: Vec<u8> = (0..60_000u32).flat_map(u32::to_le_bytes).collect();
        link.proxy.set(Weather::Narrow(200_000));
        let (sent, sender) = (text.clone(), &mut dialer);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sender.write_all(&sent).unwrap();
                link.proxy.set(Weather::Slow(Duration::from_millis(5)));
            });
            let mut came = vec![0; text.len()];
            target.read_exact(&mut came).unwrap();
            assert!(came == text, "bytes came in another order");
        });
        crosses(&mut target, &mut dialer, b"back");
        drop(dialer);
        assert!(!breaks(&mut target));
    }
}
