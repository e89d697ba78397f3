//! How deep the tree of a statement can be, told from its tokens: chains such as `a OR b OR c` nest as parentheses do,
//! and every later pass walks the tree by recursion.

use datafusion::sql::sqlparser::tokenizer::Token;

/// The depth up to which a statement is taken.
pub(super) const LIMIT: usize = 300;
/// What a relation or a set operation adds: a level of the plan, whose passes take more of the stack.
const RELATION: usize = 4;

/// What lies between two parentheses, or between CASE and END.
#[derive(Default)]
struct Level {
    /// Relations and set operations so far.
    relations: usize,
    /// Whether a comma begins another relation.
    in_from: bool,
    /// The deepest expression so far.
    deepest: usize,
    /// ANDs and ORs of this expression.
    conditions: usize,
    /// The deepest term between them.
    deepest_term: usize,
    /// Operators of this term.
    operators: usize,
    /// The deepest level within this term.
    inner: usize,
}

impl Level {
    fn end_term(&mut self) {
        self.deepest_term = self.deepest_term.max(self.operators + self.inner);
        (self.operators, self.inner) = (0, 0);
    }

    fn end_expression(&mut self) {
        self.end_term();
        self.deepest = self.deepest.max(self.conditions + self.deepest_term);
        (self.conditions, self.deepest_term) = (0, 0);
    }

    fn depth(mut self) -> usize {
        self.end_expression();
        1 + self.deepest + RELATION * self.relations
    }

    fn word(&mut self, word: &str) {
        match word {
            "AND" | "OR" => {
                self.end_term();
                self.conditions += 1;
            }
            "NOT" | "IS" | "IN" | "LIKE" | "BETWEEN" => self.operators += 1,
            "WITH" | "FROM" => {
                self.end_expression();
                self.in_from = true;
            }
            "UNION" | "INTERSECT" | "EXCEPT" | "JOIN" => {
                self.end_expression();
                self.relations += 1;
            }
            "SELECT" | "WHERE" | "GROUP" | "HAVING" | "ORDER" | "LIMIT" => {
                self.end_expression();
                self.in_from = false;
            }
            "WHEN" | "THEN" | "ELSE" | "ON" => self.end_expression(),
            _ => {}
        }
    }
}

/// A bound of the depth of a statement's tree.
pub(super) fn of(tokens: &[Token]) -> usize {
    let mut outer = Vec::new();
    let mut level = Level::default();
    for token in tokens {
        match token {
            Token::LParen | Token::LBracket => open(&mut outer, &mut level),
            Token::RParen | Token::RBracket => close(&mut outer, &mut level),
            Token::Word(word) if word.quote_style.is_none() => match word.value.to_uppercase().as_str() {
                "CASE" => open(&mut outer, &mut level),
                "END" => close(&mut outer, &mut level),
                word => level.word(word),
            },
            Token::Comma => {
                level.end_expression();
                level.relations += usize::from(level.in_from);
            }
            Token::Whitespace(_) | Token::Word(_) | Token::Number(..) | Token::SingleQuotedString(_) => {}
            // An operator, or what the parser refuses.
            _ => level.operators += 1,
        }
    }
    while !outer.is_empty() {
        close(&mut outer, &mut level);
    }
    level.depth()
}

/// A level begins. A subscript is a step of its term besides.
fn open(outer: &mut Vec<Level>, level: &mut Level) {
    level.operators += 1;
    outer.push(std::mem::take(level));
}

fn close(outer: &mut Vec<Level>, level: &mut Level) {
    if let Some(before) = outer.pop() {
        let inner = std::mem::replace(level, before).depth();
        level.inner = level.inner.max(inner);
    }
}
