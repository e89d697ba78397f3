//! Condition and update expressions.
//!
//! Modelled: names and `#` placeholders of whole attributes, `:` values; in conditions the six comparisons,
//! `attribute_exists`, `attribute_not_exists`, `AND`, `OR`, `NOT` and parentheses; in updates `SET` of a value, of another
//! attribute or of `if_not_exists`, and `REMOVE`. Everything else that DynamoDB has is refused by its name. Reserved words
//! are not refused as names, which DynamoDB does.

use std::collections::{BTreeMap, BTreeSet};

use super::validation;
use super::value::{AttributeValue, Attributes};
use crate::core::AwsError;

/// Most operators and functions of an expression (unverified, as is the text of the refusal).
const OPERATORS_MAX: usize = 300;
/// Deepest nesting of parentheses, `NOT` and functions (assumed: more of them than operators are redundant).
const DEPTH_MAX: usize = 300;

/// What an expression may refer to, and what it has referred to so far.
pub(super) struct Placeholders {
    names: BTreeMap<String, String>,
    values: Attributes,
    used: BTreeSet<String>,
    /// Longest expression.
    bytes_max: usize,
}

impl Placeholders {
    /// The placeholders of a request.
    pub fn new(names: BTreeMap<String, String>, values: Attributes, bytes_max: usize) -> Self {
        Placeholders { names, values, used: BTreeSet::new(), bytes_max }
    }

    fn name(&mut self, member: &'static str, token: &str) -> Result<String, AwsError> {
        if !token.starts_with('#') {
            return Ok(token.to_owned());
        }
        self.used.insert(token.to_owned());
        self.names.get(token).cloned().ok_or_else(|| {
            validation(format!(
                "Invalid {member}: An expression attribute name used in the document path is not defined; attribute \
                 name: {token}"
            ))
        })
    }

    fn value(&mut self, member: &'static str, token: &str) -> Result<AttributeValue, AwsError> {
        self.used.insert(token.to_owned());
        self.values.get(token).cloned().ok_or_else(|| {
            validation(format!(
                "Invalid {member}: An expression attribute value used in expression is not defined; attribute value: \
                 {token}"
            ))
        })
    }

    /// Refuses placeholders that no expression has used.
    pub fn all_used(&self) -> Result<(), AwsError> {
        let unused = |kind: &str, keys: Vec<&String>| match keys.is_empty() {
            true => Ok(()),
            false => {
                let keys: Vec<&str> = keys.into_iter().map(String::as_str).collect();
                let keys = keys.join(", ");
                Err(validation(format!(
                    "Value provided in ExpressionAttribute{kind} unused in expressions: keys: {{{keys}}}"
                )))
            }
        };
        unused("Names", self.names.keys().filter(|key| !self.used.contains(*key)).collect())?;
        unused("Values", self.values.keys().filter(|key| !self.used.contains(*key)).collect())
    }
}

