//! Rules as the control plane lists, enables and disables them.

use std::ops::Bound;

use super::{Rule, Rules};
use crate::iot::Iot;
use world::time::Time;

/// A rule as `ListTopicRules` shows it.
pub struct Listed<'r> {
    /// Its name.
    pub name: &'r str,
    /// The topic filter of its statement; none for a rule of Basic Ingest.
    pub filter: Option<&'r str>,
    /// Whether it rests.
    pub disabled: bool,
    /// When it was created.
    pub created: Time,
}

impl Rules {
    /// The rules after a name, in the order of their names.
    pub fn list(&self, after: Option<&str>) -> impl Iterator<Item = Listed<'_>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name.range::<str, _>((start, Bound::Unbounded)).map(|(_, index)| self.rules[*index].listed())
    }

    /// Whether a rule exists.
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }
}

impl Rule {
    fn listed(&self) -> Listed<'_> {
        Listed {
            name: &self.name,
            filter: self.statement.filter().map(|filter| filter.as_str()),
            disabled: self.payload.rule_disabled,
            created: self.created,
        }
    }
}

impl Iot {
    /// `EnableTopicRule` and `DisableTopicRule`. What waits for a retry goes on. Answers whether there is such a rule.
    pub(in crate::iot) fn set_rule_disabled(&mut self, name: &str, disabled: bool) -> bool {
        let rules = &mut self.rules;
        let Some(&index) = rules.by_name.get(name) else { return false };
        rules.silence(index);
        rules.rules[index].payload.rule_disabled = disabled;
        rules.listen(index);
        true
    }
}
