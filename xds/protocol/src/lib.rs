//! The xDS protocol of one stream, as a state machine without I/O.
//!
//! A stream is told what the proxy should hold ([`Holding`]) and what the proxy said ([`DeltaRequest`]); it
//! answers with what may be sent now ([`DeltaResponse`]) and with what happened ([`Event`]). It knows nothing
//! of protobuf, of clocks and of sockets, so every order of events can be tested.
//!
//! - `kind`, `holding`, `order`: which types there are, what a proxy should hold, who waits for whom. Shared by
//!   every variant of the protocol.
//! - `delta`: the incremental variant, built on `track`, the view of what the client has of one kind.

mod delta;
mod event;
mod holding;
mod kind;
mod limits;
mod order;
mod track;

pub use delta::{DeltaRequest, DeltaResponse, DeltaStream};
pub use event::{Event, InFlightStatus, KindStatus, Nack, Refusal, StreamStatus};
pub use holding::{Holding, HoldingBuilder, Versioned};
pub use kind::Kind;
pub use limits::{
    Limits, MAX_NACK_MESSAGE_BYTES, MAX_NAME_BYTES, MAX_NAMES_PER_REQUEST, MAX_SUBSCRIPTIONS_PER_KIND,
    ProtocolError,
};