/// A condition.
#[derive(Debug)]
pub(super) enum Condition {
    Exists(String),
    Absent(String),
    Compare(Operand, &'static str, Operand),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

/// One side of a comparison, or what an attribute is set to.
#[derive(Debug)]
pub(super) enum Operand {
    Attribute(String),
    Value(AttributeValue),
    IfNotExists(String, Box<Operand>),
}

impl Operand {
    fn of<'v>(&'v self, item: &'v Attributes) -> Option<&'v AttributeValue> {
        match self {
            Operand::Attribute(name) => item.get(name),
            Operand::Value(value) => Some(value),
            Operand::IfNotExists(name, otherwise) => item.get(name).or_else(|| otherwise.of(item)),
        }
    }
}

impl Condition {
    /// Parses a condition.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, AwsError> {
        let mut parser = Parser::new("ConditionExpression", text, placeholders)?;
        let condition = parser.or()?;
        parser.end()?;
        Ok(condition)
    }

    /// Whether an item meets the condition; an item that is not there has no attribute.
    pub fn holds(&self, item: &Attributes) -> bool {
        match self {
            Condition::Exists(name) => item.contains_key(name),
            Condition::Absent(name) => !item.contains_key(name),
            Condition::Compare(left, operator, right) => compare(left.of(item), operator, right.of(item)),
            Condition::Not(inner) => !inner.holds(item),
            Condition::And(left, right) => left.holds(item) && right.holds(item),
            Condition::Or(left, right) => left.holds(item) || right.holds(item),
        }
    }
}

/// Values of different types differ and have no order. What is absent differs from everything (unverified).
fn compare(left: Option<&AttributeValue>, operator: &str, right: Option<&AttributeValue>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return operator == "<>" };
    let order = match (left, right) {
        (AttributeValue::S(left), AttributeValue::S(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        (AttributeValue::N(left), AttributeValue::N(right)) => Some(left.compare(right)),
        (AttributeValue::B(left), AttributeValue::B(right)) => Some(left.cmp(right)),
        _ => None,
    };
    match operator {
        "=" => left == right,
        "<>" => left != right,
        "<" => order.is_some_and(std::cmp::Ordering::is_lt),
        "<=" => order.is_some_and(std::cmp::Ordering::is_le),
        ">" => order.is_some_and(std::cmp::Ordering::is_gt),
        _ => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}

/// An update: what is set, and what is removed.
#[derive(Debug, Default)]
pub(super) struct Update {
    set: Vec<(String, Operand)>,
    remove: Vec<String>,
}

impl Update {
    /// Parses an update.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, AwsError> {
        let mut parser = Parser::new("UpdateExpression", text, placeholders)?;
        let mut update = Update::default();
        while let Some(clause) = parser.next() {
            match clause.to_ascii_uppercase().as_str() {
                "SET" if update.set.is_empty() => parser.list(|parser| {
                    let name = parser.attribute()?;
                    parser.expect("=")?;
                    let operand = parser.operand()?;
                    update.set.push((name, operand));
                    Ok(())
                })?,
                "REMOVE" if update.remove.is_empty() => parser.list(|parser| {
                    update.remove.push(parser.attribute()?);
                    Ok(())
                })?,
                word @ ("SET" | "REMOVE") => {
                    let message = format!("The \"{word}\" section can only be used once in an update expression;");
                    return Err(validation(format!("Invalid UpdateExpression: {message}")));
                }
                word @ ("ADD" | "DELETE") => {
                    return Err(AwsError::not_modelled(format!("dynamodb UpdateExpression {word}")));
                }
                _ => return Err(parser.syntax(&clause)),
            }
        }
        let mut seen = BTreeSet::new();
        if let Some(name) = update.names().find(|name| !seen.insert(*name)) {
            return Err(validation(format!(
                "Invalid UpdateExpression: Two document paths overlap with each other; must remove or rewrite one of \
                 these paths; path one: [{name}], path two: [{name}]"
            )));
        }
        Ok(update)
    }

    /// The attributes that change.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.set.iter().map(|(name, _)| name.as_str()).chain(self.remove.iter().map(String::as_str))
    }

    /// The item after the update. Operands are those of the item before it.
    pub fn applied(&self, item: &Attributes) -> Result<Attributes, AwsError> {
        let mut after = item.clone();
        for (name, operand) in &self.set {
            let value = operand.of(item).ok_or_else(|| {
                validation("The provided expression refers to an attribute that does not exist in the item")
            })?;
            after.insert(name.clone(), value.clone());
        }
        for name in &self.remove {
            after.remove(name);
        }
        Ok(after)
    }
}

struct Parser<'p> {
    member: &'static str,
    tokens: std::vec::IntoIter<String>,
    /// Nesting so far.
    depth: usize,
    placeholders: &'p mut Placeholders,
}

/// Functions and operators of conditions and updates that are not modelled.
const NOT_MODELLED: [&str; 9] =
    ["BETWEEN", "IN", "BEGINS_WITH", "CONTAINS", "SIZE", "ATTRIBUTE_TYPE", "LIST_APPEND", "+", "-"];

impl<'p> Parser<'p> {
    fn new(member: &'static str, text: &str, placeholders: &'p mut Placeholders) -> Result<Self, AwsError> {
        if text.trim().is_empty() {
            return Err(validation(format!("Invalid {member}: The expression can not be empty;")));
        }
        let size = text.len();
        if size > placeholders.bytes_max {
            // The text is unverified.
            let what = "Expression size has exceeded the maximum allowed size; expression size:";
            return Err(validation(format!("Invalid {member}: {what} {size}")));
        }
        let tokens = tokens(member, text)?;
        let operators = tokens.iter().filter(|token| is_operator(member, token)).count();
        if operators > OPERATORS_MAX {
            let what = "The expression contains too many operators; operator count:";
            return Err(validation(format!("Invalid {member}: {what} {operators}")));
        }
        Ok(Parser { member, tokens: tokens.into_iter(), depth: 0, placeholders })
    }

