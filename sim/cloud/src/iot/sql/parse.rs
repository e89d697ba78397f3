//! The parser of expressions.

use super::SqlError;
use super::call;
use super::expr::{Case, Expr, Operator};
use super::number::Number;
use super::token::{Lexer, Token};

/// Nodes that one expression can have: parsing and evaluation recurse, and no rule is that long.
const NODES_MAX: usize = 500;
/// How deep parentheses, literals, calls, `CASE`, `NOT` and signs can be nested.
const DEPTH_MAX: usize = 32;

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

/// Words that are no names.
const KEYWORDS: [&str; 16] = [
    "SELECT", "FROM", "WHERE", "AS", "AND", "OR", "NOT", "NULL", "TRUE", "FALSE", "SET", "CASE", "WHEN", "THEN",
    "ELSE", "END",
];

/// Reads expressions from a text.
pub(super) struct Parser<'t> {
    lexer: Lexer<'t>,
    /// The token that is next.
    pub(super) token: Token<'t>,
    /// The byte at which it begins.
    pub(super) at: usize,
    /// Names of the variables of `SET`, by their place.
    pub(super) variables: Vec<Box<str>>,
    nodes: usize,
    depth: usize,
    queries: usize,
}

impl<'t> Parser<'t> {
    /// Starts at byte `at` of a text that can use these variables.
    pub(super) fn new(text: &'t str, at: usize, variables: &[Box<str>]) -> Result<Self, SqlError> {
        let mut lexer = Lexer::new(text, at);
        let (token, at) = lexer.next()?;
        Ok(Parser { lexer, token, at, variables: variables.to_vec(), nodes: 0, depth: 0, queries: 0 })
    }

    /// What is wrong with the next token.
    pub(super) fn error(&self, message: impl Into<String>) -> SqlError {
        SqlError::syntax(self.at, message)
    }

    /// That AWS has what the next token begins.
    pub(super) fn not_modelled(&self, what: &str) -> SqlError {
        SqlError::not_modelled(self.at, format!("{what} is not modelled"))
    }

    /// Goes on to the token after this one. The `}` of a template is never left: behind it the text is not SQL.
    pub(super) fn advance(&mut self) -> Result<(), SqlError> {
        (self.token, self.at) = self.lexer.next()?;
        Ok(())
    }

