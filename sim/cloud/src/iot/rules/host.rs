//! What statements and templates ask of the account.

use rand::RngExt as _;

use crate::core::{Cx, Principal};
use crate::iot::shadow::Shadows;
use crate::iot::sql::Host;

/// The account, as the SQL of a rule sees it.
pub(super) struct Asked<'a, 'c> {
    pub(super) cx: &'a mut Cx<'c>,
    /// The shadows. Templates have none: those that ask for one are refused when their rule is created.
    pub(super) shadows: Option<&'a mut Shadows>,
}

impl<'a, 'c> Asked<'a, 'c> {
    /// What templates ask.
    pub(super) fn by_template(cx: &'a mut Cx<'c>) -> Self {
        Asked { cx, shadows: None }
    }
}

impl Host for Asked<'_, '_> {
    fn uuid(&mut self) -> String {
        self.cx.uuid()
    }

    fn random(&mut self) -> f64 {
        self.cx.ids.random()
    }

    fn account(&self) -> &str {
        &self.cx.account.id
    }

    fn thing_shadow(&mut self, thing: &str, shadow: Option<&str>, role: &str) -> Result<Vec<u8>, String> {
        let shadows = self.shadows.as_mut().ok_or("a template asks for no shadow")?;
        let role = Principal::new(role);
        let cx = &mut self.cx.acting_as(&role);
        let resource = match shadow {
            Some(shadow) => format!("thing/{thing}/{shadow}"),
            None => format!("thing/{thing}"),
        };
        let arn = cx.account.arn("iot", &resource);
        let document = cx.authorize("iot:GetThingShadow", &arn).and_then(|()| shadows.document(cx, thing, shadow));
        document.map_err(|error| error.to_string())
    }
}