    /// Parses what lies one level deeper.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, AwsError>) -> Result<T, AwsError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(validation(format!("Invalid {}: The expression is nested too deeply", self.member)));
        }
        let parsed = parse(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    fn next(&mut self) -> Option<String> {
        self.tokens.next()
    }

    fn peek(&self) -> &str {
        self.tokens.as_slice().first().map_or("", String::as_str)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().eq_ignore_ascii_case(word);
        if found {
            self.next();
        }
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), AwsError> {
        if self.take(word) {
            return Ok(());
        }
        let found = self.peek().to_owned();
        Err(self.syntax(&found))
    }

    fn end(&self) -> Result<(), AwsError> {
        match self.peek() {
            "" => Ok(()),
            token => Err(self.syntax(token)),
        }
    }

    /// What DynamoDB says of a token that does not belong there, or a refusal of what is not modelled.
    fn syntax(&self, token: &str) -> AwsError {
        if NOT_MODELLED.contains(&token.to_ascii_uppercase().as_str()) {
            return AwsError::not_modelled(format!("dynamodb {} {token}", self.member));
        }
        let token = if token.is_empty() { "<EOF>" } else { token };
        validation(format!("Invalid {}: Syntax error; token: \"{token}\"", self.member))
    }

    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), AwsError>) -> Result<(), AwsError> {
        item(self)?;
        while self.take(",") {
            item(self)?;
        }
        Ok(())
    }

    fn attribute(&mut self) -> Result<String, AwsError> {
        let token = self.next().unwrap_or_default();
        let is_name = token.starts_with('#') || token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !is_name || NOT_MODELLED.contains(&token.to_ascii_uppercase().as_str()) {
            return Err(self.syntax(&token));
        }
        if ["[", "."].contains(&self.peek()) {
            return Err(AwsError::not_modelled(format!("dynamodb {} with a path into {token}", self.member)));
        }
        self.placeholders.name(self.member, &token)
    }

    fn operand(&mut self) -> Result<Operand, AwsError> {
        let operand = if self.peek().starts_with(':') {
            let token = self.next().unwrap_or_default();
            Operand::Value(self.placeholders.value(self.member, &token)?)
        } else if self.member == "UpdateExpression" && self.take("if_not_exists") {
            self.expect("(")?;
            let name = self.attribute()?;
            self.expect(",")?;
            let otherwise = self.deeper(Self::operand)?;
            self.expect(")")?;
            Operand::IfNotExists(name, Box::new(otherwise))
        } else {
            Operand::Attribute(self.attribute()?)
        };
        match self.peek() {
            sign @ ("+" | "-") => Err(AwsError::not_modelled(format!("dynamodb {} {sign}", self.member))),
            _ => Ok(operand),
        }
    }

    fn or(&mut self) -> Result<Condition, AwsError> {
        let mut condition = self.and()?;
        while self.take("OR") {
            condition = Condition::Or(Box::new(condition), Box::new(self.and()?));
        }
        Ok(condition)
    }

    fn and(&mut self) -> Result<Condition, AwsError> {
        let mut condition = self.not()?;
        while self.take("AND") {
            condition = Condition::And(Box::new(condition), Box::new(self.not()?));
        }
        Ok(condition)
    }

    fn not(&mut self) -> Result<Condition, AwsError> {
        if self.take("NOT") {
            return Ok(Condition::Not(Box::new(self.deeper(Self::not)?)));
        }
        if self.take("(") {
            let inner = self.deeper(Self::or)?;
            self.expect(")")?;
            return Ok(inner);
        }
        for (function, make) in [
            ("attribute_exists", Condition::Exists as fn(String) -> Condition),
            ("attribute_not_exists", Condition::Absent),
        ] {
            if self.take(function) {
                self.expect("(")?;
                let name = self.attribute()?;
                self.expect(")")?;
                return Ok(make(name));
            }
        }
        let left = self.operand()?;
        let found = self.next().unwrap_or_default();
        let operator = ["=", "<>", "<=", "<", ">=", ">"].into_iter().find(|known| *known == found);
        let operator = operator.ok_or_else(|| self.syntax(&found))?;
        Ok(Condition::Compare(left, operator, self.operand()?))
    }
}

/// Whether a token is an operator or a function. The `=` of `SET` is none.
fn is_operator(member: &str, token: &str) -> bool {
    let comparisons = ["=", "<>", "<=", "<", ">=", ">"];
    let words = ["AND", "OR", "NOT", "attribute_exists", "attribute_not_exists", "if_not_exists"];
    (member == "ConditionExpression" && comparisons.contains(&token))
        || words.iter().any(|word| token.eq_ignore_ascii_case(word))
}