    /// The tokens after this one.
    pub(super) fn ahead(&self) -> Lexer<'t> {
        self.lexer.clone()
    }

    /// Whether the next token is a keyword.
    pub(super) fn is_word(&self, keyword: &str) -> bool {
        matches!(self.token, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// Whether the next token is a mark.
    pub(super) fn is_mark(&self, mark: &str) -> bool {
        matches!(self.token, Token::Mark(found) if found == mark)
    }

    /// Whether what is read belongs to a nested query.
    pub(super) fn is_in_query(&self) -> bool {
        self.queries > 0
    }

    /// Takes a keyword that has to stand here.
    pub(super) fn keyword(&mut self, keyword: &str) -> Result<(), SqlError> {
        if !self.is_word(keyword) {
            return Err(self.error(format!("{keyword} should stand here")));
        }
        self.advance()
    }

    /// Takes a mark that may stand here.
    pub(super) fn mark(&mut self, mark: &str) -> Result<bool, SqlError> {
        let found = self.is_mark(mark);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    /// Takes a mark that has to stand here.
    pub(super) fn expect(&mut self, mark: &str) -> Result<(), SqlError> {
        if self.mark(mark)? { Ok(()) } else { Err(self.error(format!("{mark} should stand here"))) }
    }

    /// Refuses a keyword where a name should stand.
    pub(super) fn refuse_keyword(&self, word: &str) -> Result<(), SqlError> {
        if KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) {
            return Err(self.error(format!("{word} is a keyword and cannot stand here")));
        }
        Ok(())
    }

    /// Counts one more term.
    pub(super) fn node(&mut self) -> Result<(), SqlError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.not_modelled(&format!("an expression of more than {NODES_MAX} terms")));
        }
        Ok(())
    }

    /// Reads what lies one level deeper.
    pub(super) fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        if self.depth == DEPTH_MAX {
            return Err(self.not_modelled(&format!("an expression nested deeper than {DEPTH_MAX}")));
        }
        self.depth += 1;
        let inner = parse(self);
        self.depth -= 1;
        inner
    }

    /// Reads an expression of its own.
    pub(super) fn expression(&mut self) -> Result<Expr, SqlError> {
        self.nodes = 0;
        self.level(0)
    }

    /// Reads an expression that is a part of another one.
    pub(super) fn inner(&mut self) -> Result<Expr, SqlError> {
        self.nested(|parser| parser.level(0))
    }

    /// Reads an argument, an item or a member of a literal: there `*` is the whole payload.
    pub(super) fn argument(&mut self) -> Result<Expr, SqlError> {
        if self.is_mark("*") {
            self.node()?;
            self.advance()?;
            return Ok(Expr::Whole);
        }
        self.inner()
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
            Token::Text(text) => {
                if let Some(at) = text.find("${") {
                    let why = "a substitution template in a text of the statement is not modelled";
                    return Err(SqlError::not_modelled(self.at + 1 + at, why));
                }
                Expr::Text(text.into())
            }
            Token::Word(word) if word.eq_ignore_ascii_case("NULL") => Expr::Null,
            Token::Word(word) if word.eq_ignore_ascii_case("TRUE") => Expr::Bool(true),
            Token::Word(word) if word.eq_ignore_ascii_case("FALSE") => Expr::Bool(false),
            Token::Word(word) if word.eq_ignore_ascii_case("CASE") => return self.case(),
            Token::Word(word) => return self.path_or_call(word),
            Token::Variable(name) => return self.variable(name),
            Token::Mark("(") => return self.parenthesis(),
            Token::Mark("{") => return self.object(),
            Token::Mark("[") => return self.array(),
            Token::Mark("*") => return Err(self.error("* cannot stand inside of an expression")),
            Token::Mark(_) | Token::End => return Err(self.error("a value should stand here")),
        };
        self.advance()?;
        Ok(expr)
    }

    fn variable(&mut self, name: &str) -> Result<Expr, SqlError> {
        let Some(place) = self.variables.iter().position(|known| **known == *name) else {
            return Err(self.error(format!("there is no variable @{name} that was set before")));
        };
        self.advance()?;
        self.members(Expr::Variable(place))
    }

    fn parenthesis(&mut self) -> Result<Expr, SqlError> {
        self.advance()?;
        if self.is_word("SELECT") {
            self.queries += 1;
            let query = self.nested(Parser::query);
            self.queries -= 1;
            let query = Expr::Query(Box::new(query?));
            self.expect(")")?;
            return self.members(query);
        }
        let inner = self.inner()?;
        self.expect(")")?;
        self.members(inner)
    }

    /// What follows a value: the members of it that are meant.
    fn members(&mut self, value: Expr) -> Result<Expr, SqlError> {
        let path = self.dots()?;
        Ok(if path.is_empty() { value } else { Expr::Member(Box::new(value), path) })
    }

    /// `.a.b`
    fn dots(&mut self) -> Result<Vec<Box<str>>, SqlError> {
        let mut path = Vec::new();
        while self.mark(".")? {
            let Token::Word(name) = self.token else {
                return Err(self.error("a name should follow the dot"));
            };
            self.node()?;
            path.push(name.into());
            self.advance()?;
        }
        if self.is_mark("[") {
            return Err(self.error("an item of an array is read with get()"));
        }
        Ok(path)
    }

    fn object(&mut self) -> Result<Expr, SqlError> {
        self.advance()?;
        let mut members = Vec::new();
        while !self.mark("}")? {
            if !members.is_empty() {
                self.expect(",")?;
            }
            let Token::Text(name) = self.token else {
                return Err(self.error("the name of a member should stand here, in quotes"));
            };
            self.advance()?;
            self.expect(":")?;
            members.push((name.into(), self.argument()?));
        }
        self.members(Expr::Object(members))
    }

    fn array(&mut self) -> Result<Expr, SqlError> {
        self.advance()?;
        let mut items = Vec::new();
        while !self.mark("]")? {
            if !items.is_empty() {
                self.expect(",")?;
            }
            items.push(self.argument()?);
        }
        Ok(Expr::Array(items))
    }

    fn case(&mut self) -> Result<Expr, SqlError> {
        self.advance()?;
        let value = self.inner()?;
        let mut branches = Vec::new();
        while branches.is_empty() || self.is_word("WHEN") {
            self.keyword("WHEN")?;
            let test = self.inner()?;
            self.keyword("THEN")?;
            branches.push((test, self.inner()?));
        }
        let mut otherwise = None;
        if self.is_word("ELSE") {
            self.advance()?;
            otherwise = Some(self.inner()?);
        }
        self.keyword("END")?;
        Ok(Expr::Case(Box::new(Case { value, branches, otherwise })))
    }

    fn path_or_call(&mut self, head: &'t str) -> Result<Expr, SqlError> {
        self.refuse_keyword(head)?;
        let at = self.at;
        self.advance()?;
        if self.is_mark("(") {
            if !call::is_known(&head.to_ascii_lowercase()) {
                return Err(SqlError::syntax(at, format!("there is no function {head}()")));
            }
            self.advance()?;
            let call = self.nested(|parser| call::call(parser, head, at))?;
            return self.members(call);
        }
        let mut path: Vec<Box<str>> = vec![head.into()];
        path.extend(self.dots()?);
        Ok(Expr::Path(path))
    }
}
