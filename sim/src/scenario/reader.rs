//! Reads tables of a scenario file by the schema: what is not in the schema is refused, what is there has its type.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::error::{Place, ScenarioError};
use super::schema::{self, Key, Takes};
use super::suggest::did_you_mean;
use crate::fault::Probability;
use crate::world::time::Time;

/// A file that is being read.
pub(super) struct Document<'a> {
    /// Path as it was given.
    pub(super) path: &'a str,
    /// Its text.
    pub(super) text: &'a str,
}

impl Document<'_> {
    /// An error at a place of this file.
    pub(super) fn error(
        &self,
        span: Range<usize>,
        key: impl Into<String>,
        problem: impl Into<String>,
        expected: impl Into<String>,
        hint: impl Into<String>,
    ) -> ScenarioError {
        ScenarioError {
            file: Some(self.path.to_owned()),
            place: Some(Place::of(self.text, span)),
            key: key.into(),
            problem: problem.into(),
            expected: expected.into(),
            hint: hint.into(),
        }
    }

    /// The folder that relative paths of this file begin at.
    pub(super) fn folder(&self) -> &Path {
        Path::new(self.path).parent().unwrap_or(Path::new(""))
    }
}

type Value<'a> = Spanned<DeValue<'a>>;

/// One table of the file, with the section of the schema that it must follow.
pub(super) struct Table<'a> {
    doc: &'a Document<'a>,
    section: &'static str,
    path: String,
    table: &'a DeTable<'a>,
    span: Range<usize>,
}

/// One value of a table, with what is needed to complain about it.
pub(super) struct Entry<'a> {
    doc: &'a Document<'a>,
    key: &'static Key,
    path: String,
    value: &'a Value<'a>,
}

impl<'a> Table<'a> {
    /// Takes a table and refuses keys that its section does not have.
    pub(super) fn new(
        doc: &'a Document<'a>,
        section: &'static str,
        path: String,
        table: &'a DeTable<'a>,
        span: Range<usize>,
    ) -> Result<Self, ScenarioError> {
        let this = Table { doc, section, path, table, span };
        let unknown =
            table.iter().filter(|(k, _)| schema::keys_of(section).all(|known| known.name != k.get_ref().as_ref()));
        match unknown.min_by_key(|(k, _)| k.span().start) {
            Some((key, _)) => Err(this.unknown_key(key)),
            None => Ok(this),
        }
    }

    fn unknown_key(&self, key: &Spanned<std::borrow::Cow<'_, str>>) -> ScenarioError {
        let name = key.get_ref().as_ref();
        let known: Vec<&str> = schema::keys_of(self.section).map(|k| k.name).collect();
        let elsewhere = schema::KEYS.iter().find(|k| k.name == name);
        let otherwise = match elsewhere {
            Some(k) if k.section.is_empty() => {
                format!("`{name}` belongs to the top of the file, before the first table")
            }
            Some(k) => format!("`{name}` belongs to the section `{}`", k.section),
            None => "`cargo sim schema` prints all keys and their meaning".to_owned(),
        };
        let place = if self.section.is_empty() { "the top of the file" } else { self.section };
        self.doc.error(
            key.span(),
            self.path_of(name),
            format!("is not a key of {place}"),
            format!("one of {}", known.join(", ")),
            did_you_mean(name, known.iter().copied(), &otherwise),
        )
    }

