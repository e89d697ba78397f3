//! What policies come to for one connection: variables are filled in and conditions judged once, when it connects.

use super::document::{Document, Statement};
use super::glob::{Matcher, bytes, matchers};
use super::keys::{ConnectAttributes, Context, Kept, Values, is_of_connect};
use crate::core::policy::{Condition, Lookup as _};

/// An action of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `iot:Connect`.
    Connect,
    /// `iot:Publish`.
    Publish,
    /// `iot:Subscribe`.
    Subscribe,
    /// `iot:Receive`.
    Receive,
    /// `iot:RetainPublish`: asked beside `iot:Publish` for what is to be retained.
    RetainPublish,
}

impl Action {
    /// All actions of the broker.
    pub const ALL: [Action; 5] =
        [Action::Connect, Action::Publish, Action::Subscribe, Action::Receive, Action::RetainPublish];

    /// Name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Action::Connect => "iot:Connect",
            Action::Publish => "iot:Publish",
            Action::Subscribe => "iot:Subscribe",
            Action::Receive => "iot:Receive",
            Action::RetainPublish => "iot:RetainPublish",
        }
    }

    /// Type of the resource that the action is on.
    fn resource_type(self) -> &'static str {
        match self {
            Action::Connect => "client",
            Action::Publish | Action::Receive | Action::RetainPublish => "topic",
            Action::Subscribe => "topicfilter",
        }
    }
}

/// What one connection may do.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    /// Of `Publish`, `Subscribe`, `Receive` and `RetainPublish`.
    rules: [Rules; 4],
    connect: Option<Box<Connect>>,
}

/// What is denied and what is allowed of one action.
#[derive(Clone, Debug, Default)]
struct Rules {
    denies: Box<[Rule]>,
    allows: Box<[Rule]>,
}

#[derive(Clone, Debug)]
enum Rule {
    /// Resources that this matches.
    Only(Matcher),
    /// All resources but those that one of these matches.
    But(Box<[Matcher]>),
}

/// What is asked once, when a client connects.
#[derive(Clone, Debug)]
struct Connect {
    rules: Vec<ConnectRule>,
    context: Kept,
}

#[derive(Clone, Debug)]
struct ConnectRule {
    allow: bool,
    rule: Rule,
    /// Conditions on the attributes of the CONNECT.
    conditions: Vec<Condition>,
}

impl Rule {
    fn matches(&self, name: &str) -> bool {
        match self {
            Rule::Only(matcher) => matcher.matches(name),
            Rule::But(matchers) => !matchers.iter().any(|matcher| matcher.matches(name)),
        }
    }
}

impl Permissions {
    /// What these documents allow and deny in this context.
    pub fn compile<'d>(documents: impl IntoIterator<Item = &'d Document>, context: &Context<'_>) -> Self {
        let values = Values { context: *context, connect: None };
        let mut connect = Vec::new();
        let mut rules: [(Vec<Rule>, Vec<Rule>); 4] = Default::default();
        for statement in documents.into_iter().flat_map(|document| &document.statements) {
            let of_connect = |condition: &&Condition| condition.is_about_any(is_of_connect);
            let holds = |condition: &Condition| condition.is_met(&values) == Some(true);
            // Beside `iot:Connect` the attributes of a CONNECT are absent.
            let (plain, attributes): (Vec<_>, Vec<_>) = statement.conditions.iter().partition(|c| !of_connect(c));
            if !plain.into_iter().all(holds) {
                continue;
            }
            let otherwise = attributes.iter().all(|condition| holds(condition));
            for action in &statement.actions {
                let found = rules_of(statement, *action, &values);
                match slot(*action) {
                    None => connect.extend(found.into_iter().map(|rule| {
                        let conditions = attributes.iter().map(|condition| (*condition).clone()).collect();
                        ConnectRule { allow: statement.allow, rule, conditions }
                    })),
                    Some(slot) if otherwise => {
                        let (denies, allows) = &mut rules[slot];
                        if statement.allow { allows.extend(found) } else { denies.extend(found) }
                    }
                    Some(_) => {}
                }
            }
        }
        let rules = rules.map(|(denies, allows)| Rules { denies: denies.into(), allows: allows.into() });
        let connect = (!connect.is_empty()).then(|| Box::new(Connect { rules: connect, context: context.keep() }));
        Permissions { rules, connect }
    }

    /// Whether an action on a resource is allowed, named without the start of its ARN. An explicit deny wins; what is not
    /// allowed is denied.
    pub fn allows(&self, action: Action, name: &str) -> bool {
        let Some(slot) = slot(action) else { return self.allows_connect(name, ConnectAttributes::default()) };
        let Rules { denies, allows } = &self.rules[slot];
        allows.iter().any(|rule| rule.matches(name)) && !denies.iter().any(|rule| rule.matches(name))
    }

    /// Whether a CONNECT is allowed. Conditions on its attributes are judged here: a policy without them allows all.
    pub fn allows_connect(&self, client: &str, attributes: ConnectAttributes<'_>) -> bool {
        let Some(connect) = &self.connect else { return false };
        let values = Values { context: connect.context.context(), connect: Some(attributes) };
        let applies = |rule: &&ConnectRule| {
            let mut conditions = rule.conditions.iter();
            rule.rule.matches(client) && conditions.all(|condition| condition.is_met(&values) == Some(true))
        };
        let applying: Vec<&ConnectRule> = connect.rules.iter().filter(applies).collect();
        !applying.is_empty() && applying.iter().all(|rule| rule.allow)
    }

    /// Forgets what is asked only once, when a client connects.
    pub fn forget_connect(&mut self) {
        self.connect = None;
    }
}

/// Where the rules of an action are; those of `Connect` are kept apart.
fn slot(action: Action) -> Option<usize> {
    match action {
        Action::Connect => None,
        Action::Publish => Some(0),
        Action::Subscribe => Some(1),
        Action::Receive => Some(2),
        Action::RetainPublish => Some(3),
    }
}

/// The resources of a statement for one action. One whose variable has no value, or a value that AWS does not fill in,
/// matches nothing; with `NotResource` the statement then says nothing.
fn rules_of(statement: &Statement, action: Action, values: &Values<'_>) -> Vec<Rule> {
    let variable = |key: &str| values.variable(key);
    let mut found = Vec::new();
    for pattern in &statement.resources {
        match pattern.symbols(&variable) {
            Some(symbols) => {
                found.extend(matchers(&bytes(&symbols), values.context.account, action.resource_type()));
            }
            None if statement.but_resources => return Vec::new(),
            None => {}
        }
    }
    if statement.but_resources {
        return vec![Rule::But(found.into())];
    }
    found.into_iter().map(Rule::Only).collect()
}
