//! Which marks and kinds of faults some scenarios reach, and which none does. What is never reached is not tested,
//! whatever the verdicts say.

use serde::Serialize;

use super::tally::{Count, Tally};

/// Marks and kinds that need not be reached, each with the reason. An entry that is reached after all is an error: the
/// list only ever shrinks.
pub const EXCEPTIONS: &[(&str, &str)] = &[
    ("event-duplicate", EVENTS),
    ("event-reorder", EVENTS),
    ("event-twice", EVENTS),
    ("event-overtaken", EVENTS),
    ("stale-read", "the directory does not change while a swarm runs, so that an old answer is the same as a new one"),
    ("delivery-expired", "no scenario lasts for a day, which is the shortest retention; the unit tests of Firehose do"),
    ("session-expired", SESSIONS),
    ("will-published", SESSIONS),
];

/// Why no swarm has persistent sessions.
const SESSIONS: &str =
    "devices of a swarm have clean sessions and no wills; the unit tests of IoT Core have the others";
/// Why no swarm has asynchronous events.
const EVENTS: &str = "a swarm registers its devices before the run begins, so that no registry event comes; tests/suite/faults_services.rs has them";

/// How often one mark or kind of fault was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// The mark, or the kind of fault.
    pub id: &'static str,
    /// How often, by scenario.
    pub times: Vec<u64>,
}

/// What some scenarios reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Names of the scenarios.
    pub scenarios: Vec<String>,
    /// Each mark.
    pub marks: Vec<Reach>,
    /// Each kind of fault.
    pub faults: Vec<Reach>,
}

impl Coverage {
    /// What these scenarios reach.
    pub fn of(tallies: &[(String, Tally)]) -> Self {
        let table = |counts: fn(&Tally) -> &Vec<(&'static str, Count)>| {
            let ids = tallies.first().map(|(_, tally)| counts(tally).iter().map(|(id, _)| *id)).into_iter().flatten();
            let times = |id: &str| {
                let of =
                    |tally| counts(tally).iter().find(|(found, _)| *found == id).map_or(0, |(_, count)| count.total);
                tallies.iter().map(|(_, tally)| of(tally)).collect()
            };
            ids.map(|id| Reach { id, times: times(id) }).collect()
        };
        Coverage {
            scenarios: tallies.iter().map(|(name, _)| name.clone()).collect(),
            marks: table(|tally| &tally.marks),
            faults: table(|tally| &tally.faults),
        }
    }

    /// What none of the scenarios reaches, without the exceptions: each as a sentence.
    pub fn never(&self, exceptions: &[(&str, &str)]) -> Vec<String> {
        let missing = |what: &str, reaches: &[Reach]| -> Vec<String> {
            let never = reaches.iter().filter(|reach| reach.times.iter().all(|times| *times == 0));
            let never = never.filter(|reach| exceptions.iter().all(|(id, _)| *id != reach.id));
            never.map(|reach| format!("the {what} `{}` was never reached", reach.id)).collect()
        };
        [missing("mark", &self.marks), missing("kind of fault", &self.faults)].concat()
    }

    /// Exceptions that are none: what they name is reached, or is not there.
    pub fn stale(&self, exceptions: &[(&str, &str)]) -> Vec<String> {
        let all = || self.marks.iter().chain(&self.faults);
        let reached = |id: &str| all().any(|reach| reach.id == id && reach.times.iter().any(|times| *times > 0));
        let known = |id: &str| all().any(|reach| reach.id == id);
        let stale = exceptions.iter().filter(|(id, _)| reached(id) || !known(id));
        stale.map(|(id, _)| format!("the exception `{id}` is reached, or names nothing: take it out")).collect()
    }
}

#[cfg(test)]
mod tests {
    use record::Verdict;

    use super::*;
    use crate::fault::KINDS;
    use crate::sweep::{End, Row};
    use crate::world::mark;

    fn tally(faults: &[(&str, u64)], marks: &[(&str, u64)]) -> Tally {
        let map = |pairs: &[(&str, u64)]| pairs.iter().map(|(id, n)| ((*id).to_owned(), *n)).collect();
        let row = Row {
            seed: 1,
            end: End::Held,
            why: None,
            digest: Some(record::Digest(1)),
            devices: 1,
            delivered: 1,
            simulated_s: 1.0,
            wall_s: 1.0,
            faults: map(faults),
            marks: map(marks),
        };
        Tally::of(&[row], Verdict::Held)
    }

    #[test]
    fn what_no_scenario_reaches_is_named_and_an_exception_that_is_reached_is_too() {
        let first = tally(&[("throttle", 3), ("loss", 0)], &[("partial-put", 2)]);
        let second = tally(&[("zombie", 1)], &[("cas-conflict", 1)]);
        let coverage = Coverage::of(&[("a".to_owned(), first), ("b".to_owned(), second)]);
        let never = coverage.never(&[("latency", "a reason")]);
        assert_eq!(never.len(), KINDS.len() + mark::ALL.len() - 2 - 2 - 1);
        assert!(never.contains(&"the kind of fault `loss` was never reached".to_owned()), "{never:?}");
        assert!(!never.iter().any(|what| what.contains("`latency`") || what.contains("`zombie`")), "{never:?}");
        let find = |id: &str| coverage.faults.iter().find(|reach| reach.id == id).expect("a kind").times.clone();
        assert_eq!((find("throttle"), find("zombie")), (vec![3, 0], vec![0, 1]));
        assert!(coverage.stale(&[("latency", "a reason")]).is_empty());
        for stale in ["zombie", "cas-conflict", "nothing-of-the-name"] {
            assert_eq!(coverage.stale(&[(stale, "a reason")]).len(), 1, "{stale}");
        }
    }
}
