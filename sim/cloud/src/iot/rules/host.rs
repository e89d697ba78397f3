//! What statements and templates ask of the account.

use rand::RngExt as _;

use crate::core::Cx;
use crate::iot::sql::Host;

/// The account, as the SQL of a rule sees it.
pub(super) struct Asked<'a, 'c> {
    pub(super) cx: &'a mut Cx<'c>,
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

    fn thing_shadow(&mut self, thing: &str, _: Option<&str>, _: &str) -> Result<Vec<u8>, String> {
        unreachable!("rules that ask for the shadow of {thing} are refused when they are created")
    }
}
