//! X.509 as far as the registry needs it: the names, the serial number and the validity of a certificate, and certificates
//! and keys of this simulator's own making.
//!
//! What is made here has the structure of X.509, PKCS#1 and PKCS#10, and any tool can read it. Keys and signatures are bytes
//! from a hash of the given seed: nothing is encrypted or verified with them anywhere in this simulator. Equal seeds make
//! equal certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::NaiveDateTime;
use sha2::{Digest as _, Sha256};

use world::time::Time;

/// Tags of DER.
mod tag {
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const BIT_STRING: u8 = 0x03;
    pub(super) const OCTET_STRING: u8 = 0x04;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const OID: u8 = 0x06;
    pub(super) const UTF8: u8 = 0x0c;
    pub(super) const UTC_TIME: u8 = 0x17;
    pub(super) const GENERALIZED_TIME: u8 = 0x18;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const SET: u8 = 0x31;
    pub(super) const VERSION: u8 = 0xa0;
    pub(super) const EXTENSIONS: u8 = 0xa3;
}

/// Attributes of names that policies can ask for: the last number of the OID 2.5.4.x, and the name in policy variables.
const ATTRIBUTES: [(u8, &str); 13] = [
    (3, "CommonName"),
    (4, "Surname"),
    (5, "SerialNumber"),
    (6, "Country"),
    (8, "State"),
    (10, "Organization"),
    (11, "OrganizationalUnit"),
    (12, "Title"),
    (42, "GivenName"),
    (43, "Initials"),
    (44, "GenerationQualifier"),
    (46, "DistinguishedNameQualifier"),
    (65, "Pseudonym"),
];
/// Start of the OIDs 2.5.4.x.
const ATTRIBUTE_OID: [u8; 2] = [0x55, 0x04];
/// The extensions that hold alternative names of the subject and the issuer: 2.5.29.17 and 2.5.29.18.
const SUBJECT_ALTERNATIVES: [u8; 3] = [0x55, 0x1d, 0x11];
const ISSUER_ALTERNATIVES: [u8; 3] = [0x55, 0x1d, 0x12];
/// `rsaEncryption` and `sha256WithRSAEncryption`.
const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const SHA256_RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
/// Bytes of an RSA modulus of 2048 bits.
const MODULUS: usize = 256;
/// Until when certificates that AWS IoT makes are valid: 2049-12-31T23:59:59Z.
const FOREVER: Time = Time::from_unix_secs(2_524_607_999);
/// Who issues certificates that AWS IoT makes: all of it is one OrganizationalUnit.
const AMAZON: (u8, &str) = (11, "Amazon Web Services O=Amazon.com Inc. L=Seattle ST=Washington C=US");

/// Names of a subject or an issuer: what each is called in policy variables, and its value, in their order.
pub type Names = Vec<(&'static str, Box<str>)>;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct X509 {
    /// Serial number as a decimal number: so policies see it.
    pub serial: Box<str>,
    /// Names of the issuer.
    pub issuer: Names,
    /// Names of the subject.
    pub subject: Names,
    /// Alternative names of the issuer.
    pub issuer_alternatives: Names,
    /// Alternative names of the subject.
    pub subject_alternatives: Names,
    /// From when it is valid.
    pub not_before: Time,
    /// Until when it is valid.
    pub not_after: Time,
}

/// What a request to sign asks for.
#[derive(Clone, Copy, Debug)]
pub struct SigningRequest<'d> {
    /// The subject, in DER.
    subject: &'d [u8],
    /// The public key, in DER.
    key: &'d [u8],
}

/// Elements of DER, one after the other.
struct Elements<'d>(&'d [u8]);

/// One element: its tag, its content, and all of it.
struct Element<'d> {
    tag: u8,
    content: &'d [u8],
    whole: &'d [u8],
}

impl<'d> Elements<'d> {
    fn next(&mut self) -> Option<Element<'d>> {
        let all = self.0;
        let (tag, first) = (*all.first()?, usize::from(*all.get(1)?));
        let (length, header) = if first < 0x80 {
            (first, 2)
        } else {
            let bytes = first & 0x7f;
            let digits = all.get(2..2 + bytes).filter(|_| (1..=4).contains(&bytes))?;
            (digits.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), 2 + bytes)
        };
        let end = header.checked_add(length)?;
        let element = Element { tag, content: all.get(header..end)?, whole: &all[..end] };
        self.0 = &all[end..];
        Some(element)
    }

    /// The content of the next element, when it has this tag.
    fn take(&mut self, tag: u8) -> Option<&'d [u8]> {
        self.next().filter(|element| element.tag == tag).map(|element| element.content)
    }
}

