//! What the parser makes of a text: expressions and queries.

use super::call::Function;
use super::number::Number;
use super::regexp::Regexp;
use super::time::{EpochPattern, TimePattern};

/// An expression.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    /// What has no value whatever the message is.
    Undefined,
    /// `NULL`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Box<str>),
    /// A member of the payload, or of the element that a nested query looks at: `a.b.c`.
    Path(Vec<Box<str>>),
    /// `*` as a value: the whole payload, or the whole element.
    Whole,
    /// A variable of `SET`, by its place.
    Variable(usize),
    /// `x.b.c`, where `x` is no path.
    Member(Box<Expr>, Vec<Box<str>>),
    /// `[x, y]`.
    Array(Vec<Expr>),
    /// `{'a': x}`.
    Object(Vec<(Box<str>, Expr)>),
    /// `topic()`.
    Topic,
    /// `topic(n)`, counted from 1.
    TopicSegment(usize),
    /// `timestamp()`.
    Timestamp,
    /// `clientid()`.
    ClientId,
    /// `newuuid()`.
    NewUuid,
    /// `-x`.
    Negate(Box<Expr>),
    /// `NOT x`.
    Not(Box<Expr>),
    /// `x op y`.
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// `CASE v WHEN t THEN r ... ELSE e END`.
    Case(Box<Case>),
    /// `(SELECT ... FROM x WHERE ...)`.
    Query(Box<Query>),
    /// `cast(x AS type)`.
    Cast(Box<Expr>, Type),
    /// `encode(*, 'base64')`.
    EncodePayload,
    /// `regexp_matches`, `regexp_replace`, `regexp_substr`: the pattern is compiled; the other arguments are values.
    Regexp(RegexpUse, Box<Regexp>, Vec<Expr>),
    /// `parse_time(pattern, ms[, zone])`.
    ParseTime(Box<TimePattern>, Vec<Expr>),
    /// `time_to_epoch(text, pattern)`.
    TimeToEpoch(Box<EpochPattern>, Box<Expr>),
    /// `get_mqtt_property(name)`.
    MqttProperty(MqttProperty),
    /// `get_thing_shadow(thing[, shadow], role)`.
    ThingShadow(Box<ThingShadow>),
    /// Every other function.
    Call(Function, Vec<Expr>),
}

/// An operator between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// The parts of `CASE`.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) value: Expr,
    pub(super) branches: Vec<(Expr, Expr)>,
    pub(super) otherwise: Option<Expr>,
}

/// The list of a `SELECT`.
#[derive(Clone, Debug)]
pub(super) struct Select {
    /// Whether the list has `*`.
    pub(super) star: bool,
    /// Whether it is `SELECT VALUE`: one value without a name, or `*`.
    pub(super) value: bool,
    /// The other items: name in the result (`a.b` has two parts), and value.
    pub(super) items: Vec<(Alias, Expr)>,
}

/// The name of an item in the result, cut at its dots.
pub(super) type Alias = Vec<Box<str>>;

/// A nested query.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) select: Select,
    pub(super) source: Expr,
    pub(super) condition: Option<Expr>,
}

/// What `cast` makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    String,
    Int,
    Double,
    Decimal,
    Boolean,
}

/// What is done with a regular expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegexpUse {
    Matches,
    Replace,
    Substring,
}

/// A property of MQTT 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MqttProperty {
    ContentType,
    FormatIndicator,
    ResponseTopic,
    CorrelationData,
}

/// The arguments of `get_thing_shadow`.
#[derive(Clone, Debug)]
pub(super) struct ThingShadow {
    pub(super) thing: Expr,
    pub(super) shadow: Option<Expr>,
    pub(super) role: Box<str>,
}

impl Expr {
    /// Whether the value depends on members of the payload. Of a nested query only the source counts: the names in the other
    /// parts are members of its elements.
    pub(super) fn reads_payload(&self) -> bool {
        self.any(false, &|expr| matches!(expr, Expr::Path(_) | Expr::Whole))
    }

    /// Whether the expression asks another service.
    pub(super) fn is_external(&self) -> bool {
        self.any(true, &|expr| matches!(expr, Expr::ThingShadow(_)))
    }

    /// Whether the condition holds for the expression or a part of it; `in_queries` looks into all parts of nested queries.
    fn any(&self, in_queries: bool, holds: &dyn Fn(&Expr) -> bool) -> bool {
        let part = |expr: &Expr| expr.any(in_queries, holds);
        if holds(self) {
            return true;
        }
        match self {
            Expr::Member(inner, _)
            | Expr::Negate(inner)
            | Expr::Not(inner)
            | Expr::Cast(inner, _)
            | Expr::TimeToEpoch(_, inner) => part(inner),
            Expr::Array(items) | Expr::Regexp(_, _, items) | Expr::ParseTime(_, items) | Expr::Call(_, items) => {
                items.iter().any(part)
            }
            Expr::Object(members) => members.iter().any(|(_, value)| part(value)),
            Expr::Binary(_, left, right) => part(left) || part(right),
            Expr::Case(case) => {
                let branches = case.branches.iter().flat_map(|(test, result)| [test, result]);
                std::iter::once(&case.value).chain(branches).chain(&case.otherwise).any(part)
            }
            Expr::Query(query) => {
                let inner = query.select.items.iter().map(|(_, expr)| expr).chain(&query.condition);
                part(&query.source) || (in_queries && inner.into_iter().any(part))
            }
            Expr::ThingShadow(call) => part(&call.thing) || call.shadow.as_ref().is_some_and(part),
            _ => false,
        }
    }
}
