//! A plain evaluator of policies, for tests: it reads the JSON anew for each question and shares nothing with what is
//! compiled.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

/// The values of keys; names in lower case.
pub(super) type Keys = BTreeMap<String, Vec<String>>;

/// One character of a pattern.
#[derive(Clone, Copy, PartialEq)]
enum Token {
    Char(char),
    One,
    Run,
}

/// Whether the documents allow an action on an ARN.
pub(super) fn allows(documents: &[Value], keys: &Keys, action: &str, arn: &str) -> bool {
    let mut allowed = false;
    for document in documents {
        let variables = document["Version"] == "2012-10-17";
        for statement in list(&document["Statement"]) {
            if applies(&statement, variables, keys, action, arn) {
                if statement["Effect"] == "Deny" {
                    return false;
                }
                allowed = true;
            }
        }
    }
    allowed
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    }
}

fn applies(statement: &Value, variables: bool, keys: &Keys, action: &str, arn: &str) -> bool {
    let covers = |element: &str| {
        list(&statement[element]).iter().any(|pattern| {
            let pattern = pattern.as_str().unwrap().to_lowercase();
            glob(&tokens(&pattern, false, true, keys).unwrap(), &action.to_lowercase())
        })
    };
    if !statement["Action"].is_null() && !covers("Action") || !statement["NotAction"].is_null() && covers("NotAction") {
        return false;
    }
    let (element, negated) = if statement["Resource"].is_null() { ("NotResource", true) } else { ("Resource", false) };
    let mut found = false;
    for pattern in list(&statement[element]) {
        match tokens(pattern.as_str().unwrap(), variables, true, keys) {
            Some(pattern) => found |= glob(&pattern, arn),
            None if negated => return false,
            None => {}
        }
    }
    if found == negated {
        return false;
    }
    let empty = serde_json::Map::new();
    let operators = statement["Condition"].as_object().unwrap_or(&empty);
    operators.iter().all(|(operator, conditions)| {
        conditions.as_object().unwrap().iter().all(|(key, wanted)| {
            let wanted: Vec<String> = list(wanted)
                .iter()
                .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                .collect();
            is_met(operator, keys.get(&key.to_lowercase()), &wanted, variables, keys) == Some(true)
        })
    })
}

/// The tokens of a text; nothing when a variable has no value or one that is not filled in.
fn tokens(text: &str, variables: bool, wildcards: bool, keys: &Keys) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if variables && rest.starts_with("${") {
            let end = rest.find('}').unwrap();
            let name = &rest[2..end];
            rest = &rest[end + 1..];
            if ["*", "?", "$"].contains(&name) {
                tokens.push(Token::Char(name.chars().next().unwrap()));
                continue;
            }
            let values = keys.get(&name.to_lowercase())?;
            let [value] = &values[..] else { return None };
            let of_client = name.eq_ignore_ascii_case("iot:ClientId") || name.eq_ignore_ascii_case("aws:SourceIp");
            if !of_client && (value.chars().any(|c| "*$+?#".contains(c)) || value.chars().count() > 1024) {
                return None;
            }
            tokens.extend(value.chars().map(Token::Char));
            continue;
        }
        rest = &rest[c.len_utf8()..];
        tokens.push(match c {
            '*' if wildcards => Token::Run,
            '?' if wildcards => Token::One,
            other => Token::Char(other),
        });
    }
    Some(tokens)
}

fn glob(pattern: &[Token], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for token in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match token {
                Token::Run => reached[at] || at > 0 && next[at - 1],
                Token::One => at > 0 && reached[at - 1],
                Token::Char(c) => at > 0 && reached[at - 1] && text[at - 1] == *c,
            };
        }
        reached = next;
    }
    reached[text.len()]
}

fn is_met(
    operator: &str,
    given: Option<&Vec<String>>,
    wanted: &[String],
    variables: bool,
    keys: &Keys,
) -> Option<bool> {
    let (quantifier, operator) = operator.split_once(':').unwrap_or(("", operator));
    let (operator, if_exists) = match operator.strip_suffix("IfExists") {
        Some(operator) => (operator, true),
        None => (operator, false),
    };
    if operator == "Null" {
        return Some(wanted.iter().any(|wanted| (wanted == "true") == given.is_none()));
    }
    let negated = operator.contains("Not");
    let base = operator.replace("Not", "");
    let Some(given) = given else {
        return Some(if_exists || quantifier == "ForAllValues" || negated && quantifier.is_empty());
    };
    let mut met = Vec::new();
    for given in given {
        let mut found = false;
        for wanted in wanted {
            // What was found already asks for no further variable.
            if !found {
                found = one(&base, given, wanted, variables, keys)?;
            }
        }
        met.push(found != negated);
    }
    Some(match quantifier {
        "ForAllValues" => met.iter().all(|met| *met),
        "" if negated => met.iter().all(|met| *met),
        _ => met.iter().any(|met| *met),
    })
}

fn one(base: &str, given: &str, wanted: &str, variables: bool, keys: &Keys) -> Option<bool> {
    let text = |wildcards| tokens(wanted, variables, wildcards, keys);
    Some(match base {
        "StringEquals" => glob(&text(false)?, given),
        "StringEqualsIgnoreCase" => {
            let lower: Vec<Token> = text(false)?
                .into_iter()
                .map(|token| if let Token::Char(c) = token { Token::Char(c.to_ascii_lowercase()) } else { token })
                .collect();
            glob(&lower, &given.to_ascii_lowercase())
        }
        "StringLike" => glob(&text(true)?, given),
        "ArnEquals" | "ArnLike" => {
            let pattern = text(true)?;
            let (mut patterns, mut texts) = (parts(pattern), given.splitn(6, ':'));
            patterns.len() == 6
                && patterns.drain(..).all(|pattern| texts.next().is_some_and(|text| glob(&pattern, text)))
        }
        "Bool" => given.eq_ignore_ascii_case(wanted),
        "IpAddress" => {
            let (network, bits) = wanted.split_once('/').unwrap_or((wanted, "32"));
            let bits: u32 = bits.parse().unwrap();
            let number = |text: &str| text.parse::<Ipv4Addr>().ok().map(u32::from);
            let cut = |address: u32| address.checked_shr(32 - bits).unwrap_or(0);
            number(given).zip(number(network)).is_some_and(|(given, network)| cut(given) == cut(network))
        }
        "NumericLessThan" => given.parse::<f64>().is_ok_and(|given| given < wanted.parse().unwrap()),
        other => panic!("{other} is not generated"),
    })
}

/// The six parts of the pattern of an ARN.
fn parts(pattern: Vec<Token>) -> Vec<Vec<Token>> {
    let mut parts = vec![Vec::new()];
    for token in pattern {
        if token == Token::Char(':') && parts.len() < 6 {
            parts.push(Vec::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(token);
        }
    }
    parts
}
