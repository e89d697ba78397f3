//! The parser: from text to expressions and statements.

use super::SqlError;
use super::number::Number;
use super::token::{Lexer, Token};
use crate::iot::topic::Filter;

/// Nodes that one expression can have: parsing and evaluation recurse, and no rule is that long.
const NODES_MAX: usize = 500;
/// How deep parentheses, `NOT` and signs can be nested.
const DEPTH_MAX: usize = 32;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// `NULL`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Box<str>),
    /// A member of the payload: `a.b.c`.
    Path(Vec<Box<str>>),
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
}

impl Expr {
    /// Whether the value depends on the payload.
    pub(super) fn reads_payload(&self) -> bool {
        match self {
            Expr::Path(_) => true,
            Expr::Negate(inner) | Expr::Not(inner) => inner.reads_payload(),
            Expr::Binary(_, left, right) => left.reads_payload() || right.reads_payload(),
            _ => false,
        }
    }
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

/// Operators by how strongly they bind, weakest first. `NOT` stands between `AND` and the comparisons.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("OR", Operator::Or)],
    &[("AND", Operator::And)],
    &[
        ("=", Operator::Equal),
        ("<>", Operator::NotEqual),
        ("<", Operator::Less),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterOrEqual),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];

/// Level of the comparisons in [`LEVELS`].
const COMPARISON: usize = 2;

/// Functions of AWS that are not modelled.
const OTHER_FUNCTIONS: &str = " abs acos asin atan atan2 ceil cos cosh exp floor ln log mod remainder power round sign sin \
    sinh sqrt tan tanh trunc bitand bitor bitxor bitnot rand nanvl cast chr concat endswith startswith indexof length lower \
    upper lpad rpad ltrim rtrim trim numbytes replace regexp_matches regexp_replace regexp_substr substring get isNull \
    isUndefined md2 md5 sha1 sha224 sha256 sha384 sha512 encode decode parse_time time_to_epoch principal accountid \
    sql_version traceid get_thing_shadow get_dynamodb get_registry_data get_secret aws_lambda get_mqtt_property \
    get_user_properties get_or_default transform machinelearning_predict ";

/// A parsed statement.
pub(super) struct Parsed {
    /// Whether the list has `*`.
    pub(super) star: bool,
    /// The other items: name in the result, and value.
    pub(super) items: Vec<(Box<str>, Expr)>,
    /// The topic filter of `FROM`.
    pub(super) filter: Filter,
    /// The condition of `WHERE`.
    pub(super) condition: Option<Expr>,
}

/// Parses a statement.
pub(super) fn statement(text: &str) -> Result<Parsed, SqlError> {
    let mut parser = Parser::new(text, 0)?;
    if parser.is_word("SET") {
        return Err(parser.not_modelled("SET"));
    }
    parser.keyword("SELECT")?;
    parser.refuse_select_value()?;
    let mut star = false;
    let mut items = Vec::new();
    loop {
        if parser.token == Token::Mark("*") {
            if star {
                return Err(parser.error("* can stand in the list only once"));
            }
            star = true;
            parser.advance()?;
        } else {
            items.push(parser.item()?);
        }
        if !parser.mark(",")? {
            break;
        }
    }
    if !parser.is_word("FROM") && (parser.token == Token::End || parser.is_word("WHERE")) {
        return Err(parser.not_modelled("a statement without FROM, which only Basic Ingest can use,"));
    }
    parser.keyword("FROM")?;
    let Token::Text(filter) = parser.token else {
        return Err(parser.error("FROM needs a topic filter in quotes"));
    };
    let filter = Filter::parse(filter).map_err(|why| parser.error(why))?;
    if filter.is_reserved() {
        return Err(parser.not_modelled("a rule on reserved topics"));
    }
    parser.advance()?;
    let condition = if parser.is_word("WHERE") {
        parser.advance()?;
        Some(parser.expression()?)
    } else {
        None
    };
    match parser.token {
        Token::End => Ok(Parsed { star, items, filter, condition }),
        _ => Err(parser.error("the statement should end here")),
    }
}