    /// Refuses unknown keys of the tables below this one, before any value is read: a misspelt key is a better answer
    /// than the missing key that it causes.
    pub(super) fn known_keys_only(&self) -> Result<(), ScenarioError> {
        for key in schema::keys_of(self.section) {
            let Some(entry) = self.get(key.name) else { continue };
            match (key.takes, entry.value.get_ref()) {
                (Takes::Table(_), DeValue::Table(_)) => entry.table()?.known_keys_only()?,
                (Takes::Tables(_), DeValue::Array(values)) if values.iter().all(|v| v.get_ref().is_table()) => {
                    entry.tables()?.iter().try_for_each(Table::known_keys_only)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Refuses keys that belong to another kind of fleet.
    pub(super) fn only_keys_of(&self, kind: &str) -> Result<(), ScenarioError> {
        let foreign = schema::keys_of(self.section).filter(|k| !k.only.is_empty() && !k.only.contains(&kind));
        let present = foreign.filter_map(|k| Some((k, self.table.get_key_value(k.name)?.0.span())));
        let Some((key, span)) = present.min_by_key(|(_, span)| span.start) else { return Ok(()) };
        let allowed: Vec<&str> = schema::keys_of(self.section)
            .filter(|k| k.only.is_empty() || k.only.contains(&kind))
            .map(|k| k.name)
            .collect();
        let quoted: Vec<String> = key.only.iter().map(|owner| format!("\"{owner}\"")).collect();
        let (owners, owner) = (quoted.join(", "), key.only.first().expect("only keys with an owner are foreign"));
        let hint = match key.name {
            "devices" => "a replay fleet has one device for each series".to_owned(),
            "publish_every" => "`pace` says how often rows are played".to_owned(),
            "pace" => "`publish_every` says how often devices publish".to_owned(),
            _ => format!("remove it, or set kind = \"{owner}\""),
        };
        Err(self.doc.error(
            span,
            self.path_of(key.name),
            format!("belongs to fleets of kind {owners}, and this one is \"{kind}\""),
            format!("one of {}", allowed.join(", ")),
            hint,
        ))
    }

    /// A key's path from the top of the file.
    pub(super) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The value of a key of the schema, when it is there.
    pub(super) fn get(&self, name: &str) -> Option<Entry<'a>> {
        let key = schema::find(self.section, name);
        let value = self.table.get(name)?;
        Some(Entry { doc: self.doc, key, path: self.path_of(name), value })
    }

    /// The value of a key of the schema that must be there.
    pub(super) fn require(&self, name: &str) -> Result<Entry<'a>, ScenarioError> {
        self.get(name).ok_or_else(|| {
            let key = schema::find(self.section, name);
            let line = if key.example.is_empty() {
                "`cargo sim schema` shows a whole file.".to_owned()
            } else {
                format!("Add a line such as {name} = {}", key.example)
            };
            let hint = format!("{} {line}", key.meaning);
            self.doc.error(self.span.clone(), self.path_of(name), "is missing", key.takes.expected(), hint)
        })
    }
}

impl<'a> Entry<'a> {
    /// An error about this value.
    pub(super) fn error(&self, problem: impl Into<String>, hint: impl Into<String>) -> ScenarioError {
        self.error_at(self.value.span(), problem, hint)
    }

    /// An error about this value that says itself what was expected.
    pub(super) fn error_expecting(
        &self,
        problem: impl Into<String>,
        expected: impl Into<String>,
        hint: impl Into<String>,
    ) -> ScenarioError {
        self.doc.error(self.value.span(), self.path.clone(), problem, expected, hint)
    }

    fn error_at(&self, span: Range<usize>, problem: impl Into<String>, hint: impl Into<String>) -> ScenarioError {
        self.doc.error(span, self.path.clone(), problem, self.key.takes.expected(), hint)
    }

    fn wrong_type(&self, value: &Value<'_>, hint: &str) -> ScenarioError {
        self.error_at(value.span(), format!("is {}", describe(value.get_ref())), hint)
    }

    /// A text.
    pub(super) fn text(&self) -> Result<String, ScenarioError> {
        let text = self.str("write it in quotes")?;
        if text.trim().is_empty() {
            return Err(self.error("is empty", "one line is enough"));
        }
        Ok(text.to_owned())
    }

    fn str(&self, hint: &str) -> Result<&'a str, ScenarioError> {
        self.value.get_ref().as_str().ok_or_else(|| self.wrong_type(self.value, hint))
    }

    /// A word that may stand in topics and resource names.
    pub(super) fn word(&self) -> Result<String, ScenarioError> {
        let word = self.str("write it in quotes")?;
        let ok = (1..=32).contains(&word.len())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && word.as_bytes()[0].is_ascii_lowercase()
            && !word.ends_with('-');
        if ok {
            Ok(word.to_owned())
        } else {
            Err(self.found(word, "it becomes part of topics and names, such as \"acme-2\""))
        }
    }

    /// A word that may name a metric or a unit.
    pub(super) fn label(&self) -> Result<String, ScenarioError> {
        let word = self.str("write it in quotes")?;
        let ok = (1..=32).contains(&word.len())
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./%".contains(&b))
            && (word.as_bytes()[0].is_ascii_alphanumeric() || word.starts_with('%'));
        if ok { Ok(word.to_owned()) } else { Err(self.found(word, "for example \"temp\" or \"m/s2\"")) }
    }

    fn found(&self, text: &str, hint: &str) -> ScenarioError {
        self.error(format!("is {text:?}"), hint)
    }

    /// A whole number within the key's range.
    pub(super) fn whole(&self) -> Result<u64, ScenarioError> {
        let Takes::Whole { min, max } = self.key.takes else { unreachable!("{} is no whole number", self.path) };
        let number = self.integer(self.value)?;
        match u64::try_from(number) {
            Ok(n) if (min..=max).contains(&n) => Ok(n),
            _ => Err(self.error(format!("is {number}"), self.key.meaning)),
        }
    }

    fn integer(&self, value: &Value<'_>) -> Result<i128, ScenarioError> {
        let DeValue::Integer(number) = value.get_ref() else {
            return Err(self.wrong_type(value, "write the number without quotes and without a fraction"));
        };
        i128::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| self.error_at(value.span(), format!("is {number}"), "the number is far too large"))
    }

