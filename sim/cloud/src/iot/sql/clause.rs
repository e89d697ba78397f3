//! The parser of statements: their clauses, nested queries, and templates.

use super::SqlError;
use super::expr::{Alias, Expr, Query, Select};
use super::parse::Parser;
use super::token::Token;
use crate::iot::topic::Filter;

/// Variables that `SET` can define. Source: "SET clause" of the developer guide.
const VARIABLES_MAX: usize = 10;

/// A parsed statement.
pub(super) struct Parsed {
    /// Names and values of the variables of `SET`.
    pub(super) variables: Vec<(Box<str>, Expr)>,
    /// The list.
    pub(super) select: Select,
    /// The topic filter of `FROM`. Without it only Basic Ingest starts the rule.
    pub(super) filter: Option<Filter>,
    /// The condition of `WHERE`.
    pub(super) condition: Option<Expr>,
}

/// Parses a statement.
pub(super) fn statement(text: &str) -> Result<Parsed, SqlError> {
    let mut parser = Parser::new(text, 0, &[])?;
    let variables = parser.set()?;
    parser.keyword("SELECT")?;
    let select = parser.select()?;
    let filter = if parser.is_word("FROM") {
        parser.advance()?;
        Some(parser.filter(text)?)
    } else {
        None
    };
    let condition = parser.condition()?;
    match parser.token {
        Token::End => Ok(Parsed { variables, select, filter, condition }),
        _ => Err(parser.error("the statement should end here")),
    }
}

/// Parses the expression of a substitution template that begins at byte `at`; answers it with the byte after its `}`.
pub(super) fn template(text: &str, at: usize, variables: &[Box<str>]) -> Result<(Expr, usize), SqlError> {
    let mut parser = Parser::new(text, at, variables)?;
    let expr = parser.expression()?;
    match parser.token {
        Token::Mark("}") => Ok((expr, parser.at + 1)),
        _ => Err(parser.error("the template should end here with }")),
    }
}

impl Parser<'_> {
    fn set(&mut self) -> Result<Vec<(Box<str>, Expr)>, SqlError> {
        let mut variables: Vec<(Box<str>, Expr)> = Vec::new();
        if !self.is_word("SET") {
            return Ok(variables);
        }
        loop {
            self.advance()?;
            let Token::Variable(name) = self.token else {
                return Err(self.error("a variable should stand here, with its @"));
            };
            if self.variables.iter().any(|known| **known == *name) {
                return Err(self.error(format!("the variable @{name} is set twice")));
            }
            if variables.len() == VARIABLES_MAX {
                return Err(self.error(format!("SET defines at most {VARIABLES_MAX} variables")));
            }
            let name: Box<str> = name.into();
            self.advance()?;
            self.expect("=")?;
            let value = self.expression()?;
            self.variables.push(name.clone());
            variables.push((name, value));
            if !self.is_mark(",") {
                return Ok(variables);
            }
        }
    }

    /// The list of a `SELECT` whose keyword is read.
    fn select(&mut self) -> Result<Select, SqlError> {
        let mut select = Select { star: false, value: false, items: Vec::new() };
        if self.is_select_value()? {
            self.advance()?;
            select.value = true;
            if self.mark("*")? {
                select.star = true;
            } else {
                let value = if self.is_in_query() { self.inner()? } else { self.expression()? };
                select.items.push((Vec::new(), value));
            }
            if self.is_mark(",") {
                return Err(self.error("SELECT VALUE gives one value"));
            }
            return Ok(select);
        }
        loop {
            if self.is_mark("*") {
                if select.star {
                    return Err(self.error("* can stand in the list only once"));
                }
                select.star = true;
                self.advance()?;
                if self.is_word("AS") {
                    return Err(self.not_modelled("* with a name"));
                }
            } else {
                select.items.push(self.item()?);
            }
            if !self.mark(",")? {
                return Ok(select);
            }
        }
    }

    /// Whether `VALUE` is the keyword: a member of the payload can be called `value`.
    fn is_select_value(&self) -> Result<bool, SqlError> {
        if !self.is_word("VALUE") {
            return Ok(false);
        }
        let mut ahead = self.ahead();
        Ok(match ahead.next()?.0 {
            Token::Word(word) => !["FROM", "AS", "AND", "OR", "WHERE"].iter().any(|k| word.eq_ignore_ascii_case(k)),
            Token::Number(_) | Token::Text(_) | Token::Variable(_) | Token::Mark("(" | "{" | "[") => true,
            Token::Mark("*") => match ahead.next()?.0 {
                Token::Word(word) => word.eq_ignore_ascii_case("FROM") || word.eq_ignore_ascii_case("WHERE"),
                Token::End | Token::Mark(")") => true,
                _ => false,
            },
            _ => false,
        })
    }

    fn item(&mut self) -> Result<(Alias, Expr), SqlError> {
        let at = self.at;
        let expr = if self.is_in_query() { self.inner()? } else { self.expression()? };
        if self.is_word("AS") {
            let mut alias = Vec::new();
            loop {
                self.advance()?;
                let Token::Word(name) = self.token else {
                    return Err(self.error(if alias.is_empty() {
                        "AS needs a name"
                    } else {
                        "a name should follow the dot"
                    }));
                };
                if alias.is_empty() {
                    self.refuse_keyword(name)?;
                }
                self.node()?;
                alias.push(name.into());
                self.advance()?;
                if !self.is_mark(".") {
                    return Ok((alias, expr));
                }
            }
        }
        match &expr {
            Expr::Path(path) => Ok((vec![path.last().expect("a path has a head").clone()], expr)),
            _ => Err(SqlError::not_modelled(at, "a value without AS, whose name in the result AWS does not state,")),
        }
    }

    fn filter(&mut self, text: &str) -> Result<Filter, SqlError> {
        let Token::Text(filter) = self.token else {
            return Err(self.error("FROM needs a topic filter in quotes"));
        };
        if text.as_bytes()[self.at] != b'\'' {
            return Err(self.error("the topic filter of FROM stands in single quotes"));
        }
        let filter = Filter::parse(filter).map_err(|why| self.error(why))?;
        if filter.is_reserved() {
            return Err(self.not_modelled("a rule on these reserved topics"));
        }
        self.advance()?;
        Ok(filter)
    }

    fn condition(&mut self) -> Result<Option<Expr>, SqlError> {
        if !self.is_word("WHERE") {
            return Ok(None);
        }
        self.advance()?;
        if self.is_in_query() { self.inner().map(Some) } else { self.expression().map(Some) }
    }

    /// A nested query from its `SELECT` to the byte before its `)`.
    pub(super) fn query(&mut self) -> Result<Query, SqlError> {
        self.keyword("SELECT")?;
        let select = self.select()?;
        self.keyword("FROM")?;
        let source = self.argument()?;
        let condition = self.condition()?;
        Ok(Query { select, source, condition })
    }
}
