//! The front door of the account: parses wire requests, checks signatures, finds the service, and renders answers
//! and errors in the protocol of the call. It knows no operation by itself.
//!
//! Modelled: AWS JSON 1.0 and 1.1, REST-JSON, Query, REST-XML (S3, by the `s3s` crate), Signature Version 4 in
//! headers.
//! Event streams are what a service makes of its answer: the front door says that the body goes on.
//! Refused: RPC v2 CBOR, presigned URLs outside S3, Signature Version 4a.

mod comparable;
pub mod credentials;
pub mod protocol;
pub mod query;
pub mod sigv4;

pub use comparable::comparable;
pub use credentials::{Credential, Credentials};
pub use protocol::{Protocol, render_error};
