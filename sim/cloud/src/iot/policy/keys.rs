//! The keys that policies can name, in conditions and as variables, and their values for a connection.
//!
//! Sources: AWS IoT Core developer guide, "Basic AWS IoT Core policy variables", "Thing policy variables", "X.509 Certificate
//! AWS IoT Core policy variables". Names of keys are compared without regard to case, as IAM does (unverified here).

use std::borrow::Cow;

use crate::core::AccountInfo;
use crate::core::policy::Lookup;
use crate::iot::registry::Thing;
use crate::iot::registry::x509::{Names, X509};

/// What a CONNECT asks for beside its client id: the condition keys `iot:ConnectAttributes` and `iot:LastWillTopic`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectAttributes<'c> {
    /// Whether its session is to outlive the connection: `PersistentConnect`.
    pub persistent: bool,
    /// Topic of its will, if it has one: `LastWill`.
    pub will: Option<&'c str>,
}

/// What the keys of policies stand for.
#[derive(Clone, Copy, Debug)]
pub struct Context<'c> {
    /// The account, for ARNs.
    pub account: &'c AccountInfo,
    /// Client id of the connection.
    pub client: &'c str,
    /// Source address of the connection.
    pub ip: &'c str,
    /// The name of the endpoint that the client asked for in its handshake.
    pub domain: &'c str,
    /// The thing of the connection: see `Registry::thing_of_connection`.
    pub thing: Option<&'c Thing>,
    /// Id of the certificate.
    pub certificate: &'c str,
    /// What the certificate says.
    pub x509: Option<&'c X509>,
}

/// A context that is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    account: AccountInfo,
    client: Box<str>,
    ip: Box<str>,
    domain: Box<str>,
    thing: Option<Thing>,
    certificate: Box<str>,
    x509: Option<X509>,
}

impl Context<'_> {
    pub(super) fn keep(&self) -> Kept {
        Kept {
            account: self.account.clone(),
            client: self.client.into(),
            ip: self.ip.into(),
            domain: self.domain.into(),
            thing: self.thing.cloned(),
            certificate: self.certificate.into(),
            x509: self.x509.cloned(),
        }
    }
}

impl Kept {
    pub(super) fn context(&self) -> Context<'_> {
        Context {
            account: &self.account,
            client: &self.client,
            ip: &self.ip,
            domain: &self.domain,
            thing: self.thing.as_ref(),
            certificate: &self.certificate,
            x509: self.x509.as_ref(),
        }
    }
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key<'k> {
    ClientId,
    SourceIp,
    DomainName,
    ConnectAttributes,
    LastWillTopic,
    ThingName,
    ThingTypeName,
    IsAttached,
    ThingAttribute(&'k str),
    CertificateId,
    SerialNumber,
    AvailableKeys,
    /// A name of the certificate: of its subject or issuer, and which of several.
    Name(Holder, &'static str, Which),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Subject,
    Issuer,
    SubjectAlternative,
    IssuerAlternative,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    /// The value with this index, from 0.
    One(usize),
    /// `.List`
    All,
}

/// Names of subjects and issuers.
const NAMES: [&str; 13] = [
    "DistinguishedNameQualifier",
    "Country",
    "Organization",
    "OrganizationalUnit",
    "State",
    "CommonName",
    "SerialNumber",
    "Title",
    "Surname",
    "GivenName",
    "Initials",
    "Pseudonym",
    "GenerationQualifier",
];
/// Kinds of alternative names. `DirectoryName` is the other one of AWS: it is not modelled.
const ALTERNATIVES: [&str; 4] = ["RFC822Name", "DNSName", "UniformResourceIdentifier", "IPAddress"];
/// Values of one attribute of a certificate that policies see.
const VALUES_MAX: usize = 5;
/// Longest value that is filled in for a variable, in characters.
const LENGTH_MAX: usize = 1024;
/// Characters that keep a value from being filled in for a variable.
const WILDCARDS: [char; 5] = ['*', '$', '+', '?', '#'];

impl Key<'_> {
    fn of(text: &str) -> Option<Key<'_>> {
        let plain = [
            ("iot:ClientId", Key::ClientId),
            ("aws:SourceIp", Key::SourceIp),
            ("iot:DomainName", Key::DomainName),
            ("iot:ConnectAttributes", Key::ConnectAttributes),
            ("iot:LastWillTopic", Key::LastWillTopic),
            ("iot:Connection.Thing.ThingName", Key::ThingName),
            ("iot:Connection.Thing.ThingTypeName", Key::ThingTypeName),
            ("iot:Connection.Thing.IsAttached", Key::IsAttached),
            ("iot:CertificateId", Key::CertificateId),
            ("iot:Certificate.SerialNumber", Key::SerialNumber),
            ("iot:Certificate.AvailableKeys", Key::AvailableKeys),
            ("iot:Certificate.AvailableKeys.List", Key::AvailableKeys),
        ];
        if let Some((_, key)) = plain.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Some(key);
        }
        if let Some(rest) = without_start(text, "iot:Connection.Thing.Attributes[") {
            return rest.strip_suffix(']').filter(|name| !name.is_empty()).map(Key::ThingAttribute);
        }
        Key::of_certificate(text)
    }

    fn of_certificate(text: &str) -> Option<Key<'_>> {
        let (rest, plain, alternative) = match without_start(text, "iot:Certificate.Subject.") {
            Some(rest) => (rest, Holder::Subject, Holder::SubjectAlternative),
            None => (without_start(text, "iot:Certificate.Issuer.")?, Holder::Issuer, Holder::IssuerAlternative),
        };
        let (rest, holder, names) = match without_start(rest, "AlternativeName.") {
            Some(rest) => (rest, alternative, &ALTERNATIVES[..]),
            None => (rest, plain, &NAMES[..]),
        };
        let (name, which) = match rest.split_once('.') {
            None => (rest, Which::One(0)),
            Some((name, list)) if list.eq_ignore_ascii_case("List") => (name, Which::All),
            Some((name, index)) => (name, Which::One(index.parse().ok()?)),
        };
        let name = names.iter().find(|known| known.eq_ignore_ascii_case(name))?;
        Some(Key::Name(holder, name, which))
    }
}

