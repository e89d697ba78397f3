//! `AssumeRole`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Sts;
use crate::core::access::{Ask, ResourcePolicy, Session};
use crate::core::policy::{Document, Kind, Purpose};
use crate::core::{AwsError, Cx, Principal};
use crate::front::Credential;
use crate::front::query::{Form, Xml};
use crate::iam::{Iam, Role};

/// Longest session of a role that another session assumes, in seconds.
const CHAINED_MAX_S: i64 = 3_600;
/// Most characters of the session policies.
const POLICY_CHARS_MAX: usize = 2_048;

/// What is asked for.
struct Asked {
    role_arn: String,
    session_name: String,
    duration_s: i64,
    external_id: Option<String>,
    policies: Vec<Arc<Document>>,
    tags: BTreeMap<String, String>,
    transitive: BTreeSet<String>,
    packed_percent: usize,
}

fn invalid(message: &str) -> AwsError {
    AwsError::new("InvalidParameterValue", message)
}

fn validation(message: String) -> AwsError {
    AwsError::new("ValidationError", message)
}

impl Sts {
    pub(super) fn assume_role(&mut self, cx: &mut Cx<'_>, iam: &Iam, form: &mut Form) -> Result<Xml, AwsError> {
        let asked = Asked::read(cx, iam, form)?;
        let Some(role) = iam.role(&asked.role_arn) else {
            let (caller, arn) = (&cx.caller.arn, &asked.role_arn);
            let text = format!("User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}");
            let error = AwsError::new("AccessDenied", text).status(403);
            cx.denied("sts:AssumeRole", &asked.role_arn, &error);
            return Err(error);
        };
        permit(cx, role, &asked)?;
        check_duration(cx, role, asked.duration_s)?;
        let (tags, transitive) = inherit(cx, &asked)?;
        let name = role.arn().rsplit('/').next().unwrap_or_default();
        let arn = format!("arn:aws:sts::{}:assumed-role/{name}/{}", cx.account.id, asked.session_name);
        let id = cx.uuid();
        let secret = format!("{}{}", cx.uuid(), &cx.uuid()[..4]).replace('-', "+");
        let session = Session::new(id.clone(), cx.now).tagged(tags, transitive).bounded_by(asked.policies);
        let expires = cx.now + Duration::from_secs(asked.duration_s.unsigned_abs());
        let credential = Credential {
            access_key_id: format!("ASIA{}", &id.replace('-', "").to_uppercase()[..16]),
            secret_access_key: secret,
            session_token: Some(format!("session.{id}")),
            expires: Some(expires),
            principal: Principal::new(arn.clone()).within(session),
        };
        let mut xml = Xml::new();
        xml.element("Credentials", |xml| {
            xml.text("AccessKeyId", &credential.access_key_id);
            xml.text("SecretAccessKey", &credential.secret_access_key);
            xml.optional("SessionToken", credential.session_token.as_ref());
            xml.time("Expiration", expires);
        });
        xml.element("AssumedRoleUser", |xml| {
            xml.text("AssumedRoleId", format!("{}:{}", role.id(), asked.session_name));
            xml.text("Arn", &arn);
        });
        xml.value("PackedPolicySize", asked.packed_percent);
        self.issued.push(credential);
        Ok(xml)
    }
}