    /// A list of seeds.
    pub(super) fn seeds(&self) -> Result<Vec<u64>, ScenarioError> {
        let mut seeds = Vec::new();
        for value in self.array()? {
            let number = self.integer(value)?;
            let problem = match u64::try_from(number) {
                Ok(seed) if !seeds.contains(&seed) => {
                    seeds.push(seed);
                    continue;
                }
                Ok(seed) => format!("has {seed} twice"),
                Err(_) => format!("has {number}"),
            };
            return Err(self.error_at(value.span(), problem, "seeds are whole numbers from 0"));
        }
        Ok(seeds)
    }

    /// A truth value.
    pub(super) fn flag(&self) -> Result<bool, ScenarioError> {
        let flag = self.value.get_ref().as_bool();
        flag.ok_or_else(|| self.wrong_type(self.value, "write true or false, without quotes"))
    }

    fn array(&self) -> Result<impl Iterator<Item = &'a Value<'a>>, ScenarioError> {
        let Some(array) = self.value.get_ref().as_array() else {
            return Err(self.wrong_type(self.value, "write a list: [ … ]"));
        };
        if array.is_empty() {
            return Err(self.error("is empty", "leave the key out to have its default"));
        }
        Ok(array.iter())
    }

    /// An instant, as a TOML date-time or a text.
    pub(super) fn instant(&self) -> Result<Time, ScenarioError> {
        let text = match self.value.get_ref() {
            DeValue::Datetime(instant) => instant.to_string(),
            DeValue::String(text) => text.to_string(),
            _ => return Err(self.wrong_type(self.value, "write date, time and offset")),
        };
        let parsed = chrono::DateTime::parse_from_rfc3339(&text)
            .map_err(|_| self.error(format!("is {text}"), "write date, time and offset; Z is UTC"))?;
        let years = chrono::DateTime::<chrono::Utc>::from_timestamp_nanos(1_672_531_200_000_000_000)
            ..chrono::DateTime::<chrono::Utc>::from_timestamp_nanos(4_102_444_800_000_000_000);
        if !years.contains(&parsed.to_utc()) {
            return Err(self.error(format!("is {text}"), "the simulated clock begins in 2023 at the earliest"));
        }
        let micros = u64::try_from(parsed.timestamp_micros()).expect("instants after 2023 are after the Unix epoch");
        Ok(Time::from_unix_micros(micros))
    }

