//! Faults: what goes wrong during hardship, as data.
//!
//! - `kinds`: every kind of fault with its contract: what may break, and why the system must survive it.
//! - `spec`: a fault as a scenario writes it: a kind, whom it strikes, how often, and when.
//! - `plane`: the faults of a run. Whoever carries a call, an invocation or a message asks it, and does what it says.
//! - `inner`: the same inside the account: calls between services, entries of batches, old reads, readers, events.
//! - `poison`: readings that end a function, whoever repeats them.
//! - `region`: the outage of the whole Region.
//! - `answers`: the errors with which services refuse what a fault strikes.
//!
//! A fault never goes beyond what AWS, a network or a device may really do: its contract is in `kinds`, and stands again
//! where it is injected. All faults end with hardship ([`Faults::heal`]): what peace does not settle is the platform's.
//!
//! Each fault draws from a stream of its own, so that one more fault, or one more stroke of one, moves no other.

pub mod answers;
mod inner;
mod kinds;
mod plane;
mod poison;
pub mod region;
mod spec;

pub use inner::InnerFaults;
pub use kinds::{Contract, Family, KINDS, Key, Kind, Strikes};
pub use plane::{Faults, Opportunity, Stroke};
pub use poison::{Poison, Record};
pub use spec::{FaultSpec, Probability, Target};
