//! What policies come to for one connection: variables are filled in once, when it connects.

use super::document::{Document, Part, Resource, Variable};
use crate::core::AccountInfo;
use crate::iot::registry::Thing;

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

/// What a CONNECT asks for beside its client id: the condition keys `iot:ConnectAttributes` and `iot:LastWillTopic`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectAttributes<'c> {
    /// Whether its session is to outlive the connection: `PersistentConnect`.
    pub persistent: bool,
    /// Topic of its will, if it has one: `LastWill`.
    pub will: Option<&'c str>,
}

/// What the variables of policies stand for.
pub struct Context<'c> {
    /// The account, for ARNs.
    pub account: &'c AccountInfo,
    /// Client id of the connection.
    pub client: &'c str,
    /// Source address of the connection.
    pub ip: &'c str,
    /// The thing of the connection: its name is the client id and the certificate is attached to it.
    pub thing: Option<&'c Thing>,
}

/// Longest value that is filled in for a variable, in characters.
const VALUE_MAX: usize = 1024;

impl Context<'_> {
    /// The resource with its variables filled in. `None` when one has no value or a value that AWS does not fill in: such
    /// a resource matches nothing.
    fn fill_in(&self, resource: &Resource) -> Option<String> {
        let mut text = String::new();
        for part in resource {
            let value = match part {
                Part::Text(part) => {
                    text.push_str(part);
                    continue;
                }
                Part::Variable(Variable::ClientId) => self.client,
                Part::Variable(Variable::SourceIp) => self.ip,
                Part::Variable(Variable::ThingName) => &self.thing?.name,
                Part::Variable(Variable::ThingTypeName) => self.thing?.thing_type.as_deref()?,
                Part::Variable(Variable::IsAttached) if self.thing.is_some() => "true",
                Part::Variable(Variable::IsAttached) => "false",
                Part::Variable(Variable::Attribute(name)) => self.thing?.attributes.get(&**name)?,
            };
            if value.contains(['*', '$', '+', '?', '#']) || value.chars().count() > VALUE_MAX {
                return None;
            }
            text.push_str(value);
        }
        Some(text)
    }
}

/// What one connection may do.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    action: Action,
    allow: bool,
    pattern: Pattern,
}

#[derive(Clone, Debug)]
enum Pattern {
    /// Exactly this resource of the account.
    Exact(Box<str>),
    /// Resources of the account by wildcard.
    Glob(Box<str>),
    /// Whole ARNs by wildcard; the first text is the start of the ARNs of this action's resources.
    Arn(Box<str>, Box<str>),
}

impl Pattern {
    /// `None` when the pattern matches no resource of this type in the account.
    fn new(account: &AccountInfo, action: Action, text: String) -> Option<Pattern> {
        let prefix = format!("arn:aws:iot:{}:{}:{}/", account.region, account.id, action.resource_type());
        let has_wildcard = |text: &str| text.contains(['*', '?']);
        match text.strip_prefix(&prefix) {
            Some(name) if has_wildcard(name) => Some(Pattern::Glob(name.into())),
            Some(name) => Some(Pattern::Exact(name.into())),
            None if has_wildcard(&text) => Some(Pattern::Arn(prefix.into(), text.into())),
            None => None,
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Pattern::Exact(exact) => **exact == *name,
            Pattern::Glob(pattern) => matches(pattern, name),
            Pattern::Arn(prefix, pattern) => matches(pattern, &format!("{prefix}{name}")),
        }
    }
}

impl Permissions {
    /// What these documents allow and deny in this context.
    pub fn compile<'d>(documents: impl IntoIterator<Item = &'d Document>, context: &Context<'_>) -> Self {
        let mut rules = Vec::new();
        for statement in documents.into_iter().flat_map(|document| &document.statements) {
            for text in statement.resources.iter().filter_map(|resource| context.fill_in(resource)) {
                for action in &statement.actions {
                    if let Some(pattern) = Pattern::new(context.account, *action, text.clone()) {
                        rules.push(Rule { action: *action, allow: statement.allow, pattern });
                    }
                }
            }
        }
        rules.shrink_to_fit();
        Permissions { rules }
    }

    /// Whether an action on a resource is allowed, named without the start of its ARN. An explicit deny wins; what is not
    /// allowed is denied.
    pub fn allows(&self, action: Action, name: &str) -> bool {
        let mut allowed = false;
        for rule in self.rules.iter().filter(|rule| rule.action == action) {
            if (!rule.allow || !allowed) && rule.pattern.matches(name) {
                if !rule.allow {
                    return false;
                }
                allowed = true;
            }
        }
        allowed
    }

    /// Whether a CONNECT is allowed. Conditions on its attributes are judged here: a policy without them allows all.
    pub fn allows_connect(&self, client: &str, _: ConnectAttributes<'_>) -> bool {
        self.allows(Action::Connect, client)
    }

    /// Forgets what is asked only once, when a client connects.
    pub fn forget_connect(&mut self) {
        self.rules.retain(|rule| rule.action != Action::Connect);
        self.rules.shrink_to_fit();
    }
}

/// Whether `pattern` matches all of `text`; `*` stands for any characters, slashes too, and `?` for one character.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` is, and the first byte of the text that it does not stand for.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += character(text, t);
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, covered)) = star else { return false };
                let covered = covered + character(text, covered);
                star = Some((at, covered));
                p = at + 1;
                t = covered;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Length of the character that begins at `at`, in bytes.
fn character(text: &[u8], at: usize) -> usize {
    1 + text[at + 1..].iter().take_while(|byte| **byte & 0xc0 == 0x80).count()
}
