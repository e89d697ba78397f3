//! What was denied: whoever judges a run wants to know whether each denial had a reason.

use std::collections::BTreeSet;

use world::time::Time;

/// Denials that are kept one by one. What comes beyond is only counted.
const KEPT_MAX: usize = 50_000;

/// Denied questions of which it is remembered that they are open.
const OPEN_MAX: usize = 1_000;

/// Calls, or uses of a key, that were denied for the same reason within a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The first of them.
    pub at: Time,
    /// ARN of who was denied.
    pub principal: String,
    /// What was denied, such as `kinesis:PutRecords`.
    pub action: String,
    /// ARN of what it would have acted on.
    pub resource: String,
    /// What the caller was told.
    pub message: String,
    /// How many.
    pub count: u64,
}

/// All denials so far.
#[derive(Debug, Default)]
pub struct Denials {
    kept: Vec<Denial>,
    more: u64,
    /// What was denied and has not been allowed since.
    open: BTreeSet<[String; 3]>,
}

impl Denials {
    /// Those that are kept, by time.
    pub fn kept(&self) -> &[Denial] {
        &self.kept
    }

    /// How many came beyond what is kept.
    pub fn more(&self) -> u64 {
        self.more
    }

    /// Whether something that is allowed now had been denied before. Says so once for each denial.
    pub(in crate::core) fn is_allowed_again(&mut self, principal: &str, action: &str, resource: &str) -> bool {
        !self.open.is_empty() && self.open.remove(&[principal, action, resource].map(str::to_owned))
    }

    /// Adds one.
    pub(in crate::core) fn add(&mut self, now: Time, principal: &str, action: &str, resource: &str, message: &str) {
        if self.open.len() < OPEN_MAX {
            self.open.insert([principal, action, resource].map(str::to_owned));
        }
        let second = now.unix_secs();
        let recent = self.kept.iter_mut().rev().take_while(|denial| denial.at.unix_secs() == second);
        let alike = |denial: &&mut Denial| {
            denial.principal == principal && denial.action == action && denial.resource == resource
        };
        if let Some(denial) = recent.into_iter().find(alike) {
            denial.count += 1;
        } else if self.kept.len() >= KEPT_MAX {
            self.more += 1;
        } else {
            let text = str::to_owned;
            let (principal, action, resource, message) = (text(principal), text(action), text(resource), text(message));
            self.kept.push(Denial { at: now, principal, action, resource, message, count: 1 });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_alike_within_a_second_is_one_denial() {
        let mut denials = Denials::default();
        let start = Time::from_unix_secs(100);
        for (ms, action) in [(0, "s3:GetObject"), (10, "s3:PutObject"), (20, "s3:GetObject"), (1_000, "s3:GetObject")] {
            denials.add(start + Duration::from_millis(ms), "role", action, "lake", "no");
        }
        let seen: Vec<(u64, &str, u64)> =
            denials.kept().iter().map(|d| (d.at.unix_secs(), d.action.as_str(), d.count)).collect();
        assert_eq!(seen, [(100, "s3:GetObject", 2), (100, "s3:PutObject", 1), (101, "s3:GetObject", 1)]);
        let again: Vec<bool> = (0..2).map(|_| denials.is_allowed_again("role", "s3:GetObject", "lake")).collect();
        assert_eq!(again, [true, false]);
        for n in 0..KEPT_MAX {
            let at = start + Duration::from_millis(2_000 + 10 * n as u64);
            denials.add(at, "role", "s3:GetObject", &n.to_string(), "no");
        }
        assert_eq!((denials.kept().len(), denials.more()), (KEPT_MAX, 3));
    }
}
