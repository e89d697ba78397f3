//! Requests as they are compared and digested.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// A request's body as two equal requests have it. The SDK writes the attributes of a request to DynamoDB and of a message
/// to SNS in the order of a hash map, which is another one in each map.
pub fn comparable<'b>(service: &str, body: &'b [u8]) -> Cow<'b, [u8]> {
    match service {
        "dynamodb" => serde_json::from_slice::<serde_json::Value>(body).map_or(Cow::Borrowed(body), |mut json| {
            json.sort_all_objects();
            Cow::Owned(json.to_string().into_bytes())
        }),
        "sns" => Cow::Owned(with_sorted_maps(body)),
        _ => Cow::Borrowed(body),
    }
}

/// A form whose maps, `Name.entry.N.…=…`, have no numbers and are sorted by what is in their entries. The rest keeps its order.
fn with_sorted_maps(form: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(form);
    let mut maps: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let mut parts: Vec<String> = Vec::new();
    for part in text.split('&') {
        match part.split_once(".entry.").and_then(|(name, rest)| Some((name, rest.split_once('.')?))) {
            Some((name, (number, member))) => maps.entry((name, number)).or_default().push(member),
            None => parts.push(part.to_owned()),
        }
    }
    let mut entries: Vec<String> =
        maps.into_iter().map(|((name, _), members)| format!("{name}.{}", members.join("&"))).collect();
    entries.sort_unstable();
    parts.extend(entries);
    parts.join("&").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_requests_to_dynamodb_are_comparable_whatever_the_order_of_their_attributes() {
        let (a, b) = (br#"{"K":{"x":{"S":"1"},"y":{"S":"2"}}}"#, br#"{"K":{"y":{"S":"2"},"x":{"S":"1"}}}"#);
        assert_eq!(comparable("dynamodb", a), comparable("dynamodb", b));
        assert_ne!(comparable("kinesis", a), comparable("kinesis", b));
        assert_eq!(&*comparable("dynamodb", b"no JSON"), b"no JSON");
    }

    #[test]
    fn equal_messages_to_sns_are_comparable_whatever_the_order_of_their_attributes() {
        let message = |attributes: [(&str, &str); 2]| {
            let entry = |n: usize, (name, value): (&str, &str)| {
                let map = format!("MessageAttributes.entry.{n}");
                format!("{map}.Name={name}&{map}.Value.DataType=String&{map}.Value.StringValue={value}")
            };
            format!("Action=Publish&{}&{}&Message=m", entry(1, attributes[0]), entry(2, attributes[1])).into_bytes()
        };
        let (a, b) =
            (message([("tenant", "acme"), ("kind", "spike")]), message([("kind", "spike"), ("tenant", "acme")]));
        assert_eq!(comparable("sns", &a), comparable("sns", &b));
        let swapped = message([("tenant", "spike"), ("kind", "acme")]);
        assert_ne!(comparable("sns", &a), comparable("sns", &swapped));
        assert!(comparable("sns", &a).starts_with(b"Action=Publish&Message=m&MessageAttributes.Name=kind&"));
    }
}
