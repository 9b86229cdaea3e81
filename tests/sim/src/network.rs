//! The simulated network: connections whose bytes take time, wait for a slow reader, come late or never.

use peerway_peering_protocol::Refusal;
use std::collections::VecDeque;

/// Messages that fit into one direction of a connection: the link's channel and the transport's window together.
pub(crate) const WINDOW: usize = 16;
/// Index of the dialer's end of a connection.
pub(crate) const DIALER: usize = 0;
/// Index of the acceptor's end.
pub(crate) const ACCEPTOR: usize = 1;

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    /// A message as it is on the wire.
    Message(Vec<u8>),
    /// The acceptor's answer to the opening of the stream.
    Headers,
    /// Nothing more will be sent.
    End,
    /// The acceptor ended the stream with this status.
    Status(Refusal),
    /// The connection is closed.
    Closed,
}

/// One connection between two clusters, which carries one stream.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The clusters at its ends.
    pub(crate) clusters: [usize; 2],
    /// The server of the acceptor that was dialled.
    pub(crate) server: usize,
    /// The tasks at its ends, as far as they exist.
    pub(crate) tasks: [Option<u64>; 2],
    /// What travels towards each end, with the moment of its arrival.
    pub(crate) towards: [VecDeque<(u64, Frame)>; 2],
    /// Whether each end still attends.
    pub(crate) attends: [bool; 2],
    /// Until when nothing arrives at each end.
    pub(crate) held: [u64; 2],
    /// Extra milliseconds that each end takes for a message.
    pub(crate) slow: [u64; 2],
    /// Whether the next delivery towards each end is scheduled.
    pub(crate) scheduled: [bool; 2],
    /// Whether the dialer of this pair was connected before; for sabotage.
    pub(crate) again: bool,
}

impl Connection {
    /// A connection from one cluster to a server of another.
    pub(crate) fn new(clusters: [usize; 2], server: usize) -> Self {
        Connection {
            clusters,
            server,
            tasks: [None, None],
            towards: [VecDeque::new(), VecDeque::new()],
            attends: [true, true],
            held: [0, 0],
            slow: [0, 0],
            scheduled: [false, false],
            again: false,
        }
    }

    /// Whether a message towards `end` finds room.
    pub(crate) fn has_room(&self, end: usize) -> bool {
        self.towards[end].len() < WINDOW
    }

    /// Puts a frame on its way: in order, never before what is on its way already.
    pub(crate) fn push(&mut self, end: usize, arrival: u64, frame: Frame) {
        let last = self.towards[end].back().map_or(self.held[end], |(at, _)| *at);
        self.towards[end].push_back((arrival.max(last), frame));
    }
}
