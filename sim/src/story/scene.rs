//! The events around the first thing that went wrong, where no reading is concerned.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use record::Summary;

use super::{Line, Story, begun};
use crate::invariant::{AUTHORIZATION, DEPLOYMENT};
use crate::run::{Harness, RunError, RunOptions, run_with};
use crate::scenario::Scenario;
use crate::world::time::Time;
use crate::world::trace::{Event, EventSink, Level};

/// Events that are told before and after it.
const BEFORE: usize = 12;
/// See [`BEFORE`].
const AFTER: usize = 8;

/// How wrong an event is; the first of the highest rank is told.
type Rank = fn(&Event) -> u8;

#[derive(Default)]
struct Found {
    recent: VecDeque<Event>,
    scene: Vec<Event>,
    /// Position in the scene of what went wrong.
    at: usize,
    rank: u8,
}

struct Looking {
    rank: Rank,
    found: Arc<Mutex<Found>>,
}

impl EventSink for Looking {
    fn push(&mut self, event: Event) {
        let found = &mut *self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let rank = (self.rank)(&event);
        if rank > found.rank {
            found.rank = rank;
            found.at = found.recent.len();
            found.scene = found.recent.iter().cloned().collect();
            found.scene.push(event.clone());
        } else if found.rank > 0 && found.scene.len() <= found.at + AFTER {
            found.scene.push(event.clone());
        }
        if found.recent.len() == BEFORE {
            found.recent.pop_front();
        }
        found.recent.push_back(event);
    }
}

fn denied(event: &Event) -> u8 {
    u8::from(event.source == "iam" && event.kind == "access-denied")
}

fn deployment(event: &Event) -> u8 {
    let is_failure = event.kind.contains("FAILED") || event.detail.contains("_FAILED");
    match event.source.as_str() {
        "cloudformation" | "deployment" if is_failure => 2,
        "deployment" if event.kind == "end" => 1,
        _ => 0,
    }
}

fn nothing(_: &Event) -> u8 {
    0
}

/// Tells what stood around it.
pub(super) fn tell(scenario: &Scenario, seed: u64, harness: Harness, summary: &Summary) -> Result<Story, RunError> {
    let invariant = summary.violations.first().map_or("", |violation| &violation.invariant);
    let (rank, what): (Rank, &str) = match invariant {
        id if id == AUTHORIZATION.id => (denied, "the first call that was denied"),
        id if id == DEPLOYMENT.id => (deployment, "the first failure of a deployment, or its end"),
        _ => (nothing, ""),
    };
    let found: Arc<Mutex<Found>> = Arc::default();
    let sink: Box<dyn EventSink> = Box::new(Looking { rank, found: found.clone() });
    let options = RunOptions { watch: Some((Level::Call, sink)), ..RunOptions::seeded(seed) };
    let summary = run_with(scenario, options, harness)?.summary;
    let found = found.lock().unwrap_or_else(PoisonError::into_inner);
    let mut story = begun(scenario, &summary);
    story.around = found.scene.iter().map(|event| line(scenario.start, event)).collect();
    story.end = match found.scene.get(found.at) {
        Some(event) => {
            let told = line(scenario.start, event);
            format!("{what}: {:.6} s after the start, {} {} {}", told.after_s, told.place, told.subject, told.text)
        }
        None if invariant.is_empty() => "no reading is missing".to_owned(),
        None => "no single reading and no single event is concerned; --reading tells the story of one".to_owned(),
    };
    Ok(story)
}

fn line(start: Time, event: &Event) -> Line {
    Line::new(start, event.time, &event.source, &event.subject, format!("{} {}", event.kind, event.detail))
}