fn tokens(member: &'static str, text: &str) -> Result<Vec<String>, AwsError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let length = match first {
            '#' | ':' => 1 + rest[1..].find(|c: char| !is_word(c)).unwrap_or(rest.len() - 1),
            c if is_word(c) => rest.find(|c: char| !is_word(c)).unwrap_or(rest.len()),
            '<' if rest.starts_with("<>") || rest.starts_with("<=") => 2,
            '>' if rest.starts_with(">=") => 2,
            '<' | '>' | '=' | '(' | ')' | ',' | '.' | '[' | ']' | '+' | '-' => 1,
            other => {
                return Err(validation(format!("Invalid {member}: Syntax error; token: \"{other}\"")));
            }
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::super::value::{WireAttributes, check};
    use super::*;

    fn attributes(json: &str) -> Attributes {
        check(serde_json::from_str::<WireAttributes>(json).unwrap(), 32).unwrap()
    }

    fn placeholders() -> Placeholders {
        let names = BTreeMap::from([("#n".to_owned(), "name".to_owned())]);
        Placeholders::new(names, attributes(r#"{":one": {"N": "1"}, ":two": {"N": "2.0"}, ":a": {"S": "a"}}"#), 4_096)
    }

    #[test]
    fn conditions_are_met_or_not() {
        let item = attributes(r#"{"version": {"N": "2"}, "name": {"S": "a"}}"#);
        for (text, expected) in [
            ("version = :two", true),
            ("version <= :one", false),
            ("version > :one AND #n = :a", true),
            ("NOT version > :one OR #n <> :a", false),
            ("NOT (version > :one AND #n <> :a)", true),
            ("attribute_exists(version)", true),
            ("attribute_not_exists(version) OR version <= :two", true),
            ("attribute_exists(other)", false),
            ("other = :one", false),
            ("other <> :one", true),
            ("version < #n", false),
            ("version <> #n", true),
            (":one < version", true),
        ] {
            let condition = Condition::parse(text, &mut placeholders()).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(condition.holds(&item), expected, "{text}");
        }
    }

    #[test]
    fn updates_read_the_item_as_it_was() {
        let item = attributes(r#"{"a": {"N": "1"}, "b": {"N": "5"}, "gone": {"S": "x"}}"#);
        let update = "SET a = b, b = a, c = if_not_exists(c, :a), d = if_not_exists(a, :two) REMOVE gone, never";
        let after = Update::parse(update, &mut placeholders()).unwrap().applied(&item).unwrap();
        let expected = r#"{"a": {"N": "5"}, "b": {"N": "1"}, "c": {"S": "a"}, "d": {"N": "1"}}"#;
        assert_eq!(after, attributes(expected));
        let error = Update::parse("SET a = missing", &mut placeholders()).unwrap().applied(&item).unwrap_err();
        assert!(error.message.contains("does not exist in the item"), "{error}");
    }

    #[test]
    fn what_is_wrong_or_not_modelled_is_said() {
        for (update, text, expected) in [
            (true, "", "The expression can not be empty"),
            (true, "SET a :one", "Syntax error; token: \":one\""),
            (true, "SET a = :one SET b = :one", "\"SET\" section can only be used once"),
            (true, "SET a = :one, a = :two", "Two document paths overlap"),
            (true, "SET a = :three", "attribute value: :three"),
            (true, "SET #m = :one", "attribute name: #m"),
            (true, "ADD a :one", "dynamodb UpdateExpression ADD"),
            (true, "SET a = a + :one", "dynamodb UpdateExpression +"),
            (true, "SET a.b = :one", "path into a"),
            (false, "a BETWEEN :one AND :two", "dynamodb ConditionExpression BETWEEN"),
            (false, "begins_with(a, :a)", "dynamodb ConditionExpression begins_with"),
            (false, "a = :one b", "Syntax error; token: \"b\""),
            (false, "(a = :one", "Syntax error; token: \"<EOF>\""),
            (false, "a ~ :one", "Syntax error; token: \"~\""),
        ] {
            let error = match update {
                true => Update::parse(text, &mut placeholders()).expect_err(text),
                false => Condition::parse(text, &mut placeholders()).expect_err(text),
            };
            assert!(error.message.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn long_and_deep_expressions_are_refused() {
        let deep = |depth: usize| format!("{}attribute_exists(a){}", "(".repeat(depth), ")".repeat(depth));
        let many = |operators: usize| vec!["a=:a"; operators.div_ceil(2)].join(" OR ");
        let fits = format!("a = :a{}", " ".repeat(4_090));
        assert!(Condition::parse(&fits, &mut placeholders()).is_ok());
        assert!(Condition::parse(&deep(300), &mut placeholders()).is_ok());
        assert!(Condition::parse(&many(299), &mut placeholders()).is_ok());
        for (text, expected) in [
            (format!("{fits} "), "expression size: 4097"),
            (deep(301), "nested too deeply"),
            (many(301), "operator count: 301"),
            (format!("{}a = :a", "NOT ".repeat(300)), "operator count: 301"),
        ] {
            let error = Condition::parse(&text, &mut placeholders()).expect_err(expected);
            assert!(error.message.contains(expected), "{error}");
        }
    }

    #[test]
    fn placeholders_that_nothing_uses_are_refused() {
        let mut placeholders = placeholders();
        Condition::parse("#n = :a OR #n = :one", &mut placeholders).unwrap();
        let error = placeholders.all_used().unwrap_err();
        assert!(error.message.ends_with("ExpressionAttributeValues unused in expressions: keys: {:two}"), "{error}");
    }
}
