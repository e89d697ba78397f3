//! Hive types as the columns of a Glue table name them, and what they are in Arrow.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields};

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
    Array(Box<HiveType>),
    /// From strings.
    Map(Box<HiveType>),
    Struct(Vec<(String, HiveType)>),
}

impl HiveType {
    /// Parses a type. The error says which part is not modelled.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, rest: text };
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
            HiveType::String => DataType::Utf8,
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
        self.expect('<')?;
        let parsed = inner(self)?;
        self.expect('>')?;
        Ok(parsed)
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
    fn types_that_are_not_modelled_are_named() {
        for (text, named) in [
            ("decimal(10,2)", "decimal"),
            ("timestamp", "timestamp"),
            ("array<date>", "date"),
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