impl X509 {
    /// Reads a certificate in DER. Nothing when it is none.
    pub fn read(der: &[u8]) -> Option<X509> {
        let certificate = Elements(der).take(tag::SEQUENCE)?;
        let mut fields = Elements(Elements(certificate).take(tag::SEQUENCE)?);
        let mut first = fields.next()?;
        if first.tag == tag::VERSION {
            first = fields.next()?;
        }
        let serial = decimal(Some(first).filter(|first| first.tag == tag::INTEGER)?.content);
        fields.take(tag::SEQUENCE)?;
        let issuer = names(fields.take(tag::SEQUENCE)?)?;
        let mut validity = Elements(fields.take(tag::SEQUENCE)?);
        let (not_before, not_after) = (time(&validity.next()?)?, time(&validity.next()?)?);
        let subject = names(fields.take(tag::SEQUENCE)?)?;
        fields.take(tag::SEQUENCE)?;
        let mut read = X509 {
            serial,
            issuer,
            subject,
            issuer_alternatives: Names::new(),
            subject_alternatives: Names::new(),
            not_before,
            not_after,
        };
        while let Some(field) = fields.next() {
            if field.tag == tag::EXTENSIONS {
                read.extensions(Elements(field.content).take(tag::SEQUENCE)?);
            }
        }
        Some(read)
    }

    fn extensions(&mut self, content: &[u8]) {
        let mut extensions = Elements(content);
        while let Some(extension) = extensions.next() {
            let mut parts = Elements(extension.content);
            let Some(oid) = parts.take(tag::OID) else { continue };
            let mut value = parts.next();
            if value.as_ref().is_some_and(|value| value.tag != tag::OCTET_STRING) {
                value = parts.next();
            }
            let general = value.and_then(|value| Elements(value.content).take(tag::SEQUENCE));
            let Some(general) = general else { continue };
            if oid == SUBJECT_ALTERNATIVES {
                self.subject_alternatives = alternatives(general);
            } else if oid == ISSUER_ALTERNATIVES {
                self.issuer_alternatives = alternatives(general);
            }
        }
    }
}

impl SigningRequest<'_> {
    /// Reads a request (PKCS#10) in DER. Nothing when it is none.
    pub fn read(der: &[u8]) -> Option<SigningRequest<'_>> {
        let mut fields = Elements(Elements(Elements(der).take(tag::SEQUENCE)?).take(tag::SEQUENCE)?);
        fields.take(tag::INTEGER)?;
        let subject = fields.next().filter(|element| element.tag == tag::SEQUENCE)?;
        let key = fields.next().filter(|element| element.tag == tag::SEQUENCE)?;
        names(subject.content)?;
        Some(SigningRequest { subject: subject.whole, key: key.whole })
    }

    /// The certificate that AWS IoT makes of it, in DER.
    pub fn sign(&self, now: Time, seed: &[u8]) -> Vec<u8> {
        certificate(now, seed, self.subject, self.key)
    }
}

/// A certificate with keys, as AWS IoT makes them: DER of the certificate, PEM of the public and of the private key.
pub fn with_keys(now: Time, seed: &[u8]) -> (Vec<u8>, String, String) {
    let key = public_key(seed);
    let der = certificate(now, seed, &name(&[(3, "AWS IoT Certificate")]), &key);
    let number = |label: &str, bytes| integer(&filler(seed, label, bytes));
    let half = MODULUS / 2;
    let mut private = vec![integer(&[0]), integer(&modulus(seed)), integer(&[1, 0, 1]), number("exponent", MODULUS)];
    private.extend(["prime 1", "prime 2", "exponent 1", "exponent 2", "coefficient"].map(|label| number(label, half)));
    (der, pem("PUBLIC KEY", &key), pem("RSA PRIVATE KEY", &element(tag::SEQUENCE, &private.concat())))
}

