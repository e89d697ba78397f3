//! `ListObjectsV2`: keys in UTF-8 binary order, pages, prefixes, delimiters.

use std::collections::BTreeMap;
use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::errors::invalid_argument;
use super::store::Object;
use crate::core::AwsError;

/// Where a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// At the first key.
    Start,
    /// After a key.
    Key(String),
    /// After all keys below a common prefix.
    Prefix(String),
}

impl After {
    /// The continuation token. Opaque to callers, as AWS's is.
    pub(super) fn token(&self) -> String {
        let text = match self {
            After::Start => String::new(),
            After::Key(key) => format!("k{key}"),
            After::Prefix(prefix) => format!("p{prefix}"),
        };
        URL_SAFE_NO_PAD.encode(text)
    }

    /// Reads a continuation token.
    pub(super) fn from_token(token: &str) -> Result<Self, AwsError> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        match (text.strip_prefix('k'), text.strip_prefix('p')) {
            (Some(key), _) => Ok(After::Key(key.to_owned())),
            (_, Some(prefix)) => Ok(After::Prefix(prefix.to_owned())),
            _ => Err(invalid_argument("The continuation token provided is incorrect")),
        }
    }
}

/// What to list.
pub(super) struct Listing<'a> {
    pub prefix: &'a str,
    pub delimiter: Option<&'a str>,
    pub after: After,
    /// Keys and common prefixes wanted; the bucket's page size bounds it.
    pub max_keys: usize,
}

/// One page.
pub(super) struct Page<'s> {
    pub objects: Vec<(&'s str, &'s Object)>,
    pub common_prefixes: Vec<&'s str>,
    /// Where the next page begins, when there is one.
    pub next: Option<After>,
}

impl Listing<'_> {
    /// The page of at most `page_max` keys and common prefixes. Takes time linear in the keys that it passes.
    pub(super) fn page<'s>(&self, objects: &'s BTreeMap<String, Object>, page_max: usize) -> Page<'s> {
        let mut page = Page { objects: Vec::new(), common_prefixes: Vec::new(), next: None };
        let (max, mut taken) = (self.max_keys.min(page_max), 0);
        if max == 0 {
            return page;
        }
        let mut last = After::Start;
        for (key, object) in objects.range::<str, _>((self.start(), Bound::Unbounded)) {
            if !key.starts_with(self.prefix) {
                break;
            }
            let common = self.common_prefix(key);
            if common.is_some_and(|c| page.common_prefixes.last() == Some(&c) || self.after_has(c)) {
                continue;
            }
            if taken == max {
                page.next = Some(last);
                break;
            }
            taken += 1;
            if let Some(common) = common {
                page.common_prefixes.push(common);
                last = After::Prefix(common.to_owned());
            } else {
                page.objects.push((key, object));
                last = After::Key(key.clone());
            }
        }
        page
    }

    fn start(&self) -> Bound<&str> {
        match &self.after {
            After::Key(key) if key.as_str() >= self.prefix => Bound::Excluded(key),
            After::Prefix(common) if common.as_str() >= self.prefix => Bound::Included(common),
            _ => Bound::Included(self.prefix),
        }
    }

    fn after_has(&self, common: &str) -> bool {
        matches!(&self.after, After::Prefix(done) if done == common)
    }

    fn common_prefix<'k>(&self, key: &'k str) -> Option<&'k str> {
        let delimiter = self.delimiter.filter(|d| !d.is_empty())?;
        let at = key[self.prefix.len()..].find(delimiter)?;
        Some(&key[..self.prefix.len() + at + delimiter.len()])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use world::time::Time;

    fn objects(keys: &[String]) -> BTreeMap<String, Object> {
        let object = Object {
            body: Bytes::new(),
            etag: "d41d8cd98f00b204e9800998ecf8427e".into(),
            last_modified: Time::EPOCH,
            attributes: Arc::default(),
        };
        keys.iter().map(|key| (key.clone(), object.clone())).collect()
    }

    /// Keys and common prefixes in one list, as all pages of `max_keys` give them.
    fn all_pages(
        objects: &BTreeMap<String, Object>,
        prefix: &str,
        delimiter: Option<&str>,
        max_keys: usize,
    ) -> Vec<String> {
        let (mut all, mut after) = (Vec::new(), After::Start);
        loop {
            let listing = Listing { prefix, delimiter, after, max_keys };
            let page = listing.page(objects, 1_000);
            assert!(page.objects.len() + page.common_prefixes.len() <= max_keys);
            all.extend(page.objects.iter().map(|(key, _)| (*key).to_owned()));
            all.extend(page.common_prefixes.iter().map(|prefix| (*prefix).to_owned()));
            match page.next {
                Some(next) => after = After::from_token(&next.token()).unwrap(),
                None => break,
            }
        }
        all.sort();
        all
    }

    /// The definition of a listing, without pages and without order tricks.
    fn model(keys: &[String], prefix: &str, delimiter: Option<&str>) -> Vec<String> {
        let mut all: Vec<String> = keys
            .iter()
            .filter_map(|key| key.strip_prefix(prefix))
            .map(|rest| match delimiter.and_then(|d| rest.split_once(d).map(|(head, _)| format!("{head}{d}"))) {
                Some(head) => format!("{prefix}{head}"),
                None => format!("{prefix}{rest}"),
            })
            .collect();
        all.sort();
        all.dedup();
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn pages_put_together_are_the_whole_listing(
            keys in prop::collection::btree_set("[ab/é]{1,6}", 0..40),
            prefix in "[ab/]{0,2}",
            delimited in any::<bool>(),
            max_keys in 1usize..8,
        ) {
            let keys: Vec<String> = keys.into_iter().collect();
            let delimiter = delimited.then_some("/");
            prop_assert_eq!(all_pages(&objects(&keys), &prefix, delimiter, max_keys), model(&keys, &prefix, delimiter));
        }
    }

    #[test]
    fn a_page_of_no_keys_is_not_truncated() {
        let objects = objects(&["a".to_owned()]);
        let page = Listing { prefix: "", delimiter: None, after: After::Start, max_keys: 0 }.page(&objects, 1_000);
        assert!(page.objects.is_empty() && page.next.is_none());
    }

    #[test]
    fn a_token_that_was_not_given_out_is_refused() {
        for token in ["", "?", "eA"] {
            assert_eq!(After::from_token(token).unwrap_err().code, "InvalidArgument");
        }
    }
}
