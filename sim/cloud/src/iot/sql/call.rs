//! Calls of functions: which there are, and what each takes. What is wrong with a call is said when a rule is created.

use super::SqlError;
use super::expr::{Expr, MqttProperty, RegexpUse, ThingShadow, Type};
use super::parse::Parser;
use super::regexp::Regexp;
use super::time::{EpochPattern, Refused, TimePattern};
use super::token::Token;

/// A function whose arguments are values and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Abs,
    AccountId,
    Acos,
    Asin,
    Atan,
    Atan2,
    BitAnd,
    BitOr,
    BitXor,
    BitNot,
    Ceil,
    Chr,
    Concat,
    Cos,
    Cosh,
    Decode,
    Encode,
    EndsWith,
    EnrichArray,
    Exp,
    Floor,
    Get,
    GetOrDefault,
    Hash(Hash),
    IndexOf,
    IsNull,
    IsUndefined,
    Length,
    Ln,
    Log,
    Lower,
    PadLeft,
    PadRight,
    TrimLeft,
    TrimRight,
    Trim,
    Nanvl,
    NumBytes,
    Power,
    Principal,
    Rand,
    Remainder,
    Replace,
    Round,
    Sign,
    Sin,
    Sinh,
    SqlVersion,
    Sqrt,
    StartsWith,
    Substring,
    Tan,
    Tanh,
    Topic,
    TraceId,
    Trunc,
    Upper,
    UserProperties,
}

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Md2,
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// Name, function, and how many arguments it takes at least and at most.
const FUNCTIONS: [(&str, Function, usize, usize); 60] = [
    ("abs", Function::Abs, 1, 1),
    ("accountid", Function::AccountId, 0, 0),
    ("acos", Function::Acos, 1, 1),
    ("asin", Function::Asin, 1, 1),
    ("atan", Function::Atan, 1, 1),
    ("atan2", Function::Atan2, 2, 2),
    ("bitand", Function::BitAnd, 2, 2),
    ("bitor", Function::BitOr, 2, 2),
    ("bitxor", Function::BitXor, 2, 2),
    ("bitnot", Function::BitNot, 1, 1),
    ("ceil", Function::Ceil, 1, 1),
    ("chr", Function::Chr, 1, 1),
    ("concat", Function::Concat, 0, usize::MAX),
    ("cos", Function::Cos, 1, 1),
    ("cosh", Function::Cosh, 1, 1),
    ("endswith", Function::EndsWith, 2, 2),
    ("exp", Function::Exp, 1, 1),
    ("floor", Function::Floor, 1, 1),
    ("get", Function::Get, 2, 2),
    ("get_or_default", Function::GetOrDefault, 1, 2),
    ("get_user_properties", Function::UserProperties, 1, 1),
    ("indexof", Function::IndexOf, 2, 2),
    ("isnull", Function::IsNull, 1, 1),
    ("isundefined", Function::IsUndefined, 1, 1),
    ("length", Function::Length, 1, 1),
    ("ln", Function::Ln, 1, 1),
    ("log", Function::Log, 1, 1),
    ("lower", Function::Lower, 1, 1),
    ("lpad", Function::PadLeft, 2, 2),
    ("ltrim", Function::TrimLeft, 1, 1),
    ("md2", Function::Hash(Hash::Md2), 1, 1),
    ("md5", Function::Hash(Hash::Md5), 1, 1),
    ("mod", Function::Remainder, 2, 2),
    ("nanvl", Function::Nanvl, 2, 2),
    ("numbytes", Function::NumBytes, 1, 1),
    ("power", Function::Power, 2, 2),
    ("principal", Function::Principal, 0, 0),
    ("rand", Function::Rand, 0, 0),
    ("remainder", Function::Remainder, 2, 2),
    ("replace", Function::Replace, 3, 3),
    ("round", Function::Round, 1, 1),
    ("rpad", Function::PadRight, 2, 2),
    ("rtrim", Function::TrimRight, 1, 1),
    ("sha1", Function::Hash(Hash::Sha1), 1, 1),
    ("sha224", Function::Hash(Hash::Sha224), 1, 1),
    ("sha256", Function::Hash(Hash::Sha256), 1, 1),
    ("sha384", Function::Hash(Hash::Sha384), 1, 1),
    ("sha512", Function::Hash(Hash::Sha512), 1, 1),
    ("sign", Function::Sign, 1, 1),
    ("sin", Function::Sin, 1, 1),
    ("sinh", Function::Sinh, 1, 1),
    ("sql_version", Function::SqlVersion, 0, 0),
    ("sqrt", Function::Sqrt, 1, 1),
    ("startswith", Function::StartsWith, 2, 2),
    ("substring", Function::Substring, 2, 3),
    ("tan", Function::Tan, 1, 1),
    ("tanh", Function::Tanh, 1, 1),
    ("traceid", Function::TraceId, 0, 0),
    ("trim", Function::Trim, 1, 1),
    ("upper", Function::Upper, 1, 1),
];

