//! Ports for processes that are told where to listen.
//!
//! Whoever asks the kernel for a free port and closes it again may lose it: to a process that starts at the same time,
//! or to any outgoing connection, which takes one from the same range. So ports are taken from below that range, in
//! blocks that a process locks for as long as it lives.

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Ports that are given out. Above begins what the kernel gives to outgoing connections (Linux, `ip_local_port_range`).
const PORTS: Range<u16> = 10_000..32_700;
/// Ports in a block.
const BLOCK: u16 = 50;

/// The block that this process is at, and what it has locked.
struct Taken {
    rest: Range<u16>,
    locks: Vec<File>,
}

static TAKEN: Mutex<Taken> = Mutex::new(Taken {
    rest: 0..0,
    locks: Vec::new(),
});

/// A port of loopback that nobody listens on, and that no other demo or test will be given while this process lives.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let Some(port) = taken.rest.next() else {
            let (lock, block) = lock_block()?;
            taken.locks.push(lock);
            taken.rest = block;
            continue;
        };
        if is_free(port) {
            return Ok(port);
        }
    }
}

/// Whether nobody listens on a port, in either family; a machine may have only one.
fn is_free(port: u16) -> bool {
    let taken = |address: IpAddr| {
        TcpListener::bind((address, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    !taken(Ipv4Addr::UNSPECIFIED.into()) && !taken(Ipv6Addr::UNSPECIFIED.into())
}

/// Locks a block that no other process has.
fn lock_block() -> Result<(File, Range<u16>)> {
    let blocks = (PORTS.end - PORTS.start) / BLOCK;
    let first = fastrand::u16(..blocks);
    for offset in 0..blocks {
        let block = (first + offset) % blocks;
        let path = std::env::temp_dir().join(format!("peerway-ports-{block}.lock"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot lock ports with {}", path.display()))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let start = PORTS.start + block * BLOCK;
            return Ok((file, start..start + BLOCK));
        }
    }
    bail!("all ports from {} to {} are taken", PORTS.start, PORTS.end - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_port_is_given_twice_or_from_the_range_of_outgoing_connections() {
        let ports: Vec<u16> = (0..2 * BLOCK).map(|_| free_port().unwrap()).collect();
        assert!(ports.iter().all(|port| PORTS.contains(port)), "{ports:?}");
        let distinct: BTreeSet<u16> = ports.iter().copied().collect();
        assert_eq!(distinct.len(), ports.len());
    }

    #[test]
    fn a_locked_block_is_not_given_to_another() {
        let (lock, block) = lock_block().unwrap();
        let (other_lock, other) = lock_block().unwrap();
        assert_ne!(block, other);
        drop((lock, other_lock));
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_passed_over() {
        let next = {
            let mut taken = TAKEN.lock().unwrap();
            if taken.rest.len() < 2 {
                let (lock, block) = lock_block().unwrap();
                taken.locks.push(lock);
                taken.rest = block;
            }
            taken.rest.start
        };
        // Whether or not another test was quicker, it is not given while it is held.
        let held = TcpListener::bind(("127.0.0.1", next));
        assert_ne!(free_port().unwrap(), next);
        drop(held);
    }
}