impl Asked {
    fn read(cx: &Cx<'_>, iam: &Iam, form: &mut Form) -> Result<Asked, AwsError> {
        let role_arn = form.required("RoleArn")?;
        let session_name = form.required("RoleSessionName")?;
        let (duration_s, external_id) = (form.integer("DurationSeconds")?.unwrap_or(3_600), form.text("ExternalId"));
        let (text, arns) = (form.text("Policy"), form.forms("PolicyArns")?.unwrap_or_default());
        let (tags, transitive) = (form.forms("Tags")?.unwrap_or_default(), form.texts("TransitiveTagKeys")?);
        if !(role_arn.starts_with("arn:aws:iam::") && role_arn.contains(":role/")) {
            return Err(validation(format!("{role_arn} is invalid")));
        }
        let own = format!("arn:aws:iam::{}:", cx.account.id);
        if !role_arn.starts_with(&own) {
            return Err(AwsError::not_modelled("sts AssumeRole of a role of another account"));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        if !(2..=64).contains(&session_name.len()) || !session_name.bytes().all(allowed) {
            return Err(validation(format!(
                "1 validation error detected: Value '{session_name}' at 'roleSessionName' failed to satisfy constraint: \
                 Member must satisfy regular expression pattern: [\\w+=,.@-]*"
            )));
        }
        let mut policies = Vec::new();
        let policy_chars = text.as_ref().map_or(0, |text| text.chars().count());
        if policy_chars > POLICY_CHARS_MAX {
            return Err(validation(format!("Policy has more than {POLICY_CHARS_MAX} characters")));
        }
        if let Some(text) = text {
            let document = Document::parse_text(&text, Purpose::Identity);
            let malformed = |why| AwsError::new("MalformedPolicyDocument", why);
            policies.push(Arc::new(document.map_err(malformed)?));
        }
        if arns.len() > 10 {
            return Err(validation("PolicyArns has at most 10 items".to_owned()));
        }
        // Session policies are one set: what any of them allows is allowed.
        for mut arn in arns {
            let document = iam.managed_document(&arn.required("arn")?)?;
            policies.push(document);
            arn.finish()?;
        }
        let policies = Document::together(&policies).into_iter().collect();
        let tags = read_tags(cx, tags)?;
        let transitive: BTreeSet<String> = transitive.unwrap_or_default().into_iter().collect();
        if transitive.iter().any(|key| !tags.keys().any(|tag| tag.eq_ignore_ascii_case(key))) {
            return Err(invalid("The specified transitive tag key must be included in the requested tags."));
        }
        form.finish()?;
        let tag_chars: usize = tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        let packed_percent = (policy_chars + tag_chars) * 100 / POLICY_CHARS_MAX;
        if packed_percent > 100 {
            let text =
                format!("Packed policy consumes {packed_percent}% of allotted space, please use smaller policy.");
            return Err(AwsError::new("PackedPolicyTooLarge", text));
        }
        Ok(Asked { role_arn, session_name, duration_s, external_id, policies, tags, transitive, packed_percent })
    }
}

fn read_tags(cx: &Cx<'_>, forms: Vec<Form>) -> Result<BTreeMap<String, String>, AwsError> {
    let limit = |name| usize::try_from(cx.limits.get("sts", name)).unwrap_or(usize::MAX);
    let mut tags: BTreeMap<String, String> = BTreeMap::new();
    for mut form in forms {
        let (key, value) = (form.required("Key")?, form.text("Value").unwrap_or_default());
        form.finish()?;
        if key.chars().count() > limit("session_tag_key") || value.chars().count() > limit("session_tag_value") {
            return Err(validation(format!("the tag {key} is too long")));
        }
        if tags.keys().any(|known| known.eq_ignore_ascii_case(&key)) {
            return Err(invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive."));
        }
        tags.insert(key, value);
    }
    if tags.len() > limit("session_tags") {
        return Err(validation("a session has at most 50 tags".to_owned()));
    }
    Ok(tags)
}

/// Caller and trust policy must both allow the session, and its tags when it has any.
fn permit(cx: &mut Cx<'_>, role: &Role, asked: &Asked) -> Result<(), AwsError> {
    let request_tags: Vec<(String, &str)> =
        asked.tags.iter().map(|(key, value)| (format!("aws:RequestTag/{key}"), value.as_str())).collect();
    let mut context: Vec<(&str, &str)> = vec![("sts:RoleSessionName", &asked.session_name)];
    context.extend(asked.external_id.as_deref().map(|id| ("sts:ExternalId", id)));
    context.extend(request_tags.iter().map(|(key, value)| (key.as_str(), *value)));
    context.extend(asked.tags.keys().map(|key| ("aws:TagKeys", key.as_str())));
    context.extend(asked.transitive.iter().map(|key| ("sts:TransitiveTagKeys", key.as_str())));
    let actions: &[&str] =
        if asked.tags.is_empty() { &["sts:AssumeRole"] } else { &["sts:AssumeRole", "sts:TagSession"] };
    let policy = ResourcePolicy { document: role.trust(), kind: Kind::Trust, must_allow: true };
    for action in actions {
        let (now, account, caller) = (cx.now, cx.account, cx.caller);
        let ask = Ask { now, account, caller, action, resource: role.arn(), context: &context };
        if let Err(error) = cx.access.authorize(&ask, Some(policy)) {
            cx.denied(action, role.arn(), &error);
            return Err(error);
        }
    }
    Ok(())
}

fn check_duration(cx: &Cx<'_>, role: &Role, duration_s: i64) -> Result<(), AwsError> {
    let most = i64::try_from(role.max_session_s()).unwrap_or(i64::MAX);
    if !(900..=43_200).contains(&duration_s) {
        return Err(validation(format!("DurationSeconds is 900 to 43200, not {duration_s}")));
    }
    if duration_s > most {
        let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(validation(text.to_owned()));
    }
    if cx.caller.arn.contains(":assumed-role/") && duration_s > CHAINED_MAX_S {
        let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(validation(text.to_owned()));
    }
    Ok(())
}

/// Transitive tags of the calling session go on to the new one, and cannot be replaced.
fn inherit(cx: &Cx<'_>, asked: &Asked) -> Result<(BTreeMap<String, String>, BTreeSet<String>), AwsError> {
    let (mut tags, mut transitive) = (asked.tags.clone(), asked.transitive.clone());
    if let Some(session) = &cx.caller.session {
        for key in session.transitive() {
            if tags.keys().any(|tag| tag.eq_ignore_ascii_case(key)) {
                return Err(invalid(
                    "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag \
                     key from the calling session.",
                ));
            }
            let value = session.tags().iter().find(|(tag, _)| tag.eq_ignore_ascii_case(key)).map(|(_, value)| value);
            tags.insert(key.clone(), value.cloned().unwrap_or_default());
            transitive.insert(key.clone());
        }
    }
    Ok((tags, transitive))
}
