//! SNS for the other services of the account: the same call as over the wire.

use super::Sns;
use crate::core::ports::Notifications;
use crate::core::{AwsError, Cx};
use crate::front::query;

impl Notifications for Sns {
    fn publish(&mut self, cx: &mut Cx<'_>, target: &str, message: &str, json: bool) -> Result<(), AwsError> {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.append_pair("Action", "Publish").append_pair("Version", "2010-03-31");
        body.append_pair("TargetArn", target).append_pair("Message", message);
        if json {
            body.append_pair("MessageStructure", "json");
        }
        let dialect = query::dialect("sns").expect("SNS speaks Query");
        self.call(cx, &mut dialect.parse(body.finish().as_bytes())?).map(drop)
    }
}
