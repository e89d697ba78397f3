//! The condition keys that policies may name.

/// Keys of all services that have a value here, or of which it is certain that they have none.
const GLOBAL: [&str; 23] = [
    "aws:currenttime",
    "aws:epochtime",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalservicename",
    "aws:principaltype",
    "aws:requestedregion",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceidentity",
    "aws:sourceorgid",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:tagkeys",
    "aws:tokenissuetime",
    "aws:userid",
    "aws:username",
];

/// Keys of all services that end with the key of a tag.
const GLOBAL_TAGS: [&str; 2] = ["aws:principaltag/", "aws:requesttag/"];

/// Refuses a condition key that has a value on AWS and none here: a statement with it would mean something else. Keys of
/// a service are the service's own: one that it does not give is absent.
/// `aws:ViaAWSService` and `aws:CalledVia` are refused: services that act with their caller's permissions do not say so here.
pub(super) fn known(key: &str) -> Result<(), String> {
    let lower = key.to_ascii_lowercase();
    let Some((prefix, name)) = lower.split_once(':') else {
        return Err(format!("{key:?} is no condition key"));
    };
    if prefix.is_empty() || name.is_empty() {
        return Err(format!("{key:?} is no condition key"));
    }
    let tag = |start: &&str| lower.strip_prefix(*start).is_some_and(|tag| !tag.is_empty());
    if prefix != "aws" || GLOBAL.contains(&lower.as_str()) || GLOBAL_TAGS.iter().any(tag) {
        return Ok(());
    }
    Err(format!("the condition key {key} is not modelled by this simulator (see docs/gaps.md)"))
}
