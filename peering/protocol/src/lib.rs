//! What two clusters say to each other over a peering, without any I/O.
//!
//! Start with [`token`] (the introduction), then [`message`] and [`resource`] (what crosses), then [`session`]
//! (one stream as a state machine) and [`open`] (who may open one). [`admit`] is the customs office: nothing that
//! a peer sent reaches a row without passing it. Wire-compatible with Consul 1.14 and later; the encoding itself
//! is in `peering/link`.
//!
//! Time is passed in as a `Duration` since some fixed moment of the caller's monotonic clock.

pub mod address;
pub mod admit;
pub mod digest;
pub mod export;
pub mod freshness;
pub mod limits;
pub mod message;
pub mod offer;
pub mod open;
pub mod pem;
pub mod reconnect;
pub mod resource;
pub mod session;
pub mod token;
pub mod tokens;

pub use admit::{Import, ImportScope, ImportedInstance};
pub use export::Exports;
pub use freshness::{
    Answer, Delivery, ExportedService, Freshness, ImportedService, Judgement, Mark, Nack, Rejection, Resync,
    SentBundle, Standing, State,
};
pub use limits::{ImportLimits, NameFilter, NamePattern, Pace};
pub use message::{Code, Content, Message, Open, Pulse, Refusal, Request, Response};
pub use offer::{OfferedCheck, OfferedInstance, OfferedNode, OfferedProxy, OfferedService};
pub use open::{Denial, Found, Verdict};
pub use reconnect::{Failure, reconnect_delay};
pub use resource::{Listed, OfferedBundle, Resource, ResourceType};
pub use session::{Effect, End, Session, Stored, StoredService, Terms, Ticket};
pub use token::{Token, TokenError};
pub use tokens::{Tokens, Which};