/// A request to sign a certificate for a subject with this common name, in PEM. Equal seeds make equal keys.
pub fn signing_request(common_name: &str, seed: &[u8]) -> String {
    let info = [integer(&[0]), name(&[(3, common_name)]), public_key(seed), element(tag::VERSION, &[])].concat();
    pem("CERTIFICATE REQUEST", &signed(&element(tag::SEQUENCE, &info), seed))
}

/// Puts DER into the armour of PEM.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut armoured = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        armoured.extend(line.iter().map(|byte| char::from(*byte)));
        armoured.push('\n');
    }
    armoured + &format!("-----END {label}-----\n")
}

/// Takes DER out of the armour of PEM.
pub fn unarmoured(label: &str, pem: &str) -> Option<Vec<u8>> {
    let body = pem
        .trim()
        .strip_prefix(&format!("-----BEGIN {label}-----"))
        .and_then(|rest| rest.strip_suffix(&format!("-----END {label}-----")))?;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok().filter(|der| !der.is_empty())
}

fn certificate(now: Time, seed: &[u8], subject: &[u8], key: &[u8]) -> Vec<u8> {
    let content = [
        element(tag::VERSION, &integer(&[2])),
        integer(&filler(seed, "serial", 20)),
        algorithm(&SHA256_RSA),
        name(&[AMAZON]),
        element(tag::SEQUENCE, &[generalized(now), generalized(FOREVER)].concat()),
        subject.to_vec(),
        key.to_vec(),
    ];
    signed(&element(tag::SEQUENCE, &content.concat()), seed)
}

fn signed(content: &[u8], seed: &[u8]) -> Vec<u8> {
    let mut signature = vec![0];
    signature.extend(filler(seed, "signature", MODULUS));
    let parts = [content.to_vec(), algorithm(&SHA256_RSA), element(tag::BIT_STRING, &signature)];
    element(tag::SEQUENCE, &parts.concat())
}

fn public_key(seed: &[u8]) -> Vec<u8> {
    let numbers = element(tag::SEQUENCE, &[integer(&modulus(seed)), integer(&[1, 0, 1])].concat());
    let mut bits = vec![0];
    bits.extend(numbers);
    element(tag::SEQUENCE, &[algorithm(&RSA), element(tag::BIT_STRING, &bits)].concat())
}

/// A number of 2048 bits: the first bit is set.
fn modulus(seed: &[u8]) -> Vec<u8> {
    let mut bytes = filler(seed, "modulus", MODULUS);
    bytes[0] |= 0x80;
    bytes[MODULUS - 1] |= 1;
    bytes
}

/// Bytes from the hash of a seed and a label.
fn filler(seed: &[u8], label: &str, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut block = 0_u32;
    while bytes.len() < length {
        bytes.extend(Sha256::new().chain_update(seed).chain_update(label).chain_update(block.to_be_bytes()).finalize());
        block += 1;
    }
    bytes.truncate(length);
    bytes
}

fn algorithm(oid: &[u8]) -> Vec<u8> {
    element(tag::SEQUENCE, &[element(tag::OID, oid), element(tag::NULL, &[])].concat())
}

fn name(attributes: &[(u8, &str)]) -> Vec<u8> {
    let one = |(number, text): &(u8, &str)| {
        let oid = element(tag::OID, &[ATTRIBUTE_OID[0], ATTRIBUTE_OID[1], *number]);
        element(tag::SET, &element(tag::SEQUENCE, &[oid, element(tag::UTF8, text.as_bytes())].concat()))
    };
    element(tag::SEQUENCE, &attributes.iter().flat_map(one).collect::<Vec<u8>>())
}

fn generalized(time: Time) -> Vec<u8> {
    element(tag::GENERALIZED_TIME, time.to_datetime().format("%Y%m%d%H%M%SZ").to_string().as_bytes())
}

/// A number that is not negative.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    let mut content = Vec::with_capacity(bytes.len() + 1);
    if bytes[start] & 0x80 != 0 {
        content.push(0);
    }
    content.extend_from_slice(&bytes[start..]);
    element(tag::INTEGER, &content)
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let digits: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            bytes.push(0x80 | u8::try_from(digits.len()).expect("a length has at most eight bytes"));
            bytes.extend(digits);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