    /// A duration within the key's range.
    pub(super) fn duration(&self) -> Result<Duration, ScenarioError> {
        let (min, max) = match self.key.takes {
            Takes::Duration { min, max } => (min, max),
            Takes::Pace => (schema::PUBLISH_EVERY_MIN, "7d"),
            _ => unreachable!("{} is no duration", self.path),
        };
        let text = match self.value.get_ref() {
            DeValue::Integer(n) => {
                return Err(self.error(format!("is {n}, without a unit"), format!("write it with a unit: \"{n}s\"")));
            }
            _ => self.str("write a number and its unit in quotes: \"10s\"")?,
        };
        let duration =
            duration::parse(text).map_err(|e| self.error(format!("is \"{text}\", which {}", e.problem), e.hint))?;
        check_range(duration, min, max).map_err(|hint| {
            let of_publishes = min == schema::PUBLISH_EVERY_MIN && hint.contains(min);
            let hint = if of_publishes { format!("{hint}: {}", schema::PUBLISH_EVERY_WHY) } else { hint };
            self.error(format!("is \"{text}\""), hint)
        })?;
        Ok(duration)
    }

    /// A duration, or nothing for the word `recorded`.
    pub(super) fn pace(&self) -> Result<Option<Duration>, ScenarioError> {
        match self.value.get_ref() {
            DeValue::String(word) if word == "recorded" => Ok(None),
            _ => self.duration().map(Some),
        }
    }

    /// A number from 0 to 1.
    pub(super) fn probability(&self) -> Result<Probability, ScenarioError> {
        let number = match self.value.get_ref() {
            DeValue::Float(number) => number.as_str().parse::<f64>().unwrap_or(f64::NAN),
            DeValue::Integer(_) => self.integer(self.value)? as f64,
            _ => return Err(self.wrong_type(self.value, "write the number without quotes")),
        };
        let hint = "1 is always, 0.05 is one time in twenty";
        Probability::new(number).ok_or_else(|| self.error(format!("is {}", describe(self.value.get_ref())), hint))
    }

    /// A finite number within the range of all numbers.
    pub(super) fn number(&self) -> Result<f64, ScenarioError> {
        let Takes::Number { negative } = self.key.takes else { unreachable!("{} is no number", self.path) };
        let number = match self.value.get_ref() {
            DeValue::Float(number) => number.as_str().parse::<f64>().unwrap_or(f64::NAN),
            DeValue::Integer(_) => self.integer(self.value)? as f64,
            _ => return Err(self.wrong_type(self.value, "write the number without quotes")),
        };
        if !number.is_finite() {
            return Err(
                self.error(format!("is {}", describe(self.value.get_ref())), "readings carry finite numbers only")
            );
        }
        if number < 0.0 && !negative {
            return Err(self.error(format!("is {number}"), self.key.meaning));
        }
        if number.abs() > schema::NUMBER_MAX {
            let hint = "larger numbers have no room for the three decimals of a reading; choose another unit";
            return Err(self.error(format!("is {}", describe(self.value.get_ref())), hint));
        }
        Ok(number)
    }

    /// The position of a word among the key's words.
    pub(super) fn choice(&self) -> Result<usize, ScenarioError> {
        let Takes::Choice(words) = self.key.takes else { unreachable!("{} is no choice", self.path) };
        self.chosen(self.value, &words())
    }