/// Functions of AWS that are not modelled.
const OTHERS: [&str; 6] =
    ["aws_lambda", "get_dynamodb", "get_registry_data", "get_secret", "machinelearning_predict", "sourceip"];

/// Functions that are read here with arguments of their own.
const SPECIAL: [&str; 15] = [
    "topic",
    "timestamp",
    "clientid",
    "newuuid",
    "cast",
    "encode",
    "decode",
    "regexp_matches",
    "regexp_replace",
    "regexp_substr",
    "parse_time",
    "time_to_epoch",
    "get_mqtt_property",
    "get_thing_shadow",
    "transform",
];

/// Whether AWS has a function, modelled or not. `name` is in lower case.
pub(super) fn is_known(name: &str) -> bool {
    SPECIAL.contains(&name) || OTHERS.contains(&name) || name == "trunc" || FUNCTIONS.iter().any(|(n, ..)| *n == name)
}

/// Reads a call whose name, at byte `at`, and `(` are read.
pub(super) fn call(parser: &mut Parser<'_>, name: &str, at: usize) -> Result<Expr, SqlError> {
    let name = name.to_ascii_lowercase();
    if let Some((_, function, least, most)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) {
        let arguments = arguments(parser, &name, *least, *most)?;
        if let (Function::GetOrDefault, Some(default)) = (function, arguments.get(1))
            && default.is_external()
        {
            return Err(SqlError::syntax(at, "the default of get_or_default() cannot ask another service"));
        }
        return Ok(Expr::Call(*function, arguments));
    }
    match name.as_str() {
        "topic" => topic(parser),
        "timestamp" => arguments(parser, &name, 0, 0).map(|_| Expr::Timestamp),
        "clientid" => arguments(parser, &name, 0, 0).map(|_| Expr::ClientId),
        "newuuid" => arguments(parser, &name, 0, 0).map(|_| Expr::NewUuid),
        "trunc" => arguments(parser, &name, 2, 2).map(|values| Expr::Call(Function::Trunc, values)),
        "cast" => cast(parser),
        "encode" | "decode" => coding(parser, &name),
        "regexp_matches" => regexp(parser, RegexpUse::Matches),
        "regexp_replace" => regexp(parser, RegexpUse::Replace),
        "regexp_substr" => regexp(parser, RegexpUse::Substring),
        "parse_time" => parse_time(parser),
        "time_to_epoch" => time_to_epoch(parser),
        "get_mqtt_property" => mqtt_property(parser),
        "get_thing_shadow" => thing_shadow(parser),
        "transform" => transform(parser),
        other if OTHERS.contains(&other) => {
            Err(SqlError::not_modelled(at, format!("the function {other}() is not modelled")))
        }
        other => Err(SqlError::syntax(at, format!("there is no function {other}()"))),
    }
}

