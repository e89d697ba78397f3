//! A request's form: members by their dotted names.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::core::AwsError;

/// The members of a request. Reading a member takes it out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    action: String,
    version: String,
    prefix: String,
    members: BTreeMap<String, String>,
}

impl Form {
    /// Parses a form-encoded body. Broken escapes, texts that are not UTF-8 and members given twice are refused.
    pub(super) fn parse(body: &[u8]) -> Result<Self, AwsError> {
        let mut members = BTreeMap::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            if members.contains_key(&name) {
                return Err(malformed(format!("the parameter {name} is given twice")));
            }
            members.insert(name, value);
        }
        let action = members.remove("Action").unwrap_or_default();
        let version = members.remove("Version").unwrap_or_default();
        Ok(Form { action, version, prefix: String::new(), members })
    }

    /// What is asked for, such as `CreateStack`.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The version of the interface.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A text member.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.members.remove(name)
    }

    /// A text member that must be there and not empty.
    pub fn required(&mut self, name: &str) -> Result<String, AwsError> {
        self.text(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            let (prefix, at) = (&self.prefix, camel(name));
            AwsError::new(
                "ValidationError",
                format!(
                    "1 validation error detected: Value null at '{prefix}{at}' failed to satisfy constraint: \
                         Member must not be null"
                ),
            )
        })
    }

    /// A member that is `true` or `false`.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, AwsError> {
        self.parsed(name)
    }

    /// A whole number.
    pub fn integer(&mut self, name: &str) -> Result<Option<i64>, AwsError> {
        self.parsed(name)
    }

    fn parsed<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, AwsError> {
        let parse = |value: String| value.parse().map_err(|_| malformed(format!("{value:?} is no value for {name}")));
        self.text(name).map(parse).transpose()
    }

    /// A list of texts, `name.member.1` and so on. An empty list (`name=`) is a list.
    pub fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, AwsError> {
        let forms = self.forms(name)?;
        let one = |mut form: Form| {
            let value = form.text("").ok_or_else(|| malformed(format!("members of {name} are texts")))?;
            form.finish().map(|()| value)
        };
        forms.map(|forms| forms.into_iter().map(one).collect()).transpose()
    }

    /// A list of structures: the members of each, as a form of its own. An empty list (`name=`) is a list.
    pub fn forms(&mut self, name: &str) -> Result<Option<Vec<Form>>, AwsError> {
        self.numbered(name, "member")
    }

    /// A map, `name.entry.1.key` and `name.entry.1.value` and so on. SNS calls the parts `Name` and `Value` in some
    /// maps: each entry is a form of its own.
    pub fn entries(&mut self, name: &str) -> Result<Option<Vec<Form>>, AwsError> {
        self.numbered(name, "entry")
    }

    /// A structure: its members, as a form of its own; absent when it has none.
    pub fn form(&mut self, name: &str) -> Option<Form> {
        let start = format!("{name}.");
        let names: Vec<String> = self.starting_with(&start);
        if names.is_empty() {
            return None;
        }
        let mut form = self.child(&start);
        for name in names {
            if let Some(value) = self.members.remove(&name) {
                form.members.insert(name[start.len()..].to_owned(), value);
            }
        }
        Some(form)
    }

    fn starting_with(&self, start: &str) -> Vec<String> {
        let from = self.members.range(start.to_owned()..);
        from.map(|(name, _)| name).take_while(|name| name.starts_with(start)).cloned().collect()
    }

    fn child(&self, start: &str) -> Form {
        let prefix = format!("{}{start}", self.prefix);
        Form { action: self.action.clone(), version: self.version.clone(), prefix, members: BTreeMap::new() }
    }

    fn numbered(&mut self, name: &str, word: &str) -> Result<Option<Vec<Form>>, AwsError> {
        let start = format!("{name}.{word}.");
        let mut forms: BTreeMap<usize, Form> = BTreeMap::new();
        for full in self.starting_with(&start) {
            let rest = &full[start.len()..];
            let (number, member) = rest.split_once('.').unwrap_or((rest, ""));
            let number: usize = number.parse().map_err(|_| malformed(format!("{full} is no member of a list")))?;
            let value = self.members.remove(&full).unwrap_or_default();
            let form = forms.entry(number).or_insert_with(|| self.child(&format!("{start}{number}.")));
            form.members.insert(member.to_owned(), value);
        }
        if forms.keys().enumerate().any(|(index, number)| index + 1 != *number) {
            return Err(malformed(format!("the members of {name} are not numbered from 1 without gaps")));
        }
        match self.text(name) {
            Some(value) if !value.is_empty() || !forms.is_empty() => Err(malformed(format!("{name} is a list"))),
            None if forms.is_empty() => Ok(None),
            _ => Ok(Some(forms.into_values().collect())),
        }
    }

    /// Refuses what was not read, by name.
    pub fn finish(&self) -> Result<(), AwsError> {
        match self.members.keys().next() {
            None => Ok(()),
            Some(name) => {
                let (action, prefix) = (&self.action, &self.prefix);
                Err(AwsError::not_modelled(format!("the parameter {prefix}{name} of {action}")))
            }
        }
    }
}