/// Reads a name: sets of attributes.
fn names(content: &[u8]) -> Option<Names> {
    let mut found = Names::new();
    let mut sets = Elements(content);
    while !sets.0.is_empty() {
        let mut attributes = Elements(sets.take(tag::SET)?);
        while let Some(attribute) = attributes.next() {
            let mut parts = Elements(attribute.content);
            let (oid, value) = (parts.take(tag::OID)?, parts.next()?);
            let known = ATTRIBUTES.iter().find(|(number, _)| oid == [ATTRIBUTE_OID[0], ATTRIBUTE_OID[1], *number]);
            if let (Some((_, name)), Ok(text)) = (known, std::str::from_utf8(value.content)) {
                found.push((name, text.into()));
            }
        }
    }
    Some(found)
}

/// Reads alternative names of the kinds that policies can ask for, but for directory names.
fn alternatives(content: &[u8]) -> Names {
    let mut found = Names::new();
    let mut all = Elements(content);
    while let Some(name) = all.next() {
        let text = std::str::from_utf8(name.content).ok();
        match (name.tag, text) {
            (0x81, Some(text)) => found.push(("RFC822Name", text.into())),
            (0x82, Some(text)) => found.push(("DNSName", text.into())),
            (0x86, Some(text)) => found.push(("UniformResourceIdentifier", text.into())),
            (0x87, _) => found.extend(address(name.content).map(|text| ("IPAddress", text.into()))),
            _ => {}
        }
    }
    found
}

fn address(bytes: &[u8]) -> Option<String> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
        _ => None,
    }
}

fn time(element: &Element<'_>) -> Option<Time> {
    let text = std::str::from_utf8(element.content).ok()?;
    let whole = match element.tag {
        // Two digits of the year: 1950 to 2049.
        tag::UTC_TIME => format!("{}{text}", if text.get(..2)? < "50" { "20" } else { "19" }),
        tag::GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let seconds = NaiveDateTime::parse_from_str(&whole, "%Y%m%d%H%M%SZ").ok()?.and_utc().timestamp();
    Some(Time::from_unix_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// A number of any size in decimal digits.
fn decimal(bytes: &[u8]) -> Box<str> {
    let mut digits = vec![0_u8];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            let sum = u32::from(*digit) * 256 + carry;
            *digit = u8::try_from(sum % 10).expect("a digit is below ten");
            carry = sum / 10;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 10).expect("a digit is below ten"));
            carry /= 10;
        }
    }
    digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_made_can_be_read() {
        let now = Time::from_unix_secs(1_772_323_200);
        let (der, public, private) = with_keys(now, b"seed");
        let read = X509::read(&der).unwrap();
        assert_eq!(read.subject, [("CommonName", "AWS IoT Certificate".into())]);
        assert_eq!(read.issuer[0].0, "OrganizationalUnit");
        assert_eq!((read.not_before, read.not_after), (now, FOREVER));
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n") && private.contains("RSA PRIVATE KEY"));
        assert_eq!(with_keys(now, b"seed").0, der, "equal seeds make equal certificates");
        assert_ne!(with_keys(now, b"other").0, der);
        assert_eq!(unarmoured("CERTIFICATE", &pem("CERTIFICATE", &der)), Some(der));
        let request = unarmoured("CERTIFICATE REQUEST", &signing_request("d1", b"key")).unwrap();
        let signed = SigningRequest::read(&request).unwrap().sign(now, b"seed");
        assert_eq!(X509::read(&signed).unwrap().subject, [("CommonName", "d1".into())]);
    }

    #[test]
    fn serial_numbers_are_decimal() {
        assert_eq!(&*decimal(&[0]), "0");
        assert_eq!(&*decimal(&[0x00, 0x92, 0x12, 0x85, 0xcb, 0xb7, 0xa5, 0xe0, 0x86]), "10525622389124227206");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..700, to: u8) {
            let _ = (X509::read(&bytes), SigningRequest::read(&bytes));
            let mut der = with_keys(Time::EPOCH, b"seed").0;
            let at = at % der.len();
            der[at] = to;
            let _ = (X509::read(&der), SigningRequest::read(&der));
        }
    }
}