/// Reads arguments up to the `)`.
fn arguments(parser: &mut Parser<'_>, name: &str, least: usize, most: usize) -> Result<Vec<Expr>, SqlError> {
    let takes = || match (least, most) {
        (0, 0) => format!("{name}() takes no argument"),
        (1, 1) => format!("{name}() takes one argument"),
        (least, most) if least == most => format!("{name}() takes {least} arguments"),
        (least, most) => format!("{name}() takes {least} to {most} arguments"),
    };
    let mut values = Vec::new();
    while !parser.is_mark(")") {
        if !values.is_empty() {
            parser.expect(",")?;
        }
        if values.len() == most {
            return Err(parser.error(takes()));
        }
        values.push(parser.argument()?);
    }
    if values.len() < least {
        return Err(parser.error(takes()));
    }
    parser.expect(")")?;
    Ok(values)
}

/// Reads the arguments that are left, of which there are so many, each after its comma.
fn rest(parser: &mut Parser<'_>, count: usize) -> Result<Vec<Expr>, SqlError> {
    let mut values = Vec::new();
    for _ in 0..count {
        parser.expect(",")?;
        values.push(parser.argument()?);
    }
    Ok(values)
}

/// Reads a text that has to stand there as it is; answers it with the byte where its characters begin.
fn literal<'t>(parser: &mut Parser<'t>, what: &str) -> Result<(&'t str, usize), SqlError> {
    match parser.token {
        Token::Text(text) => {
            let at = parser.at + 1;
            parser.advance()?;
            if parser.is_mark(",") || parser.is_mark(")") {
                Ok((text, at))
            } else {
                Err(parser.not_modelled(&format!("{what} that is computed")))
            }
        }
        Token::End => Err(parser.error(format!("{what} should stand here"))),
        _ => Err(parser.not_modelled(&format!("{what} that is no text in quotes"))),
    }
}

fn topic(parser: &mut Parser<'_>) -> Result<Expr, SqlError> {
    let Token::Number(digits) = parser.token else {
        let mut values = arguments(parser, "topic", 0, 1)?;
        return Ok(if values.is_empty() { Expr::Topic } else { Expr::Call(Function::Topic, vec![values.remove(0)]) });
    };
    let whole = parser.error("topic(n) counts in whole numbers from 1");
    let value = arguments(parser, "topic", 0, 1)?.remove(0);
    match value {
        Expr::Number(number) => {
            let segment = digits.parse::<usize>().ok().filter(|n| *n > 0 && number.is_int()).ok_or(whole)?;
            Ok(Expr::TopicSegment(segment))
        }
        computed => Ok(Expr::Call(Function::Topic, vec![computed])),
    }
}

fn cast(parser: &mut Parser<'_>) -> Result<Expr, SqlError> {
    let value = parser.argument()?;
    parser.keyword("AS")?;
    let Token::Word(word) = parser.token else {
        return Err(parser.error("a type should stand here"));
    };
    let to = match word.to_ascii_lowercase().as_str() {
        "string" | "nvarchar" | "text" | "ntext" | "varchar" => Type::String,
        "int" | "integer" => Type::Int,
        "double" => Type::Double,
        "decimal" => Type::Decimal,
        "bool" | "boolean" => Type::Boolean,
        other => return Err(parser.error(format!("there is no type {other} to cast to"))),
    };
    parser.advance()?;
    parser.expect(")")?;
    Ok(Expr::Cast(Box::new(value), to))
}

fn coding(parser: &mut Parser<'_>, name: &str) -> Result<Expr, SqlError> {
    let value = if name == "decode" && parser.is_mark("*") {
        return Err(parser.not_modelled("decode() of the whole payload, which is for protocol buffers,"));
    } else {
        parser.argument()?
    };
    parser.expect(",")?;
    let (scheme, at) = literal(parser, "the scheme of a coding")?;
    match scheme {
        "base64" => {}
        "proto" if name == "decode" => {
            return Err(SqlError::not_modelled(at, "decoding protocol buffers is not modelled"));
        }
        other => return Err(SqlError::syntax(at, format!("{name}() has no scheme {other:?}"))),
    }
    if !parser.is_mark(")") {
        return Err(parser.error(format!("{name}() takes 2 arguments")));
    }
    parser.advance()?;
    Ok(match (name, value) {
        ("encode", Expr::Whole) if !parser.is_in_query() => Expr::EncodePayload,
        ("encode", value) => Expr::Call(Function::Encode, vec![value]),
        (_, value) => Expr::Call(Function::Decode, vec![value]),
    })
}

