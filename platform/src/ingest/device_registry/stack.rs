//! What the stack DeviceRegistry owns: the type of things and the device directory.

use super::directory;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::template::{Published, Template, dynamodb, iot};

/// Name of the stack inside an environment.
pub const STACK: &str = "device-registry";

/// Attribute of a thing that names its tenant. The device policy reads it.
pub const TENANT_ATTRIBUTE: &str = "tenant";

/// Attribute of a thing that names what kind of device it is. Optional.
pub const DEVICE_TYPE_ATTRIBUTE: &str = "device_type";

/// What the stack publishes for later stacks and for the provisioning of devices.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Name of the thing type.
    pub thing_type_name: Published,
    /// Name of the directory's table.
    pub directory_table_name: Published,
    /// ARN of the directory's table.
    pub directory_table_arn: Published,
}

impl Outputs {
    /// The outputs in one environment.
    pub fn new(naming: Naming<'_>) -> Self {
        Outputs {
            thing_type_name: naming.published(STACK, "thing-type-name"),
            directory_table_name: naming.published(STACK, "directory-table-name"),
            directory_table_arn: naming.published(STACK, "directory-table-arn"),
        }
    }
}

/// The stack's template.
pub fn stack(settings: &Settings) -> Template {
    let naming = Naming::new(settings);
    let outputs = Outputs::new(naming);
    let mut template = Template::new("Ingest: the registry of devices.", settings.retention());
    let thing_type = template.add(
        "DeviceType",
        iot::ThingType {
            thing_type_name: naming.name("device"),
            thing_type_properties: iot::ThingTypeProperties {
                thing_type_description: "A device that publishes readings. Its attribute tenant decides its topics.",
                searchable_attributes: vec![TENANT_ATTRIBUTE],
            },
        },
    );
    let table =
        template.add_data("DeviceDirectory", dynamodb::Table::keyed_by(naming.name("devices"), directory::DEVICE_KEY));
    template.publish(&outputs.thing_type_name, "Type of each device's thing", thing_type.name());
    template.publish(&outputs.directory_table_name, "Table of the device directory", table.name());
    template.publish(&outputs.directory_table_arn, "Table of the device directory", table.arn());
    template
}