fn malformed(why: impl Into<String>) -> AwsError {
    AwsError::new("MalformedQueryString", why)
}

fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

fn decode(text: &[u8]) -> Result<String, AwsError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = after.get(..2).ok_or_else(|| malformed("an escape is cut off"))?;
                let mut decoded = [0];
                hex::decode_to_slice(digits, &mut decoded).map_err(|_| malformed("an escape has no two hex digits"))?;
                out.push(decoded[0]);
                rest = &after[2..];
            }
            other => out.push(*other),
        }
    }
    String::from_utf8(out).map_err(|_| malformed("a parameter is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(body: &str) -> Form {
        Form::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"))
    }

    #[test]
    fn members_are_decoded_and_taken_out() {
        let mut form = form("Action=A&Version=1&Text=a+b%2B%C3%A4&Yes=true&Number=-7&Empty=");
        assert_eq!((form.action(), form.version()), ("A", "1"));
        assert_eq!(form.text("Text").as_deref(), Some("a b+ä"));
        assert_eq!((form.boolean("Yes"), form.integer("Number")), (Ok(Some(true)), Ok(Some(-7))));
        assert_eq!((form.text("Empty").as_deref(), form.text("Text")), (Some(""), None));
        assert_eq!(form.finish(), Ok(()));
    }

    #[test]
    fn lists_maps_and_structures_are_forms_of_their_own() {
        let order: String = (1..=11).map(|n| format!("Names.member.{n}=n{n}&")).collect();
        let mut form = form(&format!(
            "{order}Tags.member.1.Key=k&Tags.member.1.Value=v&Attributes.entry.1.key=a&Attributes.entry.1.value=b\
             &Config.Mode=fast&Config.List.member.1=x&None="
        ));
        let names = form.texts("Names").unwrap().unwrap();
        assert_eq!((names.len(), names[1].as_str(), names[10].as_str()), (11, "n2", "n11"));
        let mut tags = form.forms("Tags").unwrap().unwrap();
        assert_eq!((tags[0].required("Key"), tags[0].required("Value")), (Ok("k".to_owned()), Ok("v".to_owned())));
        let mut entries = form.entries("Attributes").unwrap().unwrap();
        assert_eq!((entries[0].text("key").as_deref(), entries[0].text("value").as_deref()), (Some("a"), Some("b")));
        let mut config = form.form("Config").unwrap();
        assert_eq!(config.texts("List"), Ok(Some(vec!["x".to_owned()])));
        let refused = config.finish().unwrap_err();
        assert!(refused.message.contains("Config.Mode"), "{refused}");
        assert_eq!((form.texts("None"), form.texts("Absent")), (Ok(Some(Vec::new())), Ok(None)));
        assert_eq!(form.finish(), Ok(()));
    }

    #[test]
    fn what_is_malformed_missing_or_unknown_is_refused_by_name() {
        for body in ["A=%2", "A=%zz", "A=%ff", "A=1&A=2"] {
            assert_eq!(Form::parse(body.as_bytes()).unwrap_err().code, "MalformedQueryString", "{body}");
        }
        assert!(form("L.member.2=x").texts("L").unwrap_err().message.contains("numbered from 1"));
        assert!(form("L.member.x=x").texts("L").unwrap_err().message.contains("L.member.x"));
        assert!(form("L=x").texts("L").unwrap_err().message.contains("is a list"));
        assert!(form("Flag=yes").boolean("Flag").unwrap_err().message.contains("Flag"));
        assert!(form("").required("StackName").unwrap_err().message.contains("'stackName'"));
        let error = form("Action=Do&Other.member.1=x").finish().unwrap_err();
        assert_eq!((error.status, error.message.contains("Other.member.1 of Do")), (501, true), "{error}");
    }
}
