//! Planted bugs: proof that the oracles bite. Each is a bug that real platforms had, planted outside the product (a
//! wrapped handler, a call that is tampered with, a changed template), and some invariant must find it.
//!
//! `catalogue.rs` is the list; `handlers.rs`, `calls.rs`, `curation.rs`, `templates.rs` and `wire.rs` plant; `hunt.rs` looks for a seed that finds one.

mod calls;
mod catalogue;
mod curation;
mod edit;
mod handlers;
mod hunt;
mod templates;
mod wire;

use std::collections::BTreeMap;

pub use catalogue::BUGS;
pub use hunt::{Found, Hunt, Hunted, Seen, all};

use crate::run::Harness;

/// Key of the settings of a run, and of its manifest, that names the planted bug.
pub const SETTING: &str = "bug";

/// How a bug gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A handler is wrapped: its event, its answer, or when it is called.
    Handler,
    /// A call of a function to AWS, or its answer, is changed.
    Call,
    /// A template is changed before it is deployed.
    Template,
    /// What passes between devices and the broker is changed.
    Wire,
}

impl Planted {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Planted::Handler => "handler",
            Planted::Call => "call",
            Planted::Template => "template",
            Planted::Wire => "wire",
        }
    }
}

/// A bug that can be planted.
#[derive(Clone, Copy, Debug)]
pub struct Bug {
    /// Its name.
    pub id: &'static str,
    /// What is wrong, and where such a thing happens, in one or two sentences.
    pub what: &'static str,
    /// How it gets in.
    pub planted: Planted,
    /// Invariants that may find it; `unsettled` when something owed never arrives, or arrives too late.
    pub found_by: &'static [&'static str],
    /// Scenario of the folder `scenarios/` on which it is found within a few seeds.
    pub found_on: &'static str,
    /// Plants it.
    pub plant: fn() -> Harness,
}

impl PartialEq for Bug {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// The bug with this name.
pub fn find(id: &str) -> Option<&'static Bug> {
    BUGS.iter().find(|bug| bug.id == id)
}

/// The bug that the settings of a run name, if any: those of its manifest.
///
/// # Errors
/// The settings name a bug that there is not.
pub fn of(settings: &BTreeMap<String, String>) -> Result<Option<&'static Bug>, String> {
    let Some(id) = settings.get(SETTING) else {
        return Ok(None);
    };
    find(id).map(Some).ok_or_else(|| unknown(id))
}

/// The harness that plants the bug that the settings of a run name; one that changes nothing when they name none.
///
/// # Errors
/// The settings name a bug that there is not.
pub fn harness_of(settings: &BTreeMap<String, String>) -> Result<Harness, String> {
    Ok(of(settings)?.map_or_else(Harness::default, |bug| (bug.plant)()))
}

/// What is said of a name that no bug has.
pub fn unknown(id: &str) -> String {
    let near = BUGS.iter().map(|bug| bug.id).filter(|known| known.split('-').any(|word| id.contains(word)));
    let near: Vec<&str> = near.take(5).collect();
    let hint = if near.is_empty() { "`sim bugs --list` names all".to_owned() } else { near.join(", ") };
    format!("there is no planted bug {id:?}; near are: {hint}")
}
