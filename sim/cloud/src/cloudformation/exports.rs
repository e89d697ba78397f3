//! Exports of stacks, and who reads them.

use std::collections::BTreeMap;

use super::CloudFormation;
use super::stack::Stack;

impl CloudFormation {
    /// Values of the exports of all stacks but one, and the names of the stacks that export them.
    pub(super) fn exports_of_others(&self, index: usize) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
        let (mut values, mut owners) = (BTreeMap::new(), BTreeMap::new());
        for (_, stack) in self.stacks.iter().enumerate().filter(|(at, stack)| *at != index && stack.exists()) {
            for output in &stack.outputs {
                if let Some(name) = &output.export {
                    values.insert(name.clone(), output.value.clone());
                    owners.insert(name.clone(), stack.name.clone());
                }
            }
        }
        (values, owners)
    }

    /// Which stacks read which export of a stack.
    pub(super) fn importers(&self, index: usize) -> BTreeMap<String, Vec<String>> {
        let exports = self.stacks[index].outputs.iter().filter_map(|output| output.export.clone());
        let read = exports.map(|name| {
            let stacks = self.readers(&name).map(|stack| stack.name.clone()).collect();
            (name, stacks)
        });
        read.filter(|(_, stacks): &(String, Vec<String>)| !stacks.is_empty()).collect()
    }

    /// The stacks that read an export, or are about to.
    pub(super) fn readers(&self, export: &str) -> impl Iterator<Item = &Stack> {
        self.stacks.iter().filter(move |stack| {
            let reads = stack.operation.as_ref().is_some_and(|operation| operation.imports.contains(export));
            stack.exists() && (reads || stack.imports.contains(export))
        })
    }
}
