//! XML as the answers of the Query protocol are written: elements and texts, no attributes but the namespace.

use world::time::Time;

/// A piece of XML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Xml(String);

impl Xml {
    /// Nothing yet.
    pub fn new() -> Self {
        Xml::default()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An element with a text.
    pub fn text(&mut self, name: &str, value: impl AsRef<str>) {
        self.open(name);
        self.escape(value.as_ref());
        self.close(name);
    }

    /// An element with a text, if there is one.
    pub fn optional(&mut self, name: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// An element with a number or a boolean.
    pub fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        self.text(name, value.to_string());
    }

    /// An element with an instant.
    pub fn time(&mut self, name: &str, value: Time) {
        self.text(name, iso_8601(value));
    }

    /// An element with what `inside` writes.
    pub fn element(&mut self, name: &str, inside: impl FnOnce(&mut Xml)) {
        self.open(name);
        inside(self);
        self.close(name);
    }

    /// The root element, with its namespace.
    pub(super) fn element_in(&mut self, name: &str, namespace: &str, inside: impl FnOnce(&mut Xml)) {
        self.0.push_str(&format!("<{name} xmlns=\"{namespace}\">"));
        inside(self);
        self.close(name);
    }

    /// A list of structures: `inside` writes the members of each.
    pub fn list<T>(&mut self, name: &str, items: impl IntoIterator<Item = T>, mut inside: impl FnMut(&mut Xml, T)) {
        self.element(name, |xml| {
            for item in items {
                xml.element("member", |xml| inside(xml, item));
            }
        });
    }

    /// A list of texts.
    pub fn texts<T: AsRef<str>>(&mut self, name: &str, items: impl IntoIterator<Item = T>) {
        self.list(name, items, |xml, item| xml.escape(item.as_ref()));
    }

    /// What another piece holds.
    pub fn append(&mut self, other: &Xml) {
        self.0.push_str(&other.0);
    }

    /// The bytes to send.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// Line ends are written as references, because a parser would otherwise make `\r\n` a `\n`.
    fn escape(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\r' => self.0.push_str("&#xD;"),
                other => self.0.push(other),
            }
        }
    }
}

/// An instant as ISO 8601 in UTC with milliseconds, such as `2026-03-01T00:00:00.000Z`.
pub fn iso_8601(time: Time) -> String {
    time.to_datetime().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_what_is_absent_is_not_written() {
        let mut xml = Xml::new();
        xml.text("A", "<&>\"\r\n");
        xml.optional("B", None::<&str>);
        xml.value("C", true);
        xml.time("D", Time::from_unix_micros(1_772_323_200_250_000));
        xml.texts("E", ["x", "y"]);
        assert_eq!(
            String::from_utf8(xml.into_bytes()).unwrap(),
            "<A>&lt;&amp;&gt;&quot;&#xD;\n</A><C>true</C><D>2026-03-01T00:00:00.250Z</D>\
             <E><member>x</member><member>y</member></E>"
        );
    }
}
