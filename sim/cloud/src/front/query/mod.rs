//! The Query protocol: requests are forms with an `Action`, answers are XML. CloudFormation, SNS, STS and IAM speak it.
//!
//! A service reads the members of a request from a [`Form`] and writes its answer with an [`Xml`]:
//! `fn call(&mut self, cx: &mut Cx<'_>, form: &mut Form) -> Result<Xml, AwsError>`. The front door has checked the
//! version by then, and renders the answer. What a service has not read of a form when it calls [`Form::finish`] is
//! refused by name, so that nothing which a caller asks for is passed over in silence.
//!
//! Source: "Wire protocols" of the AWS facts. Unverified: the texts of refusals.

mod form;
mod xml;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

pub use form::Form;
pub use xml::{Xml, iso_8601};

use crate::core::AwsError;

/// A service that speaks Query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// The only version of its interface.
    pub version: &'static str,
    /// The XML namespace of its answers.
    pub namespace: &'static str,
}

/// The dialect of the service with this signing name, when it speaks Query.
pub fn dialect(signing_name: &str) -> Option<Dialect> {
    let (version, namespace) = match signing_name {
        "cloudformation" => ("2010-05-15", "http://cloudformation.amazonaws.com/doc/2010-05-15/"),
        "iam" => ("2010-05-08", "https://iam.amazonaws.com/doc/2010-05-08/"),
        "sns" => ("2010-03-31", "http://sns.amazonaws.com/doc/2010-03-31/"),
        "sts" => ("2011-06-15", "https://sts.amazonaws.com/doc/2011-06-15/"),
        _ => return None,
    };
    Some(Dialect { version, namespace })
}

impl Dialect {
    /// Parses a request's body and checks that it names an action of this version.
    pub fn parse(self, body: &[u8]) -> Result<Form, AwsError> {
        let form = Form::parse(body)?;
        if form.action().is_empty() {
            return Err(AwsError::new("MissingAction", "The request must contain the parameter Action"));
        }
        if form.version() != self.version {
            return Err(unknown_action(&form));
        }
        Ok(form)
    }

    /// An answer to `action`. An empty `result` is the answer of an operation that answers nothing.
    pub fn respond(self, action: &str, request_id: &str, result: &Xml) -> Response<Bytes> {
        let mut xml = Xml::new();
        xml.element_in(&format!("{action}Response"), self.namespace, |xml| {
            if !result.is_empty() {
                xml.element(&format!("{action}Result"), |xml| xml.append(result));
            }
            xml.element("ResponseMetadata", |xml| xml.text("RequestId", request_id));
        });
        render(200, request_id, xml)
    }

    /// An error. Errors of a signature have the codes that Query has for them.
    pub fn respond_error(self, request_id: &str, error: &AwsError) -> Response<Bytes> {
        let (code, status) = match error.code {
            "UnrecognizedClientException" => ("InvalidClientTokenId", 403),
            "InvalidSignatureException" => ("SignatureDoesNotMatch", 403),
            "ExpiredTokenException" => ("ExpiredToken", 403),
            "MissingAuthenticationTokenException" => ("MissingAuthenticationToken", 403),
            "IncompleteSignatureException" => ("IncompleteSignature", 403),
            "AccessDeniedException" | "AccessDenied" => ("AccessDenied", 403),
            code => (code, error.status),
        };
        let mut xml = Xml::new();
        xml.element_in("ErrorResponse", self.namespace, |xml| {
            xml.element("Error", |xml| {
                xml.text("Type", if status < 500 { "Sender" } else { "Receiver" });
                xml.text("Code", code);
                xml.text("Message", &error.message);
                for (name, value) in &error.extra {
                    xml.text(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                }
            });
            xml.text("RequestId", request_id);
        });
        render(status, request_id, xml)
    }
}

/// An action, or a version of it, that AWS does not have.
pub fn unknown_action(form: &Form) -> AwsError {
    let (action, version) = (form.action(), form.version());
    AwsError::new("InvalidAction", format!("Could not find operation {action} for version {version}"))
}

fn render(status: u16, request_id: &str, xml: Xml) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(xml.into_bytes()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("text/xml"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(response: &Response<Bytes>) -> &str {
        std::str::from_utf8(response.body()).expect("answers are texts")
    }

    #[test]
    fn answers_wrap_their_result_and_carry_the_request_id() {
        let sts = dialect("sts").expect("it speaks Query");
        let mut result = Xml::new();
        result.text("Account", "1<2");
        result.list("Names", ["a", "b"], |xml, name| xml.text("Name", name));
        assert_eq!(
            body(&sts.respond("GetCallerIdentity", "id-1", &result)),
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <Account>1&lt;2</Account><Names><member><Name>a</Name></member><member><Name>b</Name></member></Names>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        );
        let nothing = sts.respond("Forget", "id-2", &Xml::new());
        assert!(!body(&nothing).contains("ForgetResult"), "{}", body(&nothing));
    }

    #[test]
    fn errors_have_the_codes_and_the_statuses_of_query() {
        let sns = dialect("sns").expect("it speaks Query");
        for (error, status, expected) in [
            (AwsError::new("NotFound", "no & such").status(404), 404, "<Code>NotFound</Code><Message>no &amp; such<"),
            (AwsError::new("UnrecognizedClientException", ""), 403, "<Type>Sender</Type><Code>InvalidClientTokenId<"),
            (AwsError::new("InvalidSignatureException", ""), 403, "<Code>SignatureDoesNotMatch</Code>"),
            (AwsError::not_modelled("Publish"), 501, "<Type>Receiver</Type><Code>NotImplemented</Code>"),
        ] {
            let response = sns.respond_error("id", &error);
            assert_eq!(response.status().as_u16(), status, "{error}");
            assert!(body(&response).contains(expected), "{}", body(&response));
        }
    }

    #[test]
    fn a_request_names_an_action_of_the_version() {
        let sns = dialect("sns").expect("it speaks Query");
        assert_eq!(sns.parse(b"Action=Publish&Version=2010-03-31").expect("valid").action(), "Publish");
        for (body, code) in
            [("Version=2010-03-31", "MissingAction"), ("Action=Publish&Version=2011-01-01", "InvalidAction")]
        {
            assert_eq!(sns.parse(body.as_bytes()).expect_err(body).code, code);
        }
        assert_eq!(dialect("kinesis"), None);
    }
}
