//! Hive types as the columns of a Glue table name them, and what they are in Arrow.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};

/// Most levels of types within one another. Not published by AWS.
const DEPTH_MAX: usize = 100;

/// A Hive type that is modelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HiveType {
    Boolean,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Float,
    Double,
    String,
    /// `char` and `varchar`: so many characters at most.
    Limited(usize),
    Binary,
    Timestamp,
    Date,
    /// Digits, and how many of them are behind the point.
    Decimal(u8, i8),
    Array(Box<HiveType>),
    /// From strings.
    Map(Box<HiveType>),
    Struct(Vec<(String, HiveType)>),
}

impl HiveType {
    /// Parses a type. The error says which part is not modelled.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, rest: text, depth: 0 };
        let parsed = parser.any()?;
        match parser.rest.trim_start() {
            "" => Ok(parsed),
            rest => Err(format!("{rest:?} in the Hive type {text:?}")),
        }
    }

    /// The Arrow type. Names within are those that Parquet's specification gives lists and maps.
    pub fn arrow(&self) -> DataType {
        match self {
            HiveType::Boolean => DataType::Boolean,
            HiveType::TinyInt => DataType::Int8,
            HiveType::SmallInt => DataType::Int16,
            HiveType::Int => DataType::Int32,
            HiveType::BigInt => DataType::Int64,
            HiveType::Float => DataType::Float32,
            HiveType::Double => DataType::Float64,
            HiveType::String | HiveType::Limited(_) => DataType::Utf8,
            HiveType::Binary => DataType::Binary,
            // Firehose's physical type is unverified; Hive's own is INT96, which the writer here does not have.
            HiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            HiveType::Date => DataType::Date32,
            HiveType::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            HiveType::Array(element) => DataType::List(element.field("element")),
            HiveType::Map(value) => {
                let key = Arc::new(Field::new("key", DataType::Utf8, false));
                let entries = DataType::Struct(Fields::from(vec![key, value.field("value")]));
                DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
            }
            HiveType::Struct(members) => {
                DataType::Struct(members.iter().map(|(name, member)| member.field(name)).collect())
            }
        }
    }

    /// A nullable field of this type.
    pub fn field(&self, name: &str) -> FieldRef {
        Arc::new(Field::new(name, self.arrow(), true))
    }
}

struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
    /// Types that are open.
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<HiveType, String> {
        let word = self.word();
        Ok(match word.to_ascii_lowercase().as_str() {
            "boolean" => HiveType::Boolean,
            "tinyint" => HiveType::TinyInt,
            "smallint" => HiveType::SmallInt,
            "int" | "integer" => HiveType::Int,
            "bigint" => HiveType::BigInt,
            "float" => HiveType::Float,
            "double" => HiveType::Double,
            "string" => HiveType::String,
            "binary" => HiveType::Binary,
            "timestamp" => HiveType::Timestamp,
            "date" => HiveType::Date,
            "char" => self.limited(255)?,
            "varchar" => self.limited(65_535)?,
            "decimal" => self.decimal()?,
            "array" => HiveType::Array(Box::new(self.within(Parser::any)?)),
            "map" => self.within(|parser| {
                match parser.any()? {
                    HiveType::String => {}
                    key => return Err(format!("a map with keys of type {key:?} in the Hive type {:?}", parser.text)),
                }
                parser.expect(',')?;
                Ok(HiveType::Map(Box::new(parser.any()?)))
            })?,
            "struct" => self.within(|parser| {
                let mut members = Vec::new();
                loop {
                    let name = parser.word();
                    parser.expect(':')?;
                    members.push((name, parser.any()?));
                    if parser.expect(',').is_err() {
                        return Ok(HiveType::Struct(members));
                    }
                }
            })?,
            _ => return Err(format!("{word:?} in the Hive type {:?}", self.text)),
        })
    }

    fn within(&mut self, inner: impl FnOnce(&mut Self) -> Result<HiveType, String>) -> Result<HiveType, String> {
        if self.depth == DEPTH_MAX {
            return Err(format!("a Hive type nested deeper than {DEPTH_MAX} levels"));
        }
        self.depth += 1;
        self.expect('<')?;
        let parsed = inner(self)?;
        self.expect('>')?;
        self.depth -= 1;
        Ok(parsed)
    }

    /// A length in parentheses, at most `most`.
    fn limited(&mut self, most: usize) -> Result<HiveType, String> {
        self.expect('(')?;
        let length = self.word();
        self.expect(')')?;
        let length = length.parse().ok().filter(|length| (1..=most).contains(length));
        length.map(HiveType::Limited).ok_or_else(|| format!("the length in the Hive type {:?}", self.text))
    }

    /// Digits and scale in parentheses; 10 and 0 when nothing is said.
    fn decimal(&mut self) -> Result<HiveType, String> {
        if self.expect('(').is_err() {
            return Ok(HiveType::Decimal(10, 0));
        }
        let precision = self.word();
        let scale = if self.expect(',').is_ok() { self.word() } else { "0".to_owned() };
        self.expect(')')?;
        match (precision.parse::<u8>(), scale.parse::<i8>()) {
            (Ok(precision), Ok(scale)) if (1..=38).contains(&precision) && (0..=precision as i8).contains(&scale) => {
                Ok(HiveType::Decimal(precision, scale))
            }
            _ => Err(format!("the digits in the Hive type {:?}", self.text)),
        }
    }

    fn word(&mut self) -> String {
        self.rest = self.rest.trim_start();
        let end = self.rest.find([':', ',', '<', '>', '(', ')', ' ']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        let rest = self.rest.trim_start().strip_prefix(wanted);
        self.rest = rest.ok_or_else(|| format!("the Hive type {:?}: {wanted:?} is missing", self.text))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_types_are_parsed() {
        let parsed = HiveType::parse("struct<a:map<string,array<double>>, B:Array<struct<c:int>>>").unwrap();
        let inner = HiveType::Struct(vec![("c".to_owned(), HiveType::Int)]);
        assert_eq!(
            parsed,
            HiveType::Struct(vec![
                ("a".to_owned(), HiveType::Map(Box::new(HiveType::Array(Box::new(HiveType::Double))))),
                ("B".to_owned(), HiveType::Array(Box::new(inner))),
            ])
        );
    }

    #[test]
    fn types_with_numbers_are_parsed() {
        for (text, expected) in [
            ("decimal(10,2)", HiveType::Decimal(10, 2)),
            ("DECIMAL( 38 , 38 )", HiveType::Decimal(38, 38)),
            ("decimal(5)", HiveType::Decimal(5, 0)),
            ("decimal", HiveType::Decimal(10, 0)),
            ("varchar(20)", HiveType::Limited(20)),
            ("array<char(3)>", HiveType::Array(Box::new(HiveType::Limited(3)))),
        ] {
            assert_eq!(HiveType::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn types_are_nested_to_a_depth_only() {
        for (open, close) in [("array<", ">"), ("map<string,", ">"), ("struct<a:", ">")] {
            let nested = |depth: usize| format!("{}int{}", open.repeat(depth), close.repeat(depth));
            assert!(HiveType::parse(&nested(100)).is_ok(), "{open}");
            for depth in [101, 100_000] {
                let error = HiveType::parse(&nested(depth)).unwrap_err();
                assert_eq!(error, "a Hive type nested deeper than 100 levels", "{open}");
            }
        }
        let wide = format!("struct<{}>", ["a:array<int>"; 200].join(","));
        assert!(HiveType::parse(&wide).is_ok(), "types beside one another are not nested");
    }

    #[test]
    fn types_that_are_not_modelled_are_named() {
        for (text, named) in [
            ("decimal(39,2)", "digits"),
            ("decimal(4,5)", "digits"),
            ("varchar(0)", "length"),
            ("char(256)", "length"),
            ("uniontype<int,string>", "uniontype"),
            ("map<int,string>", "Int"),
            ("bigint garbage", "garbage"),
            ("array<string", "'>'"),
            ("struct<>", "':'"),
            ("", "\"\""),
        ] {
            let error = HiveType::parse(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
