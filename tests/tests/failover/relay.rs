//! A relay of TCP connections that can be cut or made to fall silent.

use peerway_cli::demo::stage::free_port;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What becomes of connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Bytes pass.
    Open,
    /// All are closed, new ones at once.
    Cut,
    /// They stay, and nothing passes.
    Silent,
}

struct State {
    mode: Mode,
    connections: Vec<TcpStream>,
}

/// The relay; it ends with the process.
pub(crate) struct Relay {
    /// Where it listens.
    pub(crate) port: u16,
    shared: Arc<(Mutex<State>, Condvar)>,
}

fn lock(mutex: &Mutex<State>) -> MutexGuard<'_, State> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    /// A relay to a port on loopback that need not listen yet.
    pub(crate) fn to(target: u16) -> Self {
        let port = free_port().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let state = State {
            mode: Mode::Open,
            connections: Vec::new(),
        };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut state = lock(&accepting.0);
                if state.mode == Mode::Cut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
                        continue;
                    };
                    let shared = Arc::clone(&accepting);
                    thread::spawn(move || pass(from, to, &shared));
                }
                state.connections.extend([client, server]);
            }
        });
        Relay { port, shared }
    }

    fn turn(&self, mode: Mode) {
        let mut state = lock(&self.shared.0);
        state.mode = mode;
        if mode == Mode::Cut {
            for connection in state.connections.drain(..) {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        self.shared.1.notify_all();
    }

    /// Closes all connections, new ones at once.
    pub(crate) fn cut(&self) {
        self.turn(Mode::Cut);
    }

    /// Keeps all connections and passes nothing.
    pub(crate) fn silence(&self) {
        self.turn(Mode::Silent);
    }

    /// Passes bytes again; what was held back first.
    pub(crate) fn open(&self) {
        self.turn(Mode::Open);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, shared: &(Mutex<State>, Condvar)) {
    let mut bytes = [0; 16 << 10];
    loop {
        let read = match from.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        let silent = |state: &mut State| state.mode == Mode::Silent;
        let waited = shared.1.wait_while(lock(&shared.0), silent);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        if to.write_all(bytes.get(..read).unwrap_or_default()).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