    fn chosen(&self, value: &Value<'_>, words: &[&'static str]) -> Result<usize, ScenarioError> {
        let word = value.get_ref().as_str().ok_or_else(|| self.wrong_type(value, "write it in quotes"))?;
        words.iter().position(|w| *w == word).ok_or_else(|| {
            let hint = did_you_mean(word, words.iter().copied(), self.key.meaning);
            self.error_at(value.span(), format!("is {word:?}, which is not known"), hint)
        })
    }

    /// A list of some of the key's words.
    pub(super) fn choices(&self) -> Result<Vec<String>, ScenarioError> {
        let Takes::Choices(words) = self.key.takes else { unreachable!("{} is no list of choices", self.path) };
        let words = words();
        let mut chosen: Vec<String> = Vec::new();
        for value in self.array()? {
            let word = words[self.chosen(value, &words)?].to_owned();
            if chosen.contains(&word) {
                return Err(self.error_at(value.span(), format!("has {word:?} twice"), "name each once"));
            }
            chosen.push(word);
        }
        Ok(chosen)
    }

    /// A path, from the folder of the scenario file.
    pub(super) fn path(&self) -> Result<PathBuf, ScenarioError> {
        Ok(self.doc.folder().join(self.text()?))
    }

    /// A table that follows a section of the schema.
    pub(super) fn table(&self) -> Result<Table<'a>, ScenarioError> {
        let Takes::Table(section) = self.key.takes else { unreachable!("{} is no table", self.path) };
        let Some(table) = self.value.get_ref().as_table() else {
            return Err(self.wrong_type(self.value, &format!("write it as a table: [{section}]")));
        };
        Table::new(self.doc, section, self.path.clone(), table, self.value.span())
    }

    /// A table whose keys are checked elsewhere.
    pub(super) fn foreign(&self) -> Result<(), ScenarioError> {
        let table = self.value.get_ref().as_table();
        table.map(|_| ()).ok_or_else(|| self.wrong_type(self.value, "write it as a table: platform = { … }"))
    }

    /// Any value but a date, as JSON.
    pub(super) fn any(&self) -> Result<serde_json::Value, ScenarioError> {
        json(self.value.get_ref())
            .ok_or_else(|| self.error("is or has a date or a number that JSON cannot hold", "write a text instead"))
    }

    /// Tables that follow a section of the schema.
    pub(super) fn tables(&self) -> Result<Vec<Table<'a>>, ScenarioError> {
        let Takes::Tables(section) = self.key.takes else { unreachable!("{} is no list of tables", self.path) };
        let hint = format!("write each as a table of its own: [[{section}]]");
        if !self.value.get_ref().is_array() {
            return Err(self.wrong_type(self.value, &hint));
        }
        let mut tables = Vec::new();
        for (i, value) in self.array()?.enumerate() {
            let table = value.get_ref().as_table().ok_or_else(|| self.wrong_type(value, &hint))?;
            tables.push(Table::new(self.doc, section, format!("{}[{i}]", self.path), table, value.span())?);
        }
        Ok(tables)
    }
}

fn json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => serde_json::Value::from(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok()?.into(),
        DeValue::Float(number) => serde_json::Number::from_f64(number.as_str().parse().ok()?)?.into(),
        DeValue::Boolean(word) => (*word).into(),
        DeValue::Datetime(_) => return None,
        DeValue::Array(values) => values.iter().map(|value| json(value.get_ref())).collect::<Option<Vec<_>>>()?.into(),
        DeValue::Table(table) => {
            let members = table.iter().map(|(key, value)| Some((key.get_ref().to_string(), json(value.get_ref())?)));
            serde_json::Value::Object(members.collect::<Option<_>>()?)
        }
    })
}

/// Whether a duration lies in a range; the error is a hint.
pub(super) fn check_range(found: Duration, min: &str, max: &str) -> Result<(), String> {
    let limit = |text: &str| duration::parse(text).expect("the schema's ranges are durations");
    if found < limit(min) {
        return Err(format!("the shortest is \"{min}\""));
    }
    if found > limit(max) {
        return Err(format!("the longest is \"{max}\""));
    }
    Ok(())
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {text:?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(word) => format!("{word}"),
        DeValue::Datetime(instant) => format!("the date {instant}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
