//! The schema of the device directory: one item a device.

/// Key of an item: [`device_key`].
pub const DEVICE_KEY: &str = "device_key";
/// Text: the tenant.
pub const TENANT_ID: &str = "tenant_id";
/// Text: the device.
pub const DEVICE_ID: &str = "device_id";
/// Text: what kind of device it is.
pub const DEVICE_TYPE: &str = "device_type";
/// Map of texts: the unit of each metric, by the metric's name. Optional.
pub const UNITS: &str = "units";

/// Text: id of the device's thing in the registry of AWS IoT. Another thing of the same name has another id.
pub const THING_ID: &str = "thing_id";
/// Number: version of the thing that the item was written from.
pub const THING_VERSION: &str = "thing_version";
/// Number: seconds since the Unix epoch after which the item may be removed (attribute of DynamoDB's time to live). Only
/// items of devices that left their tenant or are gone have it.
pub const EXPIRES_AT: &str = "expires_at";

/// Key of a device's item. A tenant cannot reach the item of another, because the tenant is part of it; topics have
/// no `#`, so two devices never share a key.
pub fn device_key(tenant_id: &str, device_id: &str) -> String {
    let mut key = String::with_capacity(tenant_id.len() + 1 + device_id.len());
    key.push_str(tenant_id);
    key.push('#');
    key.push_str(device_id);
    key
}