/// Parses the expression of a substitution template that begins at byte `at`; answers it with the byte after its `}`.
pub(super) fn template(text: &str, at: usize) -> Result<(Expr, usize), SqlError> {
    let mut parser = Parser::new(text, at)?;
    let expr = parser.expression()?;
    match parser.token {
        Token::Mark("}") => Ok((expr, parser.at + 1)),
        _ => Err(parser.error("the template should end here with }")),
    }
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token<'t>,
    at: usize,
    nodes: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, at: usize) -> Result<Self, SqlError> {
        let mut lexer = Lexer::new(text, at);
        let (token, at) = lexer.next()?;
        Ok(Parser { lexer, token, at, nodes: 0, depth: 0 })
    }

    fn error(&self, message: impl Into<String>) -> SqlError {
        SqlError::syntax(self.at, message)
    }

    fn not_modelled(&self, what: &str) -> SqlError {
        SqlError::not_modelled(self.at, format!("{what} is not modelled"))
    }

    fn advance(&mut self) -> Result<(), SqlError> {
        // After the `}` of a template the text is not SQL: the parser stops there and never looks further.
        if self.token != Token::Mark("}") {
            (self.token, self.at) = self.lexer.next()?;
        }
        Ok(())
    }

    fn is_word(&self, keyword: &str) -> bool {
        matches!(self.token, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn keyword(&mut self, keyword: &str) -> Result<(), SqlError> {
        if !self.is_word(keyword) {
            return Err(self.error(format!("{keyword} should stand here")));
        }
        self.advance()
    }

    fn mark(&mut self, mark: &str) -> Result<bool, SqlError> {
        let found = matches!(self.token, Token::Mark(found) if found == mark);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// `SELECT VALUE x` is not modelled; a member of the payload can be called `value`.
    fn refuse_select_value(&self) -> Result<(), SqlError> {
        if !self.is_word("VALUE") {
            return Ok(());
        }
        let mut ahead = self.lexer.clone();
        let begins_value = match ahead.next()?.0 {
            Token::Word(word) => !["FROM", "AS", "AND", "OR"].iter().any(|k| word.eq_ignore_ascii_case(k)),
            Token::Number(_) | Token::Text(_) | Token::Mark("(" | "{" | "[") => true,
            Token::Mark("*") => matches!(ahead.next()?.0, Token::Word(word) if word.eq_ignore_ascii_case("FROM")),
            _ => false,
        };
        if begins_value { Err(self.not_modelled("SELECT VALUE")) } else { Ok(()) }
    }

    fn item(&mut self) -> Result<(Box<str>, Expr), SqlError> {
        let at = self.at;
        let expr = self.expression()?;
        if self.is_word("AS") {
            self.advance()?;
            let Token::Word(name) = self.token else {
                return Err(self.error("AS needs a name"));
            };
            self.refuse_keyword(name)?;
            self.advance()?;
            if matches!(self.token, Token::Mark(".")) {
                return Err(self.not_modelled("an alias with a dot"));
            }
            return Ok((name.into(), expr));
        }
        match &expr {
            Expr::Path(path) => Ok((path.last().expect("a path has a head").clone(), expr)),
            _ => Err(SqlError::not_modelled(at, "a value without AS, whose name in the result AWS does not state,")),
        }
    }

    fn refuse_keyword(&self, word: &str) -> Result<(), SqlError> {
        let keywords = ["SELECT", "FROM", "WHERE", "AS", "AND", "OR", "NOT", "NULL", "TRUE", "FALSE", "SET"];
        let of_case = ["CASE", "WHEN", "THEN", "ELSE", "END"];
        if of_case.iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) {
            return Err(self.not_modelled("CASE"));
        }
        if keywords.iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) {
            return Err(self.error(format!("{word} is a keyword and cannot stand here")));
        }
        Ok(())
    }

    fn node(&mut self) -> Result<(), SqlError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.not_modelled(&format!("an expression of more than {NODES_MAX} terms")));
        }
        Ok(())
    }

    fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Result<Expr, SqlError>) -> Result<Expr, SqlError> {
        if self.depth == DEPTH_MAX {
            return Err(self.not_modelled(&format!("an expression nested deeper than {DEPTH_MAX}")));
        }
        self.depth += 1;
        let inner = parse(self);
        self.depth -= 1;
        inner
    }

    fn expression(&mut self) -> Result<Expr, SqlError> {
        self.nodes = 0;
        self.level(0)
    }

    fn operator(&self, level: usize) -> Option<Operator> {
        let is = |name: &str| match self.token {
            Token::Mark(mark) => mark == name,
            Token::Word(word) => word.eq_ignore_ascii_case(name),
            _ => false,
        };
        LEVELS[level].iter().find(|(name, _)| is(name)).map(|(_, operator)| *operator)
    }

    fn level(&mut self, level: usize) -> Result<Expr, SqlError> {
        if level == COMPARISON && self.is_word("NOT") {
            self.node()?;
            self.advance()?;
            return Ok(Expr::Not(Box::new(self.nested(|parser| parser.level(COMPARISON))?)));
        }
        if level == LEVELS.len() {
            return self.unary();
        }
        let mut left = self.level(level + 1)?;
        while let Some(operator) = self.operator(level) {
            self.node()?;
            self.advance()?;
            let right = self.level(level + 1)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, SqlError> {
        self.node()?;
        if self.mark("-")? {
            return Ok(match self.nested(Parser::unary)? {
                Expr::Number(number) => Expr::Number(number.negate()),
                inner => Expr::Negate(Box::new(inner)),
            });
        }
        self.primary()
    }

    fn primary(&mut self) -> Result<Expr, SqlError> {
        let expr = match self.token {
            Token::Number(text) => {
                Expr::Number(Number::parse(text).ok_or_else(|| self.error("not a number of 34 digits"))?)
            }
            Token::Text(text) => Expr::Text(text.into()),
            Token::Word(word) if word.eq_ignore_ascii_case("NULL") => Expr::Null,
            Token::Word(word) if word.eq_ignore_ascii_case("TRUE") => Expr::Bool(true),
            Token::Word(word) if word.eq_ignore_ascii_case("FALSE") => Expr::Bool(false),
            Token::Word(word) => return self.path_or_call(word),
            Token::Mark("(") => return self.parenthesis(),
            Token::Mark("{") => return Err(self.not_modelled("an object literal")),
            Token::Mark("[") => return Err(self.not_modelled("an array literal")),
            Token::Mark("*") => return Err(self.not_modelled("* inside of an expression")),
            Token::Mark(_) | Token::End => return Err(self.error("a value should stand here")),
        };
        self.advance()?;
        Ok(expr)
    }

    fn parenthesis(&mut self) -> Result<Expr, SqlError> {
        self.advance()?;
        if self.is_word("SELECT") {
            return Err(self.not_modelled("a nested query"));
        }
        let inner = self.nested(|parser| parser.level(0))?;
        if self.mark(")")? { Ok(inner) } else { Err(self.error(") should stand here")) }
    }

    fn path_or_call(&mut self, head: &'t str) -> Result<Expr, SqlError> {
        self.refuse_keyword(head)?;
        let at = self.at;
        self.advance()?;
        if self.mark("(")? {
            return self.call(head, at);
        }
        let mut path: Vec<Box<str>> = vec![head.into()];
        while self.mark(".")? {
            let Token::Word(name) = self.token else {
                return Err(self.error("a name should follow the dot"));
            };
            self.node()?;
            path.push(name.into());
            self.advance()?;
        }
        if matches!(self.token, Token::Mark("[")) {
            return Err(self.error("an item of an array is read with get()"));
        }
        Ok(Expr::Path(path))
    }

    fn call(&mut self, name: &str, at: usize) -> Result<Expr, SqlError> {
        let no_arguments = match name {
            "topic" => Expr::Topic,
            "timestamp" => Expr::Timestamp,
            "clientid" => Expr::ClientId,
            "newuuid" => Expr::NewUuid,
            other if OTHER_FUNCTIONS.contains(&format!(" {other} ")) => {
                return Err(SqlError::not_modelled(at, format!("the function {other}() is not modelled")));
            }
            other => return Err(SqlError::syntax(at, format!("there is no function {other}()"))),
        };
        if self.mark(")")? {
            return Ok(no_arguments);
        }
        let (Expr::Topic, Token::Number(digits)) = (&no_arguments, self.token) else {
            return Err(match no_arguments {
                Expr::Topic => self.not_modelled("topic() of anything but a whole number"),
                _ => self.error(format!("{name}() takes no argument")),
            });
        };
        let segment = digits.parse::<usize>().ok().filter(|n| *n > 0);
        let segment = segment.ok_or_else(|| self.error("topic(n) counts in whole numbers from 1"))?;
        self.advance()?;
        if self.mark(")")? { Ok(Expr::TopicSegment(segment)) } else { Err(self.error(") should stand here")) }
    }
}