fn regexp(parser: &mut Parser<'_>, form: RegexpUse) -> Result<Expr, SqlError> {
    let mut values = vec![parser.argument()?];
    parser.expect(",")?;
    let (pattern, at) = literal(parser, "a regular expression")?;
    let refused = |(byte, why): (usize, String)| SqlError::not_modelled(at + byte, why);
    let regexp = Regexp::parse(pattern).map_err(refused)?;
    values.extend(rest(parser, usize::from(form == RegexpUse::Replace))?);
    parser.expect(")")?;
    Ok(Expr::Regexp(form, Box::new(regexp), values))
}

fn refused(at: usize) -> impl Fn(Refused) -> SqlError {
    move |refused| SqlError { position: at + refused.at, message: refused.why, not_modelled: refused.not_modelled }
}

fn parse_time(parser: &mut Parser<'_>) -> Result<Expr, SqlError> {
    let (pattern, at) = literal(parser, "a pattern of a time")?;
    let pattern = TimePattern::parse(pattern).map_err(refused(at))?;
    let mut values = rest(parser, 1)?;
    if parser.is_mark(",") {
        values.extend(rest(parser, 1)?);
    }
    parser.expect(")")?;
    Ok(Expr::ParseTime(Box::new(pattern), values))
}

fn time_to_epoch(parser: &mut Parser<'_>) -> Result<Expr, SqlError> {
    let value = parser.argument()?;
    parser.expect(",")?;
    let (pattern, at) = literal(parser, "a pattern of a time")?;
    let pattern = EpochPattern::parse(pattern).map_err(refused(at))?;
    parser.expect(")")?;
    Ok(Expr::TimeToEpoch(Box::new(pattern), Box::new(value)))
}

fn mqtt_property(parser: &mut Parser<'_>) -> Result<Expr, SqlError> {
    let (name, at) = literal(parser, "the name of a property")?;
    let property = match name {
        "content_type" => MqttProperty::ContentType,
        "format_indicator" => MqttProperty::FormatIndicator,
        "response_topic" => MqttProperty::ResponseTopic,
        "correlation_data" => MqttProperty::CorrelationData,
        other => return Err(SqlError::syntax(at, format!("there is no property {other:?} of MQTT"))),
    };
    parser.expect(")")?;
    Ok(Expr::MqttProperty(property))
}

fn thing_shadow(parser: &mut Parser<'_>) -> Result<Expr, SqlError> {
    let thing = parser.argument()?;
    parser.expect(",")?;
    let mut last_at = parser.at;
    let mut last = parser.argument()?;
    let mut shadow = None;
    if parser.is_mark(",") {
        parser.advance()?;
        last_at = parser.at;
        shadow = Some(std::mem::replace(&mut last, parser.argument()?));
    }
    // No variable can stand for a role, so it is known when the rule is created.
    let Expr::Text(role) = last else {
        return Err(SqlError::syntax(last_at, "get_thing_shadow() ends with the ARN of a role, in quotes"));
    };
    if !(role.starts_with("arn:") && role.contains(":role/")) {
        return Err(SqlError::syntax(last_at, "get_thing_shadow() ends with the ARN of a role"));
    }
    parser.expect(")")?;
    Ok(Expr::ThingShadow(Box::new(ThingShadow { thing, shadow, role })))
}

fn transform(parser: &mut Parser<'_>) -> Result<Expr, SqlError> {
    let (mode, _) = literal(parser, "the mode of transform()")?;
    let is_known = mode == "enrichArray";
    let values = rest(parser, 2)?;
    parser.expect(")")?;
    // "Any other value: Undefined."
    Ok(if is_known { Expr::Call(Function::EnrichArray, values) } else { Expr::Undefined })
}