fn without_start<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(start.len())?;
    head.eq_ignore_ascii_case(start).then_some(rest)
}

/// Refuses a key that has no value here: a statement with it would mean something else.
pub(super) fn known(key: &str) -> Result<(), String> {
    match Key::of(key) {
        Some(_) => Ok(()),
        None => Err(format!("the key {key} is not modelled by this simulator (see docs/gaps.md)")),
    }
}

/// The same for a variable: the attributes of a CONNECT are keys of conditions only.
pub(super) fn known_variable(key: &str) -> Result<(), String> {
    if is_of_connect(key) {
        return Err(format!("{key} stands in conditions and is no variable"));
    }
    known(key)
}

/// Whether the value of a key comes with the CONNECT and not with the connection.
pub(super) fn is_of_connect(key: &str) -> bool {
    matches!(Key::of(key), Some(Key::ConnectAttributes | Key::LastWillTopic))
}

/// A connection, and its CONNECT when that is what is judged.
pub(super) struct Values<'v> {
    pub(super) context: Context<'v>,
    pub(super) connect: Option<ConnectAttributes<'v>>,
}

impl Values<'_> {
    fn of_key(&self, key: Key<'_>) -> Option<Vec<String>> {
        let one = |text: &str| Some(vec![text.to_owned()]);
        let Context { account, client, ip, domain, thing, certificate, x509 } = self.context;
        match key {
            Key::ClientId => one(client),
            Key::SourceIp => one(ip),
            Key::DomainName => one(domain),
            Key::ConnectAttributes => {
                let ConnectAttributes { persistent, will } = self.connect?;
                let given = [(persistent, "PersistentConnect"), (will.is_some(), "LastWill")];
                let given: Vec<String> =
                    given.into_iter().filter(|(is_given, _)| *is_given).map(|(_, name)| name.to_owned()).collect();
                (!given.is_empty()).then_some(given)
            }
            Key::LastWillTopic => Some(vec![account.arn("iot", &format!("topic/{}", self.connect?.will?))]),
            Key::ThingName => one(&thing?.name),
            Key::ThingTypeName => one(thing?.thing_type.as_deref()?),
            Key::IsAttached => one(if thing.is_some() { "true" } else { "false" }),
            Key::ThingAttribute(name) => one(thing?.attributes.get(name)?),
            Key::CertificateId => one(certificate),
            Key::SerialNumber => one(&x509?.serial),
            Key::AvailableKeys => Some(available(x509?)),
            Key::Name(holder, name, which) => {
                let mut values = values_of(names_of(x509?, holder), name);
                match which {
                    Which::All => Some(values).filter(|values| !values.is_empty()),
                    Which::One(index) => (index < values.len()).then(|| vec![values.swap_remove(index)]),
                }
            }
        }
    }
}

impl Lookup for Values<'_> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        self.of_key(Key::of(key)?)
    }

    /// Client ids are filled in whatever they are, as plain characters: the guide warns of `+` in them. Names and
    /// attributes with a wildcard, and long ones, are not (stated for certificates; unverified for things).
    fn variable(&self, key: &str) -> Option<String> {
        let key = Key::of(key)?;
        let mut values = self.of_key(key)?;
        let value = (values.len() == 1).then(|| values.remove(0))?;
        let fits = matches!(key, Key::ClientId | Key::SourceIp)
            || !value.contains(WILDCARDS) && value.chars().count() <= LENGTH_MAX;
        fits.then_some(value)
    }
}

fn names_of(x509: &X509, holder: Holder) -> &Names {
    match holder {
        Holder::Subject => &x509.subject,
        Holder::Issuer => &x509.issuer,
        Holder::SubjectAlternative => &x509.subject_alternatives,
        Holder::IssuerAlternative => &x509.issuer_alternatives,
    }
}

fn values_of(names: &Names, name: &str) -> Vec<String> {
    let values = names.iter().filter(|(known, _)| *known == name).map(|(_, value)| escaped(value).into_owned());
    values.take(VALUES_MAX).collect()
}

/// Special characters of a name stand behind a backslash.
fn escaped(value: &str) -> Cow<'_, str> {
    const SPECIAL: [char; 8] = [',', '"', '\\', '+', '=', '<', '>', ';'];
    if !value.contains(SPECIAL) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len() + 4);
    for c in value.chars() {
        if SPECIAL.contains(&c) {
            text.push('\\');
        }
        text.push(c);
    }
    Cow::Owned(text)
}

/// Names of the variables of the certificate that have values.
fn available(x509: &X509) -> Vec<String> {
    let mut keys = vec!["iot:Certificate.SerialNumber".to_owned()];
    for (holder, start) in [
        (Holder::Subject, "Subject"),
        (Holder::Issuer, "Issuer"),
        (Holder::SubjectAlternative, "Subject.AlternativeName"),
        (Holder::IssuerAlternative, "Issuer.AlternativeName"),
    ] {
        for (name, _) in names_of(x509, holder) {
            let key = format!("iot:Certificate.{start}.{name}");
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    keys
}
